"""Masks: exact counts, chosen as by a plain sort, and zeros that no optimiser brings back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, MLP, GPTConfig, LeNet
from tinytorch.systems import (
    GradualPruner,
    Pruner,
    cubic_sparsity,
    layer_sparsity,
    prunable_weights,
    prune_magnitude,
    prune_n_m,
    sparsity,
)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=3),
    share=st.floats(0.0, 0.9),
)
@pytest.mark.nojit_ok
def test_a_layer_loses_exactly_its_smallest_weights(sizes, share):
    model = nn.Sequential(*[nn.Linear(inputs, outputs) for inputs, outputs in sizes])
    weights = [layer.weight.data.copy() for layer in model]
    if any(round(share * weight.size) == weight.size for weight in weights):
        with pytest.raises(ValueError, match="nothing would be left of"):
            prune_magnitude(model, share, "layer")
        return
    prune_magnitude(model, share, "layer")
    for before, layer in zip(weights, model, strict=True):
        dropped = round(share * before.size)
        expected = before.ravel().copy()
        expected[np.argsort(np.abs(expected))[:dropped]] = 0
        assert (layer.weight.data.ravel() == expected).all()


@pytest.mark.nojit_ok
def test_globally_the_smallest_of_all_layers_go():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].weight.data = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    model[1].weight.data = -10.0 * np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    pruner = prune_magnitude(model, 0.5)
    assert (model[0].weight.data.ravel() == [0] * 9 + [10, 11, 12]).sum() >= 11, "10 stands in both layers"
    assert sparsity(model) == pruner.sparsity == 0.5
    assert layer_sparsity(model)["0.weight"] > layer_sparsity(model)["1.weight"]


def _step(model, optimizer, x):
    optimizer.zero_grad()
    model(x).square().sum().backward()
    optimizer.step()


OPTIMIZERS = {
    "momentum": lambda p: tt.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda p: tt.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: tt.optim.RMSprop(p, lr=0.01, momentum=0.5),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("first", [True, False], ids=["optimizer first", "pruner first"])
def test_no_optimizer_revives_a_weight(make, first):
    """Momentum from before the pruning pushes at the zeros; the flat buffer is the parameters' memory."""
    tt.manual_seed(0)
    model, x = MLP(6, (5, 4), 3), tt.randn(8, 6)
    optimizer = make(model.parameters())
    for _ in range(3):
        _step(model, optimizer, x)
    if not first:
        optimizer = make(model.parameters())
    pruner = prune_magnitude(model, 0.5)
    zeros = {name: ~mask for name, mask in pruner.masks.items()}
    if not first:
        optimizer = make(model.parameters())
    for _ in range(3):
        _step(model, optimizer, x)
        pruner.apply()
    named = dict(model.named_parameters())
    for name, zero in zeros.items():
        assert (named[name].data[zero] == 0).all()
        assert (named[name].data[~zero] != 0).all()
    _step(model, optimizer, x)
    if first:
        assert sparsity(model) < 0.5, "without apply() momentum moves them: the test can fail"


@pytest.mark.nojit_ok
def test_a_weight_that_became_nan_is_zero_again():
    layer = nn.Linear(4, 4)
    pruner = prune_magnitude(layer, 0.5)
    layer.weight.data = np.full((4, 4), np.nan, np.float32)
    pruner.apply()
    assert (np.isnan(layer.weight.data) == pruner.masks["weight"]).all()


@pytest.mark.nojit_ok
def test_a_graph_from_before_notices():
    layer = nn.Linear(3, 3)
    x = tt.ones(1, 3, requires_grad=True)
    loss = layer(x).sum()
    prune_magnitude(layer, 0.5)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.nojit_ok
