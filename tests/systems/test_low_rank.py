"""Low rank: exact at full rank; the error is what the singular values left out weigh; never more weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, MLP, GPTConfig, LeNet
from tinytorch.systems import (
    factorize,
    factorize_conv2d,
    factorize_linear,
    file_bytes,
    rank_for_energy,
    singular_values,
)

CONVOLUTIONS = st.builds(
    lambda i, o, kh, kw, stride, padding, dilation, bias: nn.Conv2d(
        i, o, (kh, kw), stride, padding, dilation, bias=bias
    ),
    st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, (2, 1)]),
    st.sampled_from([0, 1, (1, 2), "valid"]), st.sampled_from([1, (1, 2)]), st.booleans(),
)  # fmt: skip


@given(inputs=st.integers(1, 9), outputs=st.integers(1, 9), bias=st.booleans())
def test_a_linear_layer_at_full_rank_is_the_same(inputs, outputs, bias):
    layer, x = nn.Linear(inputs, outputs, bias), tt.randn(3, inputs)
    pair = factorize_linear(layer, min(inputs, outputs))
    np.testing.assert_allclose(pair(x).data, layer(x).data, atol=1e-5)
    assert (pair[1].bias is not None) == bias


@given(layer=CONVOLUTIONS, scheme=st.sampled_from(["channel", "spatial"]))
def test_a_convolution_at_full_rank_is_the_same(layer, scheme):
    x = tt.randn(2, layer.in_channels, 7, 8)
    pair = factorize_conv2d(layer, len(singular_values(layer, scheme)), scheme)
    np.testing.assert_allclose(pair(x).data, layer(x).data, atol=1e-5)


def test_same_padding():
    layer = nn.Conv2d(2, 3, 3, padding="same")
    x = tt.randn(1, 2, 5, 5)
    for scheme in ("channel", "spatial"):
        pair = factorize_conv2d(layer, 6, scheme) if scheme == "spatial" else factorize_conv2d(layer, 3)
        np.testing.assert_allclose(pair(x).data, layer(x).data, atol=1e-5)


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_error_is_the_energy_left_out(rank, scheme):
    tt.manual_seed(0)
    for layer in (nn.Linear(12, 8, bias=False), nn.Conv2d(4, 8, 3, bias=False)):
        linear = isinstance(layer, nn.Linear)
        pair = factorize_linear(layer, rank) if linear else factorize_conv2d(layer, rank, scheme)
        probe = tt.eye(12) if linear else tt.eye(36).reshape(36, 4, 3, 3)
        difference = pair(probe).data.astype(np.float64) - layer(probe).data
        left_out = np.square(singular_values(layer, scheme)[rank:]).sum()
        assert np.square(difference).sum() == pytest.approx(left_out, rel=1e-4)


def test_the_halves_are_of_equal_size():
    first, second = factorize_linear(nn.Linear(12, 8), 3)
    assert np.linalg.norm(first.weight.data) == pytest.approx(np.linalg.norm(second.weight.data), rel=1e-5)


@given(values=st.lists(st.floats(0.01, 10), min_size=1, max_size=6), energy=st.floats(0.01, 1.0))
def test_the_rank_is_the_smallest_with_enough_energy(values, energy):
    layer = nn.Linear(len(values), len(values), dtype=np.float64)
    layer.weight.data = np.diag(values)
    rank = rank_for_energy(layer, energy)
    squares = np.sort(np.square(values))[::-1]
    assert squares[:rank].sum() >= energy * squares.sum() * (1 - 1e-9)
    assert squares[: rank - 1].sum() <= energy * squares.sum()


def test_a_model_gets_smaller_or_stays_as_it_is():
    tt.manual_seed(0)
    model, x = LeNet(3, 8, (8, 16), 64).train(), tt.randn(2, 3, 8, 8)
    before = {name: tensor.data.copy() for name, tensor in model.state_dict().items()}
    answers = model(x).data
    thinner = factorize(model, rank=8)
    assert file_bytes(thinner) < file_bytes(model)
    assert isinstance(thinner.head[1], nn.Sequential)
    assert isinstance(thinner.features[0], nn.Conv2d), "8 · (27 + 8) weights are more than 8 · 27"
    assert all(module.training for module in thinner.modules())
    assert all((tensor.data == before[name]).all() for name, tensor in model.state_dict().items())
    assert (model(x).data == answers).all()
    near = factorize(model, energy=0.999999)
    np.testing.assert_allclose(near(x).data, answers, atol=1e-2)
    spatial = factorize(model, rank=8, scheme="spatial", layers=["features.3"])
    assert [layer.kernel_size for layer in spatial.features[3]] == [(3, 1), (1, 3)]
    assert spatial.features[3](tt.zeros(1, 8, 4, 4)).shape == (1, 16, 4, 4)


def test_a_gpt():
    tt.manual_seed(0)
    gpt = GPT(GPTConfig(vocab_size=13, block_size=16, n_layer=1, n_head=2, n_embd=16)).eval()
    tokens = np.arange(10).reshape(1, 10)
    thinner = factorize(gpt, rank=4)
    assert file_bytes(thinner) < file_bytes(gpt)
    assert thinner(tokens).shape == (1, 10, 13)
    cache = thinner.new_cache()
    with tt.no_grad():
        got = [thinner(tokens[:, i : i + 1], cache).data for i in range(10)]
    np.testing.assert_allclose(np.concatenate(got, 1), thinner(tokens).data, rtol=1e-4, atol=1e-5)


def test_ranks_by_name_and_single_layers():
    model = MLP(32, (24, 16), 10)
    thinner = factorize(model, {"hidden.1": 2, "hidden.3": 3}, exclude=["hidden.3"])
    assert thinner.hidden[1][0].out_features == 2
    assert isinstance(thinner.hidden[3], nn.Linear)
    assert isinstance(factorize(nn.Linear(16, 16), 2), nn.Sequential)


def test_fine_tuning_is_ordinary_training():
    tt.manual_seed(0)
    layer, x = nn.Linear(16, 12), tt.randn(64, 16)
    pair = factorize(layer, 4)
    target = layer(x).detach()
    optimizer = tt.optim.AdamW(pair.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = (pair(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], "the cut is the best for all inputs, not for these"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: factorize(m), "expected either a rank or an energy to keep"),
        (lambda m: factorize(m, 3, energy=0.9), "expected either a rank or an energy to keep"),
        (lambda m: factorize(m, energy=0.0), "expected an energy above 0 and up to 1, got 0.0"),
        (lambda m: factorize(m, 3, scheme="tucker"), '"channel" or "spatial", got \'tucker\''),
        (lambda m: factorize(m, 3, layers=["2"]), "'2' is no Linear and no Conv2d in one group; .*: 0, 1"),
        (lambda m: factorize(m, {"9": 3}), "'9' is no Linear and no Conv2d"),
        (lambda m: factorize(m, 0), "rank from 1 to 4 for a Conv2d with a weight of shape .* got 0"),
        (lambda m: factorize_linear(m[1], 7), r"rank from 1 to 6 for a Linear .* \(6, 8\), got 7"),
        (lambda m: factorize_conv2d(nn.Conv2d(4, 4, 1, groups=2), 1), "in one group, got 2 groups"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Linear(8, 6), nn.ReLU()))
