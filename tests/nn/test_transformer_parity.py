"""Attention and transformer layers beside PyTorch's, from its own state dicts: results and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def normal(*shape):
    return RNG.standard_normal(shape)


def both(kind: str, *args: Any, dtype: Any = np.float64, **options: Any) -> tuple[Any, Any]:
    """Our layer and PyTorch's, with the same names and the same random numbers."""
    theirs = getattr(torch.nn, kind)(*args, **options, dtype=getattr(torch, np.dtype(dtype).name))
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.from_numpy(0.5 * normal(*p.shape)))
    return twin(kind, theirs, *args, dtype=dtype, **options), theirs


def twin(kind: str, theirs: Any, *args: Any, **options: Any) -> Any:
    ours = getattr(nn, kind)(*args, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    return ours


def tensors(library: Any, arrays: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """Arrays as tensors, those of floats with a gradient, one for each array; all else as it is."""
    known: dict[int, Any] = {}
    for a in arrays.values():
        if isinstance(a, np.ndarray) and id(a) not in known:
            real = a.dtype.kind == "f"
            known[id(a)] = library.tensor(a.astype(dtype) if real else a, requires_grad=real)
    return {name: known.get(id(a), a) for name, a in arrays.items()}


def compare(ours: Any, theirs: Any, arrays: dict[str, Any], dtype: Any, **options: Any) -> None:
    """Every result, and the gradients of every argument and parameter."""
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    mine, other = tensors(tt, arrays, dtype), tensors(torch, arrays, dtype)
    found, expected = ours(**mine, **options), theirs(**other, **options)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    losses = []
    for y, wanted in zip(found, expected, strict=True):
        assert (y is None) == (wanted is None)
        if y is None:
            continue
        assert (y.shape, str(y.dtype)) == (tuple(wanted.shape), str(wanted.dtype).removeprefix("torch."))
        np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), **tolerance)
        g = (normal(*y.shape) / np.sqrt(y.shape[-1])).astype(dtype)
        losses.append(((y * tt.tensor(g)).sum(), (wanted * torch.tensor(g)).sum()))
    sum(a for a, _ in losses).backward()
    sum(b for _, b in losses).backward()
    pairs = [(name, mine[name], other[name]) for name in arrays if hasattr(other[name], "requires_grad")]
    pairs += [(name, ours.get_parameter(name), p) for name, p in theirs.named_parameters()]
    for name, a, b in pairs:
        if b.grad is None:
            assert a.grad is None, name
            continue
        wanted = b.grad.numpy()
        scale = max(1.0, np.abs(wanted).max(initial=0.0))
        np.testing.assert_allclose(a.grad.numpy() / scale, wanted / scale, err_msg=name, **tolerance)


# --- attention ------------------------------------------------------------------------------------------


