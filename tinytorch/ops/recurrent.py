"""The recurrence over time of RNN, LSTM and GRU: one op for all steps of one layer in one direction.

What the input adds to the gates, x (t, n, gates · h), is a linear layer's result, made for all steps at once.
The rules on arrays walk back with what the forward pass kept; those on tensors make all gates anew from the
states, which are the op's own output and therefore differentiable, and then go step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import recurrent as kernels
from tinytorch.kernels import reduce as sums
from tinytorch.kernels.gemm import gemm_grad_b
from tinytorch.ops.activation import sigmoid, tanh
from tinytorch.ops.common import Array, common_dtype
from tinytorch.ops.join import cat, chunk, stack
from tinytorch.ops.matmul import linear, matmul_grad_b
from tinytorch.ops.rectifier import relu_grad
from tinytorch.ops.reduce import sum as sum_of

NONLINEARITIES = ("tanh", "relu")


def _as_one_dtype(
    name: str, gates: int, x: Array, weight: Array, states: dict[str, Array], bias: Array | None = None
) -> list[Array]:
    """x, the states, the weight and, if there is one, the bias in one dtype, or what is wrong with them."""
    if x.ndim != 3 or not x.shape[0] or x.shape[2] % gates or not x.shape[2]:
        wanted = "hidden" if gates == 1 else f"{gates} · hidden"
        raise ValueError(
            f"{name}: expected x of shape (steps, n, {wanted}) with a step or more, got {x.shape}"
        )
    _, n, width = x.shape
    hidden = width // gates
    expected: dict[str, tuple[Array, tuple[int, ...]]] = {
        what: (state, (n, hidden)) for what, state in states.items()
    }
    expected["weight"] = weight, (width, hidden)
    if bias is not None:
        expected["bias"] = bias, (width,)
    for what, (array, shape) in expected.items():
        if array.shape != shape:
            raise ValueError(f"{name}: expected {what} of shape {shape} for x {x.shape}, got {array.shape}")
    arrays = [x, *(array for array, _ in expected.values())]
    dtype = common_dtype(arrays)
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected floating point numbers, got {dtype}. Convert them with .float().")
    return [array.astype(dtype, copy=False) for array in arrays]


def _weight_grad(to_y: Array, states: Array) -> Array:
    """The gradient of all products `states[t] @ weight.T` to the weight, as one product."""
    flat = to_y.reshape(-1, to_y.shape[2])
    return gemm_grad_b(flat, states[: len(to_y)].reshape(len(flat), states.shape[2]))


def _before(h0: Any, h: Any) -> Any:
    """The states that the steps began with, of those they ended with."""
    return cat([h0.reshape((1, *h0.shape)), h[:-1]])


def _products_grad(to_y: Any, before: Any) -> Any:
    """`_weight_grad` of tensors."""
    return matmul_grad_b(to_y.reshape((-1, to_y.shape[2])), before.reshape((-1, before.shape[2])))


def _cost(x: Array, *arrays: Array, out: Array, **_: Any) -> float:
    """The products, and twelve FLOPs for each number of the gates."""
    return x.size * (2.0 * out.shape[2] + 12)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# --- the plain recurrence -------------------------------------------------------------------------------


def _naive_rnn(x: Array, h: Array, weight: Array, nonlinearity: str = "tanh") -> Array:
    states = []
    for row in x:
        h = row + h @ weight.T
        h = np.tanh(h) if nonlinearity == "tanh" else np.maximum(h, 0)
        states.append(h)
    return np.stack(states)


def _torch_arguments(t: Any, x: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
    """Weights, with the identity for the input, and settings, as PyTorch's functions take them."""
    width = x.shape[2]
    biases = [] if bias is None else [t.zeros(width, dtype=x.dtype), bias]
    return [t.eye(width, dtype=x.dtype), weight, *biases], bool(biases), 1, 0.0, False, False, False


