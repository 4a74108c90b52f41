"""Weight-only quantisation: what the codes stand for, on every path, on disk, and in a GPT that generates."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, GPTConfig, gpt_step
from tinytorch.nn import functional as F
from tinytorch.systems import WeightOnlyEmbedding, WeightOnlyLinear, quantize_weight_only
from tinytorch.text import generate

SHAKESPEARE = Path(__file__).parents[2] / "milestones" / "weights" / "vaswani_shakespeare.safetensors"
LETTERS = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SPEECH = """First Citizen:
Before we proceed any further, hear me speak.

All:
Speak, speak.

First Citizen:
You are all resolved rather to die than to famish?
"""


def mlp() -> nn.Sequential:
    tt.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 10, bias=False))


def gpt(**changes: object) -> GPT:
    tt.manual_seed(0)
    settings = {"vocab_size": 21, "block_size": 12, "n_layer": 2, "n_head": 2, "n_embd": 24, **changes}
    model = GPT(GPTConfig(**settings))  # pyright: ignore[reportArgumentType]
    with tt.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + 0.1 * tt.randn(*parameter.shape))
    return model.eval()


def dequantized(small: nn.Module, model: nn.Module) -> nn.Module:
    """`model` with the weights that the codes of `small` stand for."""
    plain = copy.deepcopy(model)
    for name, layer in small.named_modules():
        if isinstance(layer, (WeightOnlyLinear, WeightOnlyEmbedding)):
            with tt.no_grad():
                plain.get_submodule(name).get_parameter("weight").copy_(layer.weight)
    return plain.requires_grad_(False)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rows", [1, 16, 17, 64], ids=str)  # the codes as they are, or a matrix made of them
def test_every_path_computes_with_what_the_codes_stand_for(bits, rows):
    model, x = mlp(), tt.randn(rows, 30)
    small = quantize_weight_only(model, bits, group=32)
    expected = dequantized(small, model)(x).numpy()
    np.testing.assert_allclose(small(x).numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(small(x[0]).numpy(), expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(small(x.reshape(rows, 1, 30)).numpy()[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_the_model_is_untouched_and_the_copy_is_frozen():
    model = mlp()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    small = quantize_weight_only(model)
    assert not any(p.requires_grad for p in small.parameters())
    assert all(p.requires_grad for p in model.parameters())
    small[0].bias.data[:] = 7
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_int8_is_off_by_half_a_step_at_most():
    model = mlp()
    weight, found = model[0].weight.data, quantize_weight_only(model)[0].weight.numpy()
    step = np.abs(weight).max(1, keepdims=True) / 127
    assert (np.abs(weight - found) <= 0.5001 * step).all()
    np.testing.assert_allclose(np.abs(found).max(1), np.abs(weight).max(1), rtol=1e-6)


def test_int4_loses_less_than_the_largest_number_as_scale_would():
    weight = np.random.default_rng(0).standard_normal((40, 128)).astype(np.float32)
    linear = nn.Linear(128, 40)
    linear.weight.data[:] = weight
    found = quantize_weight_only(linear, 4, 32).weight.numpy()
    parts = weight.reshape(40, 4, 32)
    scale = np.abs(parts).max(2, keepdims=True) / 7
    simple = (np.rint(parts / scale) * scale).reshape(40, 128)
    assert np.square(found - weight).sum() < 0.85 * np.square(simple - weight).sum()


def test_rows_of_zeros_stay_zeros():
    linear = nn.Linear(8, 3)
    linear.weight.data[1] = 0
    for bits in (8, 4):
        found = quantize_weight_only(linear, bits, 4).weight.numpy()
        assert np.isfinite(found).all()
        assert not found[1].any()
        assert found[0].any()


@pytest.mark.parametrize("bits", [8, 4])
def test_what_is_stored(tmp_path, bits):
    model = mlp()
    small = quantize_weight_only(model, bits, 8)
    state = small.state_dict()
    assert {name: value.dtype for name, value in state.items()} == {
        "0.codes": np.int8 if bits == 8 else np.uint8, "0.scales": np.float32, "0.bias": np.float32,
        "2.codes": np.int8 if bits == 8 else np.uint8, "2.scales": np.float32,
    }  # fmt: skip
    tt.save(state, tmp_path / "small.safetensors")
    other = quantize_weight_only(
        nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 10, False)), bits, 8
    )
    other.load_state_dict(tt.load(tmp_path / "small.safetensors"))
    x = tt.randn(3, 30)
    np.testing.assert_array_equal(other(x).numpy(), small(x).numpy())


def test_bytes_on_disk(tmp_path):
    model, sizes = nn.Linear(512, 512, bias=False), {}
    for name, kind in (
        ("float", model),
        (8, quantize_weight_only(model)),
        (4, quantize_weight_only(model, 4)),
    ):
        path = tmp_path / str(name)
        tt.save(kind.state_dict(), path)
        sizes[name] = path.stat().st_size
    assert sizes["float"] > 3.9 * sizes[8]
    assert sizes["float"] > 6.9 * sizes[4]


def test_a_shared_layer_stays_shared():
    linear = nn.Linear(4, 4)
    small = quantize_weight_only(nn.Sequential(linear, nn.ReLU(), linear))
    assert small[0] is small[2]


def test_gradients_flow_to_the_input():
    model = mlp()
    small, gradients = quantize_weight_only(model), []
    for kind in (small, dequantized(small, model)):
        x = tt.ones(2, 30, requires_grad=True)
        kind(x).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"bits": 2}, ValueError, "expected bits of 8 or 4, got 2"),
        ({"group": 30}, ValueError, "expected a group that is a multiple of 4, got 30"),
        ({"group": True}, ValueError, "a multiple of 4, got True"),
        ({"model": nn.ReLU()}, ValueError, "expected a model with nn.Linear layers, got ReLU without any"),
        ({"model": nn.Linear(2, 2).double()}, TypeError, "expected float32 weights, got float64"),
    ],
    ids=str,
)
def test_what_is_refused(change, kind, text):
    with pytest.raises(kind, match=text):
        quantize_weight_only(**{"model": mlp(), **change})


def test_weights_that_are_not_finite_are_named():
    model = mlp()
    model[2].weight.data[1, 1] = np.nan
    with pytest.raises(ValueError, match="the weights of '2' are not finite"):
        quantize_weight_only(model)


def test_a_converted_model_says_what_to_do():
    small = quantize_weight_only(mlp()).double()
    with pytest.raises(TypeError, match=r"expected scales in float32, got float64.*call float\(\) on it"):
        small(tt.zeros(1, 30))
    assert small.float()(tt.zeros(1, 30)).shape == (1, 10)


def test_an_input_of_another_width_is_refused():
    with pytest.raises(ValueError, match="expected an input with 30 features"):
        quantize_weight_only(mlp())(tt.zeros(1, 29))


# --- a GPT ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["learned", "rotary", "odd", "no bias"])
def model(request) -> GPT:
    return gpt(
        **{
            "learned": {},
            "rotary": {"positions": "rotary"},
            "odd": {"n_embd": 21, "n_head": 1},  # no multiple of 4: the layers are called
            "no bias": {"bias": False, "positions": "rotary"},
        }[request.param]
    )


@pytest.mark.parametrize("bits", [8, 4])
def test_logits_are_those_of_the_dequantized_model_on_every_path(model, bits):
    small = quantize_weight_only(model, bits, 8)
    assert isinstance(small, GPT)
    assert isinstance(small.wte, WeightOnlyEmbedding)
    tokens = np.random.default_rng(0).integers(0, 21, (3, 12))
    with tt.no_grad():
        expected = dequantized(small, model)(tokens).numpy()
        cache, steps = small.new_cache(3), []
        for i in range(12):
            steps.append(small(tokens[:, i : i + 1], cache).numpy())
        np.testing.assert_allclose(small(tokens).numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.concatenate(steps, 1), expected, rtol=1e-4, atol=1e-5)


def test_generation_with_and_without_a_cache_is_the_same(model):
    small = quantize_weight_only(model, 4, 8)
    texts = [generate(small, [1, 2], 20, seed=0, use_cache=cached) for cached in (True, False)]
    np.testing.assert_array_equal(*texts)


def test_a_step_is_taken_where_it_can_be(monkeypatch):
    small, taken = quantize_weight_only(gpt()), []
    step = gpt_step.weight_only.block_step
    monkeypatch.setattr(
        gpt_step.weight_only, "block_step", lambda *arguments: (taken.append(1), step(*arguments))
    )
    generate(small, [1], 3, seed=0)
    assert len(taken) == 2 * 3
    seen = []
    with small.h[1].mlp.c_fc.register_forward_hook(lambda *arguments: seen.append(1)):
        generate(small, [1], 3, seed=0)
    assert len(taken) == 2 * 3
    assert len(seen) == 3


def test_layers_of_both_kinds_are_called(monkeypatch):
    model = gpt()
    small = quantize_weight_only(model)
    small.h[0].attn.c_proj = copy.deepcopy(model.h[0].attn.c_proj)
    assert gpt_step.layers_of(small) is None
    tokens = np.array([[3, 4, 5]])
    with tt.no_grad():
        cache = small.new_cache()
        steps = [small(tokens[:, i : i + 1], cache).numpy() for i in range(3)]
        np.testing.assert_allclose(np.concatenate(steps, 1), small(tokens).numpy(), rtol=1e-4, atol=1e-5)


def test_a_token_that_is_none_is_refused():
    small = quantize_weight_only(gpt())
    for tokens in ([[21]], [[-1]]):
        with pytest.raises(IndexError, match="WeightOnlyEmbedding"):
            small(np.array(tokens))


def loss_of(model: nn.Module, tokens: np.ndarray) -> float:
    with tt.no_grad():
        logits = model(tokens[None, :-1])
        return float(F.cross_entropy(logits[0], tt.tensor(tokens[1:])).numpy())


def test_the_trained_gpt_keeps_its_loss():
    model = GPT(GPTConfig(65, 256, n_layer=4, n_head=4, n_embd=128, positions="rotary")).eval()
    model.load_state_dict(tt.load(SHAKESPEARE)["weights"])
    tokens = np.array([LETTERS.index(letter) for letter in SPEECH])[:65]
    exact = loss_of(model, tokens)
    assert exact < 2.2
    assert abs(loss_of(quantize_weight_only(model), tokens) - exact) < 0.02
    assert abs(loss_of(quantize_weight_only(model, 4, 32), tokens) - exact) < 0.1


def test_repr_tells_bits_and_groups():
    expected = "WeightOnlyLinear(in_features=8, out_features=3, bits=4, group=8)"
    assert repr(WeightOnlyLinear(nn.Linear(8, 3), 4, 8)).startswith(expected)