@st.composite
def attentions(draw: Any) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Arguments of the layer, its options, arrays to call it with, and options of the call."""
    heads, n, l = draw(st.sampled_from([1, 2, 3])), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    width, batch_first, batched = heads * draw(st.integers(1, 4)), draw(st.booleans()), draw(st.booleans())
    itself = draw(st.booleans())
    s = l if itself else draw(st.integers(1, 5))
    kdim, vdim = (None if itself else draw(st.sampled_from([None, 3, 5])) for _ in range(2))
    options = {
        "bias": draw(st.booleans()),
        "batch_first": batch_first,
        "add_bias_kv": draw(st.sampled_from([False, False, True])),
        "add_zero_attn": draw(st.sampled_from([False, False, True])),
        "kdim": kdim,
        "vdim": vdim,
    }

    def sequence(length: int, columns: int | None) -> np.ndarray:
        shape = (length, columns or width)
        return normal(*((n, *shape) if batch_first else (length, n, shape[1])) if batched else shape)

    query = sequence(l, None)
    key = query if itself else sequence(s, kdim)
    value = key if kdim is vdim is None else sequence(s, vdim)
    arrays: dict[str, Any] = {"query": query, "key": key, "value": value}

    def mask(*shape: int) -> np.ndarray:
        if not draw(st.booleans()):
            return normal(*shape)
        forbidden = RNG.random(shape) < 0.4
        forbidden[..., 0] = False  # a query that may look at nothing has no answer
        return forbidden

    batch = n if batched else 1
    which = draw(st.sampled_from(["none", "none", "padding", "matrix", "heads", "both"]))
    if which in ("padding", "both"):
        arrays["key_padding_mask"] = mask(*((n, s) if batched else (s,)))
    if which in ("matrix", "both"):
        arrays["attn_mask"] = mask(l, s)
    if which == "heads":
        arrays["attn_mask"] = mask(batch * heads, l, s)
    call = {"need_weights": draw(st.booleans()), "average_attn_weights": draw(st.booleans())}
    return (width, heads), options, arrays, call


@DTYPES
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask and attn_mask")
@given(case=attentions())
def test_multihead_attention(case, dtype):
    args, options, arrays, call = case
    ours, theirs = both("MultiheadAttention", *args, **options, dtype=dtype)
    compare(ours, theirs, arrays, dtype, **call)


@DTYPES
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_causal_attention(need_weights, padded, dtype):
    ours, theirs = both("MultiheadAttention", 6, 2, dtype=dtype)
    x = normal(5, 3, 6)
    arrays = {"query": x, "key": x, "value": x, "attn_mask": np.triu(np.ones((5, 5), np.bool_), 1)}
    if padded:
        arrays["key_padding_mask"] = np.arange(5) >= np.array([[5], [3], [2]])
    compare(ours, theirs, arrays, dtype, is_causal=True, need_weights=need_weights)


def test_attention_starts_as_in_torch():
    """The same spread, or the same constant, in each parameter."""
    tt.manual_seed(0)
    torch.manual_seed(0)
    for options in ({"add_bias_kv": True}, {"kdim": 20, "vdim": 50}):
        ours, theirs = (lib.MultiheadAttention(64, 4, **options) for lib in (nn, torch.nn))
        assert [name for name, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
        for name, p in theirs.named_parameters():
            mine = ours.get_parameter(name)
            assert mine.shape == tuple(p.shape), name
            tolerance = 0.5 if "bias_" in name else 0.03  # 64 numbers, or thousands
            assert mine.std().item() == pytest.approx(p.std().item(), rel=tolerance), name
            if "bias_" not in name:
                assert mine.abs().max().item() == pytest.approx(p.abs().max().item(), rel=0.01), name


# --- transformer layers and stacks ----------------------------------------------------------------------

LAYERS = {
    "post-norm": {},
    "pre-norm": {"norm_first": True},
    "gelu": {"activation": "gelu", "norm_first": True, "batch_first": True},
    "without bias": {"bias": False, "batch_first": True},
    "eps": {"layer_norm_eps": 0.1},
}
SIZES = (8, 2, 12, 0.0)  # d_model, nhead, dim_feedforward, dropout
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)


def sequences(options: dict[str, Any], **lengths: int) -> dict[str, Any]:
    first = options.get("batch_first", False)
    return {name: normal(*((2, n) if first else (n, 2)), 8) for name, n in lengths.items()}


def padding(length: int) -> np.ndarray:
    return np.arange(length) >= np.array([[length], [2]])


@DTYPES
@layers
@pytest.mark.parametrize("training", [True, False])
def test_encoder_layer(options, dtype, training):
    ours, theirs = both("TransformerEncoderLayer", *SIZES, **options, dtype=dtype)
    ours.train(training), theirs.train(training)
    src = sequences(options, src=5)
    compare(ours, theirs, src, dtype)
    masks = {"src_mask": normal(5, 5), "src_key_padding_mask": np.where(padding(5), -np.inf, 0.0)}
    ours.zero_grad(), theirs.zero_grad()
    compare(ours, theirs, {**src, **masks}, dtype)


@DTYPES
@layers
@pytest.mark.parametrize("training", [True, False])
def test_decoder_layer(options, dtype, training):
    ours, theirs = both("TransformerDecoderLayer", *SIZES, **options, dtype=dtype)
    ours.train(training), theirs.train(training)
    given_ = sequences(options, tgt=4, memory=6)
    compare(ours, theirs, given_, dtype)
    masks = {
        "tgt_mask": np.triu(np.ones((4, 4), np.bool_), 1),
        "memory_mask": RNG.permuted(np.tile(np.arange(6) < 3, (4, 1)), axis=1),
        "tgt_key_padding_mask": padding(4),
    }
    ours.zero_grad(), theirs.zero_grad()
    compare(ours, theirs, {**given_, **masks}, dtype, tgt_is_causal=True)


def shaken(model: Any) -> Any:
    """Other numbers in each copy of a layer, so that a mix-up of them shows."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.from_numpy(0.1 * normal(*p.shape)))
    return model


@DTYPES
@pytest.mark.parametrize("causal", [False, True])
def test_encoder(causal, dtype):
    ours_layer, theirs_layer = both("TransformerEncoderLayer", *SIZES, dtype=dtype)
    norm = torch.nn.LayerNorm(8, dtype=getattr(torch, np.dtype(dtype).name))
    theirs = shaken(torch.nn.TransformerEncoder(theirs_layer, 3, norm, enable_nested_tensor=False))
    ours = twin("TransformerEncoder", theirs, ours_layer, 3, nn.LayerNorm(8, dtype=dtype))
    arrays = sequences({}, src=5)
    if causal:
        arrays["mask"] = np.triu(np.ones((5, 5), np.bool_), 1)
    compare(ours, theirs, arrays, dtype)


@DTYPES
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_transformer(dtype):
    sizes, options = (8, 2, 2, 2, 12, 0.0), {"batch_first": True, "norm_first": True}
    ours, theirs = both("Transformer", *sizes, **options, dtype=dtype)
    theirs = shaken(theirs)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    arrays = sequences(options, src=6, tgt=4)
    arrays["tgt_mask"] = np.triu(np.ones((4, 4), np.bool_), 1)
    arrays["src_key_padding_mask"] = arrays["memory_key_padding_mask"] = padding(6)
    compare(ours, theirs, arrays, dtype)


def test_the_causal_mask():
    ours, theirs = (lib.Transformer.generate_square_subsequent_mask(4) for lib in (nn, torch.nn))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert ours.dtype == np.float32
