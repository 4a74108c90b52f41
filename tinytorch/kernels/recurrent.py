"""Recurrent layers over all time steps in one launch: the plain one, LSTM and GRU, and their gradients.

The rows of a batch do not see each other, so every thread takes its own rows through all steps and never
waits for another.  A step is a product with the weights, which were packed once into panels as wide as the
register tile and stay in the near caches, and then the cell, a few passes over each row.  On the way back
the cell gives the gradients of the gates, and a product carries them to the step before; the gradient of the
weights is left to one product over all steps.

Arrays (t, n, ...) hold the steps: `states` (t + 1, n, h) with the initial state first, `cells` the same of an
LSTM, `gates` what the forward pass keeps for the way back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import JIT, bind, get_num_threads, kernel
from tinytorch.kernels.gemm import PARALLEL_WORK
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty, zeros
from tinytorch.kernels.packing import even
from tinytorch.kernels.parallel import call, jobs_of
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, size_of
from tinytorch.kernels.tiles import tiles

LOWEST = np.float32(-np.inf)  # bound anew for each type


def _product(a, weight, start, start_row, out, rows, depth, columns):
    """out = start + a @ weight for so many rows of a, and weights in panels: all addresses and numbers.

    `start_row`: bytes from one row of start to the next, 0 where there is one row for all.
    The walks reach it by its address, as `parallel.call` does it, so that its tiles are compiled once.
    """
    size = size_of(LOWEST)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    tall = even(max(rows, 1), ROWS)
    j = 0
    while j < columns:
        width = min(panel, columns - j)
        if width > lanes:
            width -= width % lanes
        b = weight + j // panel * depth * PANEL + j % panel * size
        for i in range(0, rows, tall):
            tiles(
                min(tall, rows - i), width, 1, a + i * depth * size, depth * size, size, b, PANEL, 0,
                start + i * start_row + j * size, start_row, 0,
                out + (i * columns + j) * size, columns * size, depth, LOWEST,
            )  # fmt: skip
        j += width
    return 0


_products = jobs_of(_product, "recurrent_product")


# --- cells, on one row: h numbers of the state, and as many of each gate side by side -----------------------


@kernel(inline=True)
def _tanh_cell(x, gate, cell, next_cell, state):
    """gate: the same row as state."""
    for j in range(state.size):
        state[j] = vecmath.tanh(state[j])


@kernel(inline=True)
def _tanh_cell_grad(g, x, gate, state, cell, next_cell, to_state, to_cell, to_x, to_gate):
    one = g.dtype.type(1)
    for j in range(g.size):
        to_gate[j] = (to_state[j] + g[j]) * (one - gate[j] * gate[j])
    to_state[:] = 0


@kernel(inline=True)
def _relu_cell(x, gate, cell, next_cell, state):
    for j in range(state.size):
        state[j] = type(state[j])(0) if state[j] <= 0 else state[j]


@kernel(inline=True)
def _relu_cell_grad(g, x, gate, state, cell, next_cell, to_state, to_cell, to_x, to_gate):
    for j in range(g.size):
        to_gate[j] = type(g[j])(0) if gate[j] <= 0 else to_state[j] + g[j]
    to_state[:] = 0


@kernel(inline=True)
def _lstm_cell(x, gate, cell, next_cell, state):
    h = state.size
    i, f, c, o = gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :]
    for j in range(2 * h):
        gate[j] = vecmath.sigmoid(gate[j])
    for j in range(h):
        c[j] = vecmath.tanh(c[j])
    for j in range(h):
        o[j] = vecmath.sigmoid(o[j])
    for j in range(h):
        next_cell[j] = f[j] * cell[j] + i[j] * c[j]
    for j in range(h):
        state[j] = o[j] * vecmath.tanh(next_cell[j])


@kernel(inline=True)
def _lstm_cell_grad(g, x, gate, state, cell, next_cell, to_state, to_cell, to_x, to_gate):
    h, one = g.size, g.dtype.type(1)
    i, f, c, o = gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], gate[3 * h :]
    to_i, to_f, to_c, to_o = to_gate[:h], to_gate[h : 2 * h], to_gate[2 * h : 3 * h], to_gate[3 * h :]
    for j in range(h):
        y, given = vecmath.tanh(next_cell[j]), to_state[j] + g[j]
        to_o[j] = given * y * o[j] * (one - o[j])
        to_cell[j] += given * o[j] * (one - y * y)
    for j in range(h):
        to_i[j] = to_cell[j] * c[j] * i[j] * (one - i[j])
        to_c[j] = to_cell[j] * i[j] * (one - c[j] * c[j])
    for j in range(h):
        to_f[j] = to_cell[j] * cell[j] * f[j] * (one - f[j])
        to_cell[j] *= f[j]
    to_state[:] = 0


@kernel(inline=True)
def _gru_cell(x, gate, cell, next_cell, state):
    """gate: r, z and what r multiplies; cell: the state before."""
    h, one = state.size, x.dtype.type(1)
    for j in range(2 * h):
        gate[j] = vecmath.sigmoid(gate[j] + x[j])
    r, z, inner, x_n = gate[:h], gate[h : 2 * h], gate[2 * h :], x[2 * h :]
    for j in range(h):
        state[j] = vecmath.tanh(x_n[j] + r[j] * inner[j])
    for j in range(h):
        state[j] = (one - z[j]) * state[j] + z[j] * cell[j]


@kernel(inline=True)
def _gru_cell_grad(g, x, gate, state, cell, next_cell, to_state, to_cell, to_x, to_gate):
    h, one = g.size, g.dtype.type(1)
    r, z, inner, x_n = gate[:h], gate[h : 2 * h], gate[2 * h :], x[2 * h :]
    to_r, to_z, to_n, to_inner = to_x[:h], to_x[h : 2 * h], to_x[2 * h :], to_gate[2 * h :]
    for j in range(h):
        to_state[j] += g[j]
    for j in range(h):
        n = vecmath.tanh(x_n[j] + r[j] * inner[j])
        to_n[j] = to_state[j] * (one - z[j]) * (one - n * n)
        to_z[j] = to_state[j] * (cell[j] - n) * z[j] * (one - z[j])
    for j in range(h):
        to_state[j] *= z[j]
    for j in range(h):
        to_r[j] = to_n[j] * inner[j] * r[j] * (one - r[j])
        to_inner[j] = to_n[j] * r[j]
    to_gate[: 2 * h] = to_x[: 2 * h]


def f(*rows: np.ndarray) -> None:
    """Stands in a walk for the cell that is put in its place."""
    raise NotImplementedError


def _walk(product, x, start, start_step, start_row, weight, states, gates, cells, parts):
    """gates[t] = start[t] + states[t] @ weight; then the cell, to states[t + 1] and cells[t + 1]."""
    steps, n, _ = gates.shape
    for part in prange(parts):  # owns rows `first` to `last` of states, gates and cells
        first, last = n * part // parts, n * (part + 1) // parts
        for t in range(steps):
            before, after = states[t, first:last], gates[t, first:last]
            call(
                product, before.ctypes.data, weight.ctypes.data,
                start.ctypes.data + t * start_step + first * start_row, start_row, after.ctypes.data,
                last - first, before.shape[1], after.shape[1],
            )  # fmt: skip
            for i in range(first, last):
                f(x[t, i], gates[t, i], cells[t, i], cells[t + 1, i], states[t + 1, i])


def _walk_back(product, g, x, weight, states, gates, cells, to_state, to_cell, to_x, to_gates, parts):
    """From the last step to the first: the cell's gradients, then to_state += to_gates[t] @ weight."""
    steps, n, _ = gates.shape
    for part in prange(parts):  # owns rows `first` to `last` of all that begins with `to_`
        first, last = n * part // parts, n * (part + 1) // parts
        carried = to_state[first:last]
        row = carried.shape[1] * carried.itemsize
        for step in range(steps):
            t = steps - 1 - step
            for i in range(first, last):
                f(
                    g[t, i], x[t, i], gates[t, i], states[t, i], cells[t, i], cells[t + 1, i], to_state[i],
                    to_cell[i], to_x[t, i], to_gates[t, i],
                )  # fmt: skip
            given, address = to_gates[t, first:last], carried.ctypes.data
            call(
                product, given.ctypes.data, weight.ctypes.data, address, row, address,
                last - first, given.shape[1], carried.shape[1],
            )  # fmt: skip


