"""Recurrent layers and cells beside PyTorch's with the same weights, and what they refuse."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.kernels.layouts import FLOATS
from tinytorch import nn

LAYERS = ("RNN", "LSTM", "GRU")
every_layer = pytest.mark.parametrize("kind", LAYERS)


@st.composite
def configurations(draw):
    """Kind, sizes, options, and how the input comes."""
    kind = draw(st.sampled_from(LAYERS))
    hidden = draw(st.integers(1, 6))
    options = {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if kind == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "LSTM":
        options["proj_size"] = draw(st.integers(0, hidden - 1))
    return SimpleNamespace(
        kind=kind, sizes=(draw(st.integers(1, 5)), hidden), options=options,
        steps=draw(st.integers(1, 5)), rows=draw(st.sampled_from([None, 1, 2, 3])),
        initial=draw(st.booleans()), dtype=draw(st.sampled_from(FLOATS)), seed=draw(st.integers(0, 99)),
    )  # fmt: skip


def as_list(result):
    """output, h_n and, of an LSTM, c_n."""
    output, states = result
    return [output, *(states if isinstance(states, tuple) else (states,))]


def assert_close(ours, theirs, dtype):
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance)


def compare(torch, ours, theirs, arrays, dtype, call):
    """Results, and gradients to inputs, initial states and parameters; `call(module, *tensors)` is a list."""
    mine = [tt.tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    results, expected = call(ours, *mine), call(theirs, *other)
    draw = np.random.default_rng(1)
    loss, loss_expected = 0.0, 0.0
    for y, wanted in zip(results, expected, strict=True):
        assert_close(y, wanted, dtype)
        weights = (draw.uniform(-1, 1, y.shape) / np.sqrt(y.numel())).astype(dtype)
        loss = loss + (y * tt.tensor(weights)).sum()
        loss_expected = loss_expected + (wanted * torch.tensor(weights)).sum()
    loss.backward()
    loss_expected.backward()
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for a, b in zip([*mine, *ours.parameters()], [*other, *theirs.parameters()], strict=True):
        assert_close(a.grad, b.grad, dtype)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@settings(max_examples=60)
@given(configurations())
def test_layers_like_torch(c):
    torch = pytest.importorskip("torch")
    torch.manual_seed(c.seed)
    theirs = getattr(torch.nn, c.kind)(*c.sizes, **c.options).to(getattr(torch, np.dtype(c.dtype).name))
    ours = getattr(nn, c.kind)(*c.sizes, **c.options, dtype=c.dtype)
    assert repr(ours).partition("  #")[0] == repr(theirs)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    s = np.random.default_rng(c.seed)
    shape = [c.steps] if c.rows is None else [c.steps, c.rows]
    lead = [c.options["num_layers"] * (1 + c.options["bidirectional"]), *shape[1:]]
    shape = shape[::-1] if c.options["batch_first"] else shape
    arrays = [s.uniform(-1, 1, (*shape, c.sizes[0])).astype(c.dtype)]
    if c.initial:
        sizes = [c.options.get("proj_size") or c.sizes[1], c.sizes[1]][: 2 if c.kind == "LSTM" else 1]
        arrays += [s.uniform(-1, 1, (*lead, size)).astype(c.dtype) for size in sizes]

    def call(module, x, *states):
        return as_list(module(x, *([states] if len(states) == 2 else states)))

    compare(torch, ours, theirs, arrays, c.dtype, call)


CELLS = {
    "RNNCell": {}, "RNNCell relu": {"nonlinearity": "relu"}, "LSTMCell": {}, "GRUCell": {},
    "GRUCell plain": {"bias": False}, "LSTMCell plain": {"bias": False}, "RNNCell plain": {"bias": False},
}  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("rows", [(), (3,)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CELLS)
def test_cells_like_torch(name, dtype, rows, initial):
    torch = pytest.importorskip("torch")
    kind, options = name.split()[0], CELLS[name]
    theirs = getattr(torch.nn, kind)(4, 5, **options).to(getattr(torch, np.dtype(dtype).name))
    ours = getattr(nn, kind)(4, 5, **options, dtype=dtype)
    assert repr(ours).partition("  #")[0] == repr(theirs)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    s = np.random.default_rng(0)
    arrays = [s.uniform(-1, 1, (*rows, 4)).astype(dtype)]
    if initial:
        count = 2 if kind == "LSTMCell" else 1
        arrays += [s.uniform(-1, 1, (*rows, 5)).astype(dtype) for _ in range(count)]

    def call(module, x, *states):
        after = module(x, *([states] if len(states) == 2 else states))
        return list(after) if isinstance(after, tuple) else [after]

    compare(torch, ours, theirs, arrays, dtype, call)


# --- what there is without PyTorch ----------------------------------------------------------------------


@every_layer
def test_all_starts_within_one_over_the_root_of_the_width(kind):
    layer = getattr(nn, kind)(3, 64, num_layers=2)
    for parameter in layer.parameters():
        assert 0.11 < parameter.detach().abs().max().item() <= 0.125


@every_layer
def test_cells_step_by_step_are_the_layer(kind):
    layer, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, state, steps = tt.randn(5, 2, 3), None, []
    for t in range(5):
        state = cell(x[t], state)
        steps.append(state[0] if kind == "LSTM" else state)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), tt.stack(steps).detach().numpy(), 1e-6, 1e-7)


@every_layer
def test_dropout_stands_between_layers_in_training_only(kind):
    layer, x = getattr(nn, kind)(3, 4, num_layers=2, dropout=1.0), tt.randn(5, 2, 3)
    ends = as_list(layer(x))[1]
    changed = as_list(layer(x + 1.0))[1]
    np.testing.assert_array_equal(ends[1].detach().numpy(), changed[1].detach().numpy())
    assert (ends[0] != changed[0]).any()
    layer.eval()
    assert (layer(x)[1][0] != layer(x + 1.0)[1][0]).any()


@every_layer
def test_dropout_of_one_layer_warns(kind):
    with pytest.warns(UserWarning, match=f"{kind}: dropout=0.5 does nothing with num_layers=1"):
        getattr(nn, kind)(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(nn, kind)(3, 4, num_layers=2, dropout=0.5)


def test_second_derivatives_pass_through_a_layer():
    layer, x = nn.LSTM(2, 3, dtype=np.float64), tt.randn(4, 1, 2, dtype=np.float64, requires_grad=True)
    (first,) = tt.autograd.grad(layer(x)[0].sum(), [x], create_graph=True)
    (first * first).sum().backward()
    assert x.grad.shape == x.shape
    assert layer.weight_hh_l0.grad.abs().max().item() > 0


@every_layer
def test_what_torch_programs_call_does_nothing(kind):
    assert getattr(nn, kind)(3, 4).flatten_parameters() is None


PackedSequence = type("PackedSequence", (tuple,), {})


@every_layer
def test_refuses_packed_sequences(kind):
    text = (
        rf"{kind}: expected a tensor \(steps, batch, features\), got PackedSequence. Packed .* not supported"
    )
    with pytest.raises(TypeError, match=text):
        getattr(nn, kind)(3, 4)(PackedSequence())


@every_layer
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input_size": 0}, "expected input_size to be a whole number from 1 up, got 0"),
        ({"hidden_size": 2.5}, "expected hidden_size to be a whole number from 1 up, got 2.5"),
        ({"num_layers": 0}, "expected num_layers to be a whole number from 1 up, got 0"),
        ({"num_layers": True}, "expected num_layers to be a whole number from 1 up, got True"),
        ({"dropout": 1.5}, "expected dropout to be a probability from 0 to 1, got 1.5"),
        ({"dropout": True}, "expected dropout to be a probability from 0 to 1, got True"),
        ({"dropout": "half"}, "expected dropout to be a probability from 0 to 1, got 'half'"),
    ],
)
def test_refuses_arguments(kind, arguments, text):
    with pytest.raises(ValueError, match=f"{kind}: {text}"):
        getattr(nn, kind)(**{"input_size": 3, "hidden_size": 4} | arguments)


def test_refuses_arguments_of_one_kind():
    for layer in (nn.RNN, nn.RNNCell):
        with pytest.raises(
            ValueError, match=f"{layer.__name__}: expected nonlinearity 'tanh' or 'relu', got 'e"
        ):
            layer(3, 4, nonlinearity="elu")
    for size in (4, -1):
        with pytest.raises(
            ValueError, match=f"LSTM: expected proj_size from 0, for none, to hidden_size - 1 = 3, got {size}"
        ):
            nn.LSTM(3, 4, proj_size=size)
    with pytest.raises(TypeError, match="proj_size"):
        nn.GRU(3, 4, proj_size=2)


@every_layer
def test_refuses_inputs(kind):
    layer, first = getattr(nn, kind)(3, 4), getattr(nn, kind)(3, 4, batch_first=True)
    with pytest.raises(
        ValueError, match=rf"{kind}: expected an input \(steps, batch, features\), or .* \(3,\)"
    ):
        layer(tt.zeros(3))
    with pytest.raises(
        ValueError, match=r"expected an input \(batch, steps, features\), or .* \(1, 1, 1, 3\)"
    ):
        first(tt.zeros(1, 1, 1, 3))
    with pytest.raises(ValueError, match=rf"{kind}: .* of 3 features .* got 5 \(input \(2, 5\)"):
        layer(tt.zeros(2, 5))
    with pytest.raises(ValueError, match=rf"{kind}: expected a time step or more, got input \(2, 0, 3\)"):
        first(tt.zeros(2, 0, 3))
    with pytest.raises(
        ValueError, match=rf"{kind}Cell: expected an input \(batch, features\), or one .* \(1, 1"
    ):
        getattr(nn, f"{kind}Cell")(3, 4)(tt.zeros(1, 1, 3))


@every_layer
def test_refuses_states(kind):
    layer, x = getattr(nn, kind)(3, 4, num_layers=2), tt.zeros(5, 2, 3)

    def states(*shape):
        return (tt.zeros(*shape), tt.zeros(2, 2, 4)) if kind == "LSTM" else tt.zeros(*shape)

    with pytest.raises(ValueError, match=rf"{kind}: expected h_0 of shape \(2, 2, 4\), got \(1, 2, 4\)"):
        layer(x, states(1, 2, 4))
    with pytest.raises(ValueError, match=rf"{kind}: expected h_0 of shape \(2, 4\), got \(2, 2, 4\)"):
        layer(x[:, 0], states(2, 2, 4))
    if kind == "LSTM":
        with pytest.raises(ValueError, match=r"LSTM: expected c_0 of shape \(2, 2, 4\), got \(2, 2, 3\)"):
            layer(x, (tt.zeros(2, 2, 4), tt.zeros(2, 2, 3)))
    wrong = tt.zeros(2, 2, 4) if kind == "LSTM" else (tt.zeros(2, 2, 4),)
    wanted = r"the pair \(h_0, c_0\), got Tensor" if kind == "LSTM" else "one tensor h_0, got tuple"
    with pytest.raises(TypeError, match=f"{kind}: expected hx to be {wanted}"):
        layer(x, wrong)