@op(
    saves=("output", 0, 1, 2),
    extras=True,
    cost=_cost,
    samples=lambda s: [
        Sample(s(4, 2, 3), s(2, 3), s(3, 3)),
        Sample(s(1, 1, 2), s(1, 2), s(2, 2), nonlinearity="tanh"),
        Sample(s(3, 2, 2) + np.array(4.0), s(2, 2), s(2, 2), nonlinearity="relu"),
        Sample(s(3, 2, 4), s(2, 4), s(4, 4), smooth=False, nonlinearity="relu"),
        Sample(s(3, 0, 2), s(0, 2), s(2, 2)),
    ],
    refuses=lambda s: [
        Refusal(
            (s(0, 2, 3), s(2, 3), s(3, 3)), {}, ValueError,
            r"rnn_recurrence: expected x of shape \(steps, n, hidden\) with a step or more, got \(0, 2, 3\)",
        ),
        Refusal(
            (s(4, 2, 3), s(1, 3), s(3, 3)), {}, ValueError,
            r"rnn_recurrence: expected h0 of shape \(2, 3\) for x \(4, 2, 3\), got \(1, 3\)",
        ),
        Refusal(
            (s(4, 2, 3), s(2, 3), s(3, 3)), {"nonlinearity": "elu"}, ValueError,
            "rnn_recurrence: expected nonlinearity 'tanh' or 'relu', got 'elu'",
        ),
        Refusal(
            (np.ones((1, 1, 1), int), np.ones((1, 1), int), np.ones((1, 1), int)), {}, TypeError,
            "rnn_recurrence: expected floating point numbers, got int64",
        ),
    ],
    reference=_naive_rnn,
    oracle=lambda t, x, h0, w, nonlinearity="tanh": getattr(t, f"rnn_{nonlinearity}")(
        x, h0[None], *_torch_arguments(t, x, w)
    )[0],
)  # fmt: skip
def rnn_recurrence(x: Array, h0: Array, weight: Array, /, nonlinearity: str = "tanh") -> tuple[Array, Array]:
    """`h = tanh(x[t] + h @ weight^T)` step by step, from h0.

    x (t, n, h), h0 (n, h), weight (h, h) -> (t, n, h), h of every step.
    nonlinearity: "tanh" or "relu".
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"rnn_recurrence: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
    x, h0, weight = _as_one_dtype("rnn_recurrence", 1, x, weight, {"h0": h0})
    states = kernels.rnn(x, h0, weight, nonlinearity)
    return states[1:], states


@rnn_recurrence.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    nonlinearity, needs_weight = ctx.params.get("nonlinearity", "tanh"), ctx.needs[2]
    h0, weight = ctx[1], ctx[2]
    if ctx.arrays:
        states = ctx.extras
        to_x, to_h0 = kernels.rnn_grad(g, weight.astype(g.dtype, copy=False), states, nonlinearity)
        return to_x, to_h0, _weight_grad(to_x, states) if needs_weight else None
    h = ctx.output
    steps, to_h = [], None
    for t in reversed(range(len(h))):
        to_h = g[t] if to_h is None else to_h @ weight + g[t]
        to_h = relu_grad(to_h, h[t]) if nonlinearity == "relu" else to_h * (1 - h[t] * h[t])
        steps.append(to_h)
    to_x = stack(steps[::-1])
    return to_x, to_x[0] @ weight, _products_grad(to_x, _before(h0, h)) if needs_weight else None


# --- LSTM -----------------------------------------------------------------------------------------------


def _naive_lstm(x: Array, h: Array, c: Array, weight: Array) -> Array:
    states = []
    for row in x:
        i, f, new, o = np.split(row + h @ weight.T, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(new)
        h = _sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack([*states, c])


def _lstm_oracle(t: Any, x: Any, h0: Any, c0: Any, weight: Any) -> Any:
    out, _, c = t.lstm(x, (h0[None], c0[None]), *_torch_arguments(t, x, weight))
    return t.cat([out, c])


@op(
    saves=("output", 0, 1, 2, 3),
    extras=True,
    cost=_cost,
    samples=lambda s: [
        Sample(s(4, 2, 12), s(2, 3), s(2, 3), s(12, 3)),
        Sample(s(1, 1, 8), s(1, 2), s(1, 2), s(8, 2)),
        Sample(s(2, 3, 4), s(3, 1), s(3, 1), s(4, 1)),
        Sample(s(2, 0, 8), s(0, 2), s(0, 2), s(8, 2)),
    ],
    refuses=lambda s: [
        Refusal(
            (s(4, 2, 10), s(2, 3), s(2, 3), s(12, 3)), {}, ValueError,
            r"lstm_recurrence: expected x of shape \(steps, n, 4 · hidden\) .* got \(4, 2, 10\)",
        ),
        Refusal(
            (s(4, 2, 12), s(2, 3), s(2, 4), s(12, 3)), {}, ValueError,
            r"lstm_recurrence: expected c0 of shape \(2, 3\) for x \(4, 2, 12\), got \(2, 4\)",
        ),
    ],
    reference=_naive_lstm,
    oracle=_lstm_oracle,
)  # fmt: skip
def lstm_recurrence(x: Array, h0: Array, c0: Array, weight: Array, /) -> tuple[Array, Any]:
    """`i, f, g, o = x[t] + h @ weight^T`, `c = σ(f) c + σ(i) tanh(g)`, `h = σ(o) tanh(c)`, from h0 and c0.

    x (t, n, 4h), h0 and c0 (n, h), weight (4h, h) -> (t + 1, n, h): h of every step, then c of the last.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.
    """
    x, h0, c0, weight = _as_one_dtype("lstm_recurrence", 4, x, weight, {"h0": h0, "c0": c0})
    states, cells, gates = kernels.lstm(x, h0, c0, weight)
    return states[1:], (states, cells, gates)


@lstm_recurrence.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    x, h0, c0, weight = (ctx[k] for k in range(4))
    needs_weight = ctx.needs[3]
    if ctx.arrays:
        states, cells, gates = ctx.extras
        gradients = kernels.lstm_grad(g, weight.astype(g.dtype, copy=False), cells, gates)
        return *gradients, _weight_grad(gradients[0], states) if needs_weight else None
    before = _before(h0, ctx.output[:-1])
    parts = chunk(x + linear(before, weight, None), 4, -1)
    i, f, new, o = (tanh(part) if k == 2 else sigmoid(part) for k, part in enumerate(parts))
    cells = [c0]
    for t in range(len(x)):
        cells.append(f[t] * cells[t] + i[t] * new[t])
    steps, to_h, to_c = [], None, g[-1]
    for t in reversed(range(len(x))):
        y, to_h = tanh(cells[t + 1]), g[t] if to_h is None else to_h + g[t]
        to_c = to_c + to_h * o[t] * (1 - y * y)
        to_i = to_c * new[t] * i[t] * (1 - i[t])
        to_f = to_c * cells[t] * f[t] * (1 - f[t])
        to_new = to_c * i[t] * (1 - new[t] * new[t])
        to_o = to_h * y * o[t] * (1 - o[t])
        steps.append(cat([to_i, to_f, to_new, to_o], -1))
        to_h, to_c = steps[-1] @ weight, to_c * f[t]
    to_x = stack(steps[::-1])
    return to_x, to_h, to_c, _products_grad(to_x, before) if needs_weight else None


# --- GRU ------------------------------------------------------------------------------------------------


def _naive_gru(x: Array, h: Array, weight: Array, bias: Array) -> Array:
    states = []
    for row in x:
        (x_r, x_z, x_n), (y_r, y_z, y_n) = (np.split(a, 3, axis=1) for a in (row, h @ weight.T + bias))
        z = _sigmoid(x_z + y_z)
        h = (1 - z) * np.tanh(x_n + _sigmoid(x_r + y_r) * y_n) + z * h
        states.append(h)
    return np.stack(states)


@op(
    saves=("output", 0, 1, 2, 3),
    extras=True,
    cost=_cost,
    samples=lambda s: [
        Sample(s(4, 2, 9), s(2, 3), s(9, 3), s(9)),
        Sample(s(1, 1, 6), s(1, 2), s(6, 2), s(6)),
        Sample(s(2, 3, 3), s(3, 1), s(3, 1), s(3)),
        Sample(s(2, 0, 6), s(0, 2), s(6, 2), s(6)),
    ],
    refuses=lambda s: [
        Refusal(
            (s(4, 2, 10), s(2, 3), s(9, 3), s(9)), {}, ValueError,
            r"gru_recurrence: expected x of shape \(steps, n, 3 · hidden\) .* got \(4, 2, 10\)",
        ),
        Refusal(
            (s(4, 2, 9), s(2, 3), s(9, 3), s(3)), {}, ValueError,
            r"gru_recurrence: expected bias of shape \(9,\) for x \(4, 2, 9\), got \(3,\)",
        ),
    ],
    reference=_naive_gru,
    oracle=lambda t, x, h0, w, b: t.gru(x, h0[None], *_torch_arguments(t, x, w, b))[0],
)  # fmt: skip
def gru_recurrence(x: Array, h0: Array, weight: Array, bias: Array, /) -> tuple[Array, Any]:
    """`y = h @ weight^T + bias`, and from it and x[t], in the order r, z, n: `r = σ(x_r + y_r)`,
    `z = σ(x_z + y_z)`, `h = (1 - z) tanh(x_n + r y_n) + z h`, from h0.

    x (t, n, 3h), h0 (n, h), weight (3h, h), bias (3h,) -> (t, n, h).
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """
    x, h0, weight, bias = _as_one_dtype("gru_recurrence", 3, x, weight, {"h0": h0}, bias)
    states, gates = kernels.gru(x, h0, weight, bias)
    return states[1:], (states, gates)


@gru_recurrence.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    x, h0, weight, bias = (ctx[k] for k in range(4))
    _, _, needs_weight, needs_bias = ctx.needs
    if ctx.arrays:
        states, gates = ctx.extras
        x, weight = (a.astype(g.dtype, copy=False) for a in (x, weight))
        to_x, to_h0, to_y = kernels.gru_grad(g, x, weight, states, gates)
        return (
            to_x,
            to_h0,
            _weight_grad(to_y, states) if needs_weight else None,
            sums.sum(to_y, (0, 1)) if needs_bias else None,
        )
    before = _before(h0, ctx.output)
    (x_r, x_z, x_n), (y_r, y_z, y_n) = (chunk(a, 3, -1) for a in (x, linear(before, weight, bias)))
    r, z = sigmoid(x_r + y_r), sigmoid(x_z + y_z)
    n = tanh(x_n + r * y_n)
    to_xs, to_ys, to_h = [], [], None
    for t in reversed(range(len(x))):
        to_h = g[t] if to_h is None else to_h + g[t]
        to_n = to_h * (1 - z[t]) * (1 - n[t] * n[t])
        to_r = to_n * y_n[t] * r[t] * (1 - r[t])
        to_z = to_h * (before[t] - n[t]) * z[t] * (1 - z[t])
        to_xs.append(cat([to_r, to_z, to_n], -1))
        to_ys.append(cat([to_r, to_z, to_n * r[t]], -1))
        to_h = to_ys[-1] @ weight + to_h * z[t]
    to_y = stack(to_ys[::-1])
    return (
        stack(to_xs[::-1]),
        to_h,
        _products_grad(to_y, before) if needs_weight else None,
        sum_of(to_y, (0, 1)) if needs_bias else None,
    )