def _both_ways(name: str, cell: Callable, grad: Callable) -> tuple[Callable, Callable]:
    walks = (_walk, f"{name}_walk", cell), (_walk_back, f"{name}_walk_back", grad)
    kernels = (kernel(bind(walk, title, f=f), parallel=True) for walk, title, f in walks)
    there, back = map(_with_product, kernels if JIT else map(np.errstate(all="ignore"), kernels))
    return there, back


def _with_product(walk: Callable) -> Callable:
    """`walk` with the product for the type of its first array."""
    return lambda x, *others: walk(_products[x.dtype].address, x, *others)


_tanh, _tanh_back = _both_ways("tanh", _tanh_cell, _tanh_cell_grad)
_relu, _relu_back = _both_ways("relu", _relu_cell, _relu_cell_grad)
_lstm, _lstm_back = _both_ways("lstm", _lstm_cell, _lstm_cell_grad)
_gru, _gru_back = _both_ways("gru", _gru_cell, _gru_cell_grad)


def _panels(weight: np.ndarray) -> np.ndarray:
    """weight (k, n) as (panels, k, columns of the register tile), the last with zeros to its right."""
    depth, columns = weight.shape
    width = PANEL // weight.itemsize
    out, whole = empty((-(-columns // width), depth, width), weight.dtype), columns // width
    out[:whole] = weight[:, : whole * width].reshape(depth, whole, width).transpose(1, 0, 2)
    if whole < len(out):
        out[whole] = 0
        out[whole, :, : columns % width] = weight[:, whole * width :]
    return out


def _parts(x: np.ndarray, weight: np.ndarray) -> int:
    """Into how many shares of its rows to cut a batch."""
    steps, n, _ = x.shape
    return min(get_num_threads(), n) if steps * n * weight.size >= PARALLEL_WORK else 1


def _states(x: np.ndarray, first: np.ndarray, more: int = 1) -> np.ndarray:
    """Room for all states, with the initial one in its place."""
    states = empty((len(x) + more, *first.shape), x.dtype)
    states[0] = first
    return states


def rnn(x: np.ndarray, h0: np.ndarray, weight: np.ndarray, nonlinearity: str = "tanh") -> np.ndarray:
    """h[t + 1] = tanh(x[t] + h[t] @ weight.T), or relu of it, as (t + 1, n, h) with h[0] = h0.

    x (t, n, h), h0 (n, h), weight (h, h), all float32 or all float64, as everywhere in this file.

    >>> rnn(np.ones((3, 1, 1)), np.zeros((1, 1)), np.full((1, 1), 2.0), "relu").ravel()
    array([0., 1., 3., 7.])
    """
    x, states = ready(x), _states(x, h0)
    walk = _relu if nonlinearity == "relu" else _tanh
    step, row, _ = x.strides
    walk(x, x, step, row, _panels(weight.T), states, states[1:], states, _parts(x, weight))
    return states


def rnn_grad(
    g: np.ndarray, weight: np.ndarray, states: np.ndarray, nonlinearity: str = "tanh"
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `rnn` to x and h0; g (t, n, h) is that of h[1:]."""
    g, h = ready(g), states[1:]
    to_x, to_h0 = empty(g.shape, g.dtype), zeros(g.shape[1:], g.dtype)
    back = _relu_back if nonlinearity == "relu" else _tanh_back
    back(g, g, _panels(weight), states, h, states, to_h0, to_h0, to_x, to_x, _parts(g, weight))
    return to_x, to_h0


def lstm(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With i, f, g, o from x[t] + h[t] @ weight.T: c[t + 1] = f c[t] + i g, and h[t + 1] = o tanh(c[t + 1]).

    x (t, n, 4h), h0 and c0 (n, h), weight (4h, h); sigmoid makes i, f and o, tanh makes g.
    Gives h (t + 2, n, h) with h[0] = h0 and, behind the last, c of the last step; c (t + 1, n, h); and the
    gates (t, n, 4h).
    """
    x, states, cells = ready(x), _states(x, h0, 2), _states(x, c0)
    gates, (step, row, _) = empty(x.shape, x.dtype), x.strides
    _lstm(
        x, x, step, row, _panels(weight.T), states, gates, cells, _parts(x, weight)
    )  # fmt: skip
    states[-1] = cells[-1]
    return states, cells, gates


def lstm_grad(
    g: np.ndarray, weight: np.ndarray, cells: np.ndarray, gates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `lstm` to x, h0 and c0; g (t + 1, n, h) is that of h[1:] with c of the last step."""
    g = ready(g)
    to_x, to_h0, to_c0 = empty(gates.shape, g.dtype), zeros(g.shape[1:], g.dtype), np.array(g[-1])
    _lstm_back(
        g[:-1], gates, _panels(weight), cells, gates, cells, to_h0, to_c0, to_x, to_x, _parts(gates, weight)
    )
    return to_x, to_h0, to_c0


def gru(x: np.ndarray, h0: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With y = h[t] @ weight.T + bias, in three parts as x[t] is: r = sigmoid(x_r + y_r), z = sigmoid(x_z +
    y_z), n = tanh(x_n + r y_n) and h[t + 1] = (1 - z) n + z h[t].

    x (t, n, 3h), h0 (n, h), weight (3h, h), bias (3h,).
    Gives h (t + 1, n, h) with h[0] = h0, and r, z and y_n as (t, n, 3h).
    """
    x, states, gates = ready(x), _states(x, h0), empty(x.shape, x.dtype)
    _gru(x, ready(bias), 0, 0, _panels(weight.T), states, gates, states, _parts(x, weight))
    return states, gates


def gru_grad(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray, states: np.ndarray, gates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `gru` to x, h0 and y (t, n, 3h); g (t, n, h) is that of h[1:]."""
    g, x = ready(g), ready(x)
    to_x, to_y, to_h0 = empty(x.shape, g.dtype), empty(x.shape, g.dtype), zeros(g.shape[1:], g.dtype)
    _gru_back(
        g, x, _panels(weight), states, gates, states, to_h0, to_h0, to_x, to_y, _parts(x, weight)
    )  # fmt: skip
    return to_x, to_h0, to_y
