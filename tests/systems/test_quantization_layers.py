"""Quantised layers against the same arithmetic in NumPy's int64, and what is between them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn
from tinytorch.systems.quantization import (
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedLinear,
    QuantizedMultiheadAttention,
    choose_qparams,
)
from tinytorch.systems.quantization._codes import (
    Codes,
    QuantizedFlatten,
    QuantizedGlobalMaxPool2d,
    QuantizedMaxPool2d,
)
from tinytorch.systems.quantization._layers import Scale

pytestmark = pytest.mark.nojit_ok


@pytest.fixture(autouse=True)
def no_gradients():
    with tt.no_grad():
        yield


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def scale_of(scale, zero):
    return Scale(np.float32([scale]), np.int32([zero]), float(np.float32(scale)), zero)


def exact(x, weight, bias, stride=1, padding=0, dilation=1):
    """A convolution, or a product of two matrices, in float64."""
    x, weight = tt.Tensor(x.astype(np.float64)), tt.Tensor(weight.astype(np.float64))
    bias = None if bias is None else tt.Tensor(bias.data.astype(np.float64))
    if weight.ndim == 2:
        return nn.functional.linear(x, weight, bias).numpy()
    return nn.functional.conv2d(x, weight, bias, stride, padding, dilation).numpy()


# --- linear ---------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 20), st.booleans(), st.booleans(), st.booleans())
def test_a_linear_layer_is_that_of_what_its_codes_stand_for(n, k, m, bias, per_channel, relu):
    layer, x = nn.Linear(k, m, bias=bias), drawn(n, k)
    p = choose_qparams(x.min(), x.max())
    made = QuantizedLinear.from_float(layer, p, per_channel, relu)
    wanted = exact(p.dequantize(p.quantize(x)), made.dequantized(), layer.bias)
    wanted = np.maximum(wanted, 0) if relu else wanted
    got = made(tt.Tensor(x)).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (2, 1, 3, 7), (0, 7)])
@pytest.mark.parametrize("static", [True, False])
def test_leading_dimensions(shape, static):
    layer, x = nn.Linear(7, 5), tt.Tensor(drawn(*shape))
    made = QuantizedLinear.from_float(layer, choose_qparams(-4, 4) if static else None)
    assert made(x).shape == (*shape[:-1], 5)
    np.testing.assert_allclose(made(x).numpy(), layer(x).numpy(), atol=0.15)


def test_rows_have_scales_of_their_own():
    """A row of small numbers beside one of large ones, which one scale for both would round to nothing."""
    layer = nn.Linear(16, 4, bias=False)
    x = drawn(2, 16) * np.float32([[1e-4], [1e4]])
    wanted, got = layer(tt.Tensor(x)).numpy(), QuantizedLinear.from_float(layer)(tt.Tensor(x)).numpy()
    np.testing.assert_allclose(
        got / np.float32([[1e-4], [1e4]]), wanted / np.float32([[1e-4], [1e4]]), atol=0.05
    )


def test_channels_have_scales_of_their_own():
    layer = nn.Linear(8, 2, bias=False)
    layer.weight._data[0] *= 1e-3
    x = tt.Tensor(drawn(4, 8))
    wanted = layer(x).numpy()[:, 0]
    each = QuantizedLinear.from_float(layer)(x).numpy()[:, 0]
    one = QuantizedLinear.from_float(layer, per_channel=False)(x).numpy()[:, 0]
    assert np.abs(each - wanted).max() < 0.1 * np.abs(one - wanted).max()


def test_what_it_refuses():
    made = QuantizedLinear.from_float(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"QuantizedLinear: expected an input with 3 features, got \(2, 4\)"):
        made(tt.zeros(2, 4))
    codes = Codes(np.zeros((2, 5), np.uint8), scale_of(1.0, 0))
    with pytest.raises(ValueError, match=r"expected an input with 3 features, got \(2, 5\)"):
        made(codes)
    with pytest.raises(AttributeError, match="weight"):
        made.weight  # noqa: B018
    with pytest.raises(TypeError, match="QuantizedLinear: expected int8 codes, got float32"):
        QuantizedLinear(np.zeros((2, 3), np.float32), np.ones(2))
    with pytest.raises(
        ValueError, match="expected one uint8 scale for all activations, got int8 along axis None"
    ):
        QuantizedLinear.from_float(nn.Linear(3, 2), choose_qparams(-1, 1, dtype=np.int8))
    layer = nn.Linear(3, 2)
    layer.weight._data[0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite weights"):
        QuantizedLinear.from_float(layer)


def test_a_gradient_that_is_lost_says_where():
    with tt.enable_grad():
        x = tt.ones(2, 3, requires_grad=True)
        loss = QuantizedLinear.from_float(nn.Linear(3, 2))(x).sum()
        with pytest.raises(RuntimeError, match="a quantised layer, which has no gradient"):
            loss.backward()


# --- state ----------------------------------------------------------------------------------------------


def test_the_state_is_int8_and_loading_restores_it():
    first = QuantizedLinear.from_float(nn.Linear(6, 4), choose_qparams(-3, 3))
    other = QuantizedLinear.from_float(nn.Linear(6, 4), choose_qparams(0, 1))
    x = tt.Tensor(drawn(5, 6))
    before = other(x).numpy()  # its weights are packed now
    state = {name: tt.Tensor(t.data.copy()) for name, t in first.state_dict().items()}
    assert {name: str(t.dtype) for name, t in state.items()} == {
        "codes": "int8", "scale": "float32", "bias": "float32", "activation": "float32"
    }  # fmt: skip
    other.load_state_dict(state)
    assert np.array_equal(other(x).numpy(), first(x).numpy())
    assert not np.array_equal(other(x).numpy(), before)
    third = QuantizedLinear.from_float(nn.Linear(6, 4), choose_qparams(0, 1))
    third(x)
    third.load_state_dict(state, assign=True)
    assert np.array_equal(third(x).numpy(), first(x).numpy())
    third.codes = tt.Tensor(np.zeros((4, 6), np.int8))
    np.testing.assert_allclose(third(x).numpy(), np.tile(first.bias.data, (5, 1)), rtol=1e-6)


def test_a_scale_that_changes_behind_is_noticed_before():
    first = QuantizedLinear.from_float(nn.Linear(6, 4), choose_qparams(-3, 3))
    second = QuantizedLinear.from_float(nn.Linear(4, 2), choose_qparams(-3, 3))
    first.hand_codes_to(second)
    x = tt.Tensor(drawn(5, 6))
    assert first(x).scale.factor == np.float32(6 / 255)
    second.load_state_dict({**second.state_dict(), "activation": np.float32([0.5, 7])})
    assert first(x).scale[2:] == (0.5, 7)
    assert second(first(x)).shape == (5, 2)
    first.hand_codes_to(None)
    assert type(first(x)) is tt.Tensor


def test_a_copy_packs_for_itself():
    layer = QuantizedLinear.from_float(nn.Linear(6, 4))
    x = tt.Tensor(drawn(2, 6))
    before = layer(x).numpy()
    twin = copy.deepcopy(layer)
    twin.scale._data[:] = 0
    twin.bias._data[:] = 0
    assert not twin(x).numpy().any()
    assert np.array_equal(layer(x).numpy(), before)
    assert repr(layer) == "QuantizedLinear(6, 4, bias=True, int8 per channel, input per row, output float32)"


# --- convolution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {}, {"padding": 1}, {"stride": 2, "padding": (0, 2)}, {"dilation": 2}, {"padding": "same"},
        {"bias": False, "padding": "valid"}, {"kernel_size": (1, 3), "stride": (1, 2)}, {"kernel_size": 1},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("channels", [(1, 2), (3, 5), (4, 8)])
def test_a_convolution_is_that_of_what_its_codes_stand_for(options, channels):
    layer = nn.Conv2d(*channels, **{"kernel_size": 3, **options})
    x = drawn(2, channels[0], 6, 7)
    p = choose_qparams(x.min(), x.max())
    for relu in (False, True):
        made = QuantizedConv2d.from_float(layer, p, relu=relu)
        wanted = exact(
            p.dequantize(p.quantize(x)), made.dequantized(), layer.bias, layer.stride, layer.padding,
            layer.dilation,
        )  # fmt: skip
        wanted = np.maximum(wanted, 0) if relu else wanted
        np.testing.assert_allclose(made(tt.Tensor(x)).numpy(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "int8 convolutions have one group, not 2"),
        (nn.Conv2d(1, 1, 2, padding="same"), "int8 convolutions pad both sides alike"),
    ],
)
def test_convolutions_that_int8_does_not_do(layer, text):
    with pytest.raises(ValueError, match=f"QuantizedConv2d: {text}"):
        QuantizedConv2d.from_float(layer, choose_qparams(0, 1))


def test_images_that_do_not_fit():
    made = QuantizedConv2d.from_float(nn.Conv2d(3, 2, 3), choose_qparams(0, 1))
    with pytest.raises(
        ValueError, match=r"expected an input \(n, 3, h, w\), got one of shape \(1, 2, 8, 8\)"
    ):
        made(tt.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match=r"at least as large as the window \(3, 3\)"):
        made(tt.zeros(1, 3, 8, 2))
    assert made(tt.zeros(0, 3, 5, 5)).shape == (0, 2, 3, 3)


# --- codes between layers -------------------------------------------------------------------------------


def images(n=2, channels=3, size=4, padding=(1, 2)):
    """Codes of images with borders, and their numbers."""
    floats = drawn(n, channels, size, size)
    p = choose_qparams(floats.min(), floats.max())
    made = QuantizedConv2d.from_float(nn.Conv2d(channels, channels, 1, bias=False), p)
    made.codes._data[...] = 127 * np.eye(channels, dtype=np.int8)[..., None, None]
    made.scale._data[:] = 1 / 127
    behind = QuantizedConv2d.from_float(nn.Conv2d(channels, 1, 1), p)
    made.hand_codes_to(behind)
    made.out_padding = padding
    return made(tt.Tensor(floats)), p.dequantize(p.quantize(floats))


def test_codes_look_like_the_tensor_they_stand_for():
    codes, floats = images()
    assert codes.shape == floats.shape
    assert codes.ndim == 4
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes.numpy(), floats, atol=codes.scale.factor * 1.01)
    assert (codes + 1).shape == floats.shape
    np.testing.assert_allclose((codes * 2).numpy(), 2 * codes.numpy())
    with pytest.raises(TypeError, match="cannot be changed in place"):
        codes.data = floats


@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (2, 1)])
def test_borders_are_made_to_fit(padding):
    codes, _ = images()
    inner, found = codes.without_border(), codes.with_border(padding)
    n, h, w, c = inner.shape
    assert found.shape == (n, h + 2 * padding[0], w + 2 * padding[1], c)
    assert np.array_equal(
        found[:, padding[0] : padding[0] + h, padding[1] : padding[1] + w, :3], inner[..., :3]
    )
    assert (found[:, : padding[0], :, :3] == codes.scale.code).all()


@pytest.mark.parametrize("window", [{"kernel_size": 2}, {"kernel_size": (3, 2), "stride": 1}], ids=str)
def test_pooling_of_codes_is_pooling(window):
    codes, _ = images()
    pool = QuantizedMaxPool2d(**window)
    pool.out_padding = (1, 1)
    got = pool(codes)
    assert type(got) is Codes
    assert np.array_equal(got.numpy(), nn.MaxPool2d(**window)(tt.Tensor(codes.numpy())).numpy())
    whole = QuantizedGlobalMaxPool2d(1)(codes)
    assert np.array_equal(whole.numpy(), codes.numpy().max((2, 3), keepdims=True))
    for layer in (pool, QuantizedGlobalMaxPool2d(1)):
        assert type(layer(tt.Tensor(codes.numpy()))) is tt.Tensor


def test_a_linear_layer_behind_flattened_images_reads_them_as_they_lie():
    codes, _ = images()
    flat = QuantizedFlatten()(codes)
    assert flat.shape == (2, 48)
    assert np.array_equal(flat.numpy(), codes.numpy().reshape(2, 48))
    p = choose_qparams(-4, 4)
    made = QuantizedLinear.from_float(nn.Linear(48, 5), p)
    wanted = exact(flat.numpy(), made.dequantized(), made.bias)
    np.testing.assert_allclose(made(flat).numpy(), wanted, rtol=1e-4, atol=1e-4)
    again = QuantizedFlatten()(flat)
    assert np.array_equal(again.numpy(), flat.numpy())


def test_flattening_of_numbers():
    x = tt.Tensor(drawn(2, 3, 4))
    assert np.array_equal(QuantizedFlatten()(x).numpy(), x.numpy().reshape(2, 12))
    assert QuantizedFlatten()(tt.zeros(0, 3, 4)).shape == (0, 12)
    with tt.enable_grad():
        x.requires_grad_()
        assert QuantizedFlatten()(x).requires_grad


# --- embedding and attention ----------------------------------------------------------------------------


def test_an_embedding():
    table = nn.Embedding(7, 5)
    made = QuantizedEmbedding.from_float(table)
    tokens = tt.tensor([[0, 6, 3], [1, 1, 2]])
    np.testing.assert_allclose(made(tokens).numpy(), table(tokens).numpy(), atol=0.015)
    assert np.array_equal(made(tokens).numpy(), made.dequantized()[tokens.numpy()])
    hidden = tt.Tensor(drawn(2, 3, 5))
    wanted = hidden.numpy() @ table.weight.detach().numpy().T
    np.testing.assert_allclose(made.as_output(hidden).numpy(), wanted, atol=0.1)
    with pytest.raises(IndexError, match="QuantizedEmbedding: expected indices from 0 to 6, got 7"):
        made(tt.tensor([7]))
    with pytest.raises(IndexError, match="got -1"):
        made(tt.tensor([-1]))


@pytest.mark.parametrize(
    ("options", "need_weights"),
    [({}, False), ({}, True), ({"kdim": 6, "vdim": 10}, False), ({"bias": False}, False),
     ({"add_bias_kv": True, "add_zero_attn": True}, True)],
)  # fmt: skip
def test_attention(options, need_weights):
    tt.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True, **options)
    made = QuantizedMultiheadAttention.from_float(layer)
    query = tt.Tensor(drawn(2, 5, 8))
    key, value = (
        (tt.Tensor(drawn(2, 4, options[name], seed=1)) for name in ("kdim", "vdim")) if "kdim" in options
        else (query, query)
    )  # fmt: skip
    wanted, weights = layer(query, key, value, need_weights=need_weights)
    got, found = made(query, key, value, need_weights=need_weights)
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), atol=0.02)
    if need_weights:
        np.testing.assert_allclose(found.numpy(), weights.numpy(), atol=0.02)
    extra = {"bias_k", "bias_v"} if "add_bias_kv" in options else set()
    assert {name for name, _ in made.named_parameters()} == extra
    assert {name.split(".")[0] for name in made.state_dict()} - extra == {
        "q_proj",
        "k_proj",
        "v_proj",
        "out_proj",
    }
    assert layer.in_proj_weight is not None or "kdim" in options