def test_what_is_pruned_and_what_is_not():
    gpt = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))
    assert list(prunable_weights(gpt)) == [
        f"h.0.{name}.weight" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    assert list(prunable_weights(nn.MultiheadAttention(8, 2))) == ["in_proj_weight", "out_proj.weight"]
    lenet = LeNet(1, 8, channels=(4, 8), hidden=16)
    assert list(prunable_weights(lenet, layers=["head"], exclude=["head.3"])) == ["head.1.weight"]
    pruned = prune_magnitude(lenet, 0.5, exclude=["features.0"])
    assert "features.0.weight" not in pruned.masks
    assert (lenet.features[0].weight.data != 0).all()


@pytest.mark.nojit_ok
def test_tied_weights_are_counted_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert list(prunable_weights(model)) == ["0.weight"]


def test_sparsity_grows_along_a_cubic_and_never_falls():
    tt.manual_seed(0)
    model, x = MLP(10, (20,), 10), tt.randn(4, 10)
    optimizer = tt.optim.AdamW(model.parameters(), lr=0.01)
    pruner = GradualPruner(model, 0.8, steps=10, every=3, initial=0.2)
    found, before = [], None
    for _ in range(12):
        _step(model, optimizer, x)
        pruner.apply()
        zero = np.concatenate([~mask.ravel() for mask in pruner.masks.values()])
        assert before is None or (zero >= before).all(), "what is zero stays zero"
        before = zero
        found.append(sparsity(model))
    reached = [0.2, 0.2, *[cubic_sparsity(s, 10, 0.8, 0.2) for s in (3, 3, 3, 6, 6, 6, 9, 10, 10, 10)]]
    assert found == pytest.approx(reached, abs=0.5 / 400 + 1e-9)
    assert found[-1] == 0.8


@given(outputs=st.integers(1, 5), groups=st.integers(1, 4), m=st.integers(2, 5), data=st.data())
@pytest.mark.nojit_ok
def test_n_of_every_m(outputs, groups, m, data):
    n = data.draw(st.integers(1, m - 1))
    layer = nn.Linear(groups * m, outputs)
    before = np.abs(layer.weight.data.reshape(outputs, groups, m))
    prune_n_m(layer, n, m)
    after = np.abs(layer.weight.data.reshape(outputs, groups, m))
    assert ((after != 0).sum(2) == n).all()
    assert (np.sort(after, 2)[..., m - n :] == np.sort(before, 2)[..., m - n :]).all(), "the largest stay"


@pytest.mark.nojit_ok
def test_of_a_convolution_the_input_channels_are_grouped():
    layer = nn.Conv2d(8, 3, 3)
    prune_n_m(layer, 2, 4)
    assert ((layer.weight.data.reshape(3, 2, 4, 3, 3) != 0).sum(2) == 2).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: prune_magnitude(m, 1.0), "expected a sparsity from 0 up and below 1, got 1.0"),
        (lambda m: prune_magnitude(m, -0.1), "expected a sparsity from 0 up and below 1, got -0.1"),
        (lambda m: prune_magnitude(m, float("nan")), "expected a sparsity from 0 up and below 1, got nan"),
        (lambda m: prune_magnitude(m, 0.5, "row"), 'expected scope "global" or "layer", got \'row\''),
        (
            lambda m: prune_magnitude(m, 0.5, layers=["3"]),
            "'3' has no weights to prune; these have: 0.weight",
        ),
        (lambda m: prune_magnitude(m, 0.5, exclude=["1"]), "'1' has no weights to prune"),
        (lambda m: prune_magnitude(m, 0.5, exclude=["0", "2"]), "that is not excluded, got none"),
        (lambda m: prune_magnitude(nn.ReLU(), 0.5), "at least one linear layer or convolution in ReLU"),
        (lambda m: prune_magnitude(m, 0.95), r"nothing would be left of 2.weight \(2 weights\)"),
        (lambda m: prune_n_m(m, 4, 4), "expected 1 <= n < m, got n=4 and m=4"),
        (lambda m: prune_n_m(m, 2, 3), "0.weight has 8 inputs, which 3 does not divide. Exclude it"),
        (lambda m: GradualPruner(m, 0.5, 0), "expected steps and every to be 1 or more, got 0 and 1"),
        (lambda m: GradualPruner(m, 0.5, 9, initial=0.6), "from 0 to the final 0.5, got 0.6"),
        (lambda m: Pruner(m, {"0.weight": np.ones(3)}), r"a mask for 0.weight of shape \(2, 8\), got \(3,\)"),
        (lambda m: Pruner(m, {"x": np.ones(3)}), "a mask for x of shape one of 0.weight, .* got 'x'"),
    ],
)
@pytest.mark.nojit_ok
def test_refusals(call, message):
    model = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 1))
    model[2].weight.data = np.full((1, 2), 1e-3, np.float32)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match=message):
        call(model)
    assert all((p.data == before[name]).all() for name, p in model.named_parameters())


@pytest.mark.nojit_ok
def test_one_string_is_no_list_of_names():
    with pytest.raises(TypeError, match="expected layers to be a list of names, got one string 'hidden'"):
        prune_magnitude(MLP(4, (3,), 2), 0.5, layers="hidden")
