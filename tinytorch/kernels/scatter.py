"""Gathering by index and its gradient, adding by index, in an order that never changes.

Adding to rows chosen by an index is where parallel code races: two places of the index may name one row.
Here a parallel iteration owns a band of columns of the result and goes through the whole index in order, so
an element is added up in the same order for any number of threads; what has no columns to share out runs on
one.  Bands are as wide as the threads allow: with many narrow ones, each row of a large table would be looked
up as many times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from tinytorch.kernels._jit import get_num_threads, kernel
from tinytorch.kernels.maps import both, ready
from tinytorch.kernels.memory import empty, zeros

BAND = 32  # columns, of which an iteration owns one or more: whole cache lines
_SERIAL = 32768
_ROWS = 64


def _gather_rows(x, index, out):
    """out[i] = x[index[i]]; returns the first bad place in the index, or its length."""
    n = index.size
    tasks = (n + _ROWS - 1) // _ROWS
    bad = np.full(tasks, n)
    for task in prange(tasks):  # owns bad[task] and _ROWS rows of out
        for i in range(task * _ROWS, min(n, (task + 1) * _ROWS)):
            if index[i] < 0 or index[i] >= x.shape[0]:
                bad[task] = min(bad[task], i)
            else:
                source, row = x[index[i]], out[i]
                for j in range(row.size):
                    row[j] = source[j]
    worst = n
    for task in range(tasks):
        worst = min(worst, bad[task])
    return worst


def _add_rows(g, index, band, out):
    """out = 0, then out[index[i]] += g[i]; an iteration takes `band` columns."""
    rows, width = out.shape
    for start in prange((rows + _ROWS - 1) // _ROWS):  # owns _ROWS rows of out
        out[start * _ROWS : (start + 1) * _ROWS] = 0
    for task in prange((width + band - 1) // band):  # owns columns start .. stop of out
        start, stop = task * band, min(width, (task + 1) * band)
        for i in range(index.size):
            source, row = g[i, start:stop], out[index[i], start:stop]
            for j in range(row.size):
                row[j] += source[j]


@kernel
def _add_flat(out, index, values):
    for i in range(index.size):
        out[index[i]] += values[i]


_gather = both(_gather_rows, "gather_rows")
_add = both(_add_rows, "add_rows")


def _as_index(index: np.ndarray) -> np.ndarray:
    return ready(index if index.dtype == np.int64 else index.astype(np.int64))


def embedding(weight: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """weight[indices]: rows (v, ...) chosen by integers of any shape, from 0 to v - 1.

    Raises IndexError for an index outside.

    >>> embedding(np.array([[1.0], [2.0]]), np.array([1, 0]))
    array([[2.],
           [1.]])
    """
    indices, weight = _as_index(indices), ready(weight)
    out = empty(indices.shape + weight.shape[1:], weight.dtype)
    width, flat = math.prod(weight.shape[1:]), indices.ravel()
    rows, chosen = weight.reshape(weight.shape[0], width), out.reshape(flat.size, width)
    bad = _gather[out.size > _SERIAL](rows, flat, chosen)
    if bad < flat.size:
        raise IndexError(
            f"embedding: expected indices from 0 to {len(weight) - 1}, got {flat[bad]} at position {bad}. "
            f"The table has shape {weight.shape}: one row an index."
        )
    return out


def embedding_grad(g: np.ndarray, indices: np.ndarray, rows: int) -> np.ndarray:
    """The gradient to the weight (rows, ...): each g[i] added to row indices[i], in the order of i."""
    indices, g = _as_index(indices), ready(g)
    shape = (rows, *g.shape[indices.ndim :])
    out = empty(shape, g.dtype)
    width, threads = math.prod(shape[1:]), get_num_threads()
    if width:
        band = (width + threads * BAND - 1) // (threads * BAND) * BAND
        add = _add[max(g.size, out.size) > _SERIAL and width > BAND]
        add(g.reshape(indices.size, width), indices.ravel(), band, out.reshape(rows, width))
    return out


def scatter_add_flat(out: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """out[index[i]] += values[i] in place, in the order of i; all flat, indices from 0 to out.size - 1."""
    _add_flat(out, _as_index(index), ready(values))


def _flat_places(shape: tuple[int, ...], axis: int, index: np.ndarray) -> np.ndarray:
    """For each element of `index`: its place in memory of an array of `shape` with `index` along `axis`."""
    places = np.zeros((1,) * len(shape), np.int64)
    stride = 1
    for a in range(len(shape) - 1, -1, -1):
        if a == axis:
            places = places + index * stride
        else:
            line = np.arange(index.shape[a]) * stride
            places = places + line.reshape((-1,) + (1,) * (len(shape) - 1 - a))
        stride *= shape[a]
    return places


def gather(x: np.ndarray, axis: int, index: np.ndarray) -> np.ndarray:
    """out[i, j, k] = x[i, index[i, j, k], k] for axis 1; the index may be shorter than x along other axes.

    Raises IndexError for an index outside 0 .. x.shape[axis] - 1.
    """
    index = _as_index(index)
    _check_range("gather", index, axis, x.shape)
    return ready(x).ravel()[_flat_places(x.shape, axis % x.ndim, index)]


def scatter_add(shape: tuple[int, ...], axis: int, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The gradient of `gather`: zeros of `shape`, plus each value at the place it was gathered from."""
    index = _as_index(index)
    _check_range("scatter_add", index, axis, shape)
    out = zeros(shape, values.dtype)
    places = _flat_places(shape, axis % len(shape), index)
    _add_flat(out.ravel(), places.ravel(), ready(values).ravel())
    return out


def _check_range(name: str, index: np.ndarray, axis: int, shape: tuple[int, ...]) -> None:
    length = shape[axis]
    if index.size and not (index.min() >= 0 and index.max() < length):
        bad = index[(index < 0) | (index >= length)].flat[0]
        raise IndexError(
            f"{name}: expected indices from 0 to {length - 1} along axis {axis} of shape {shape}, got {bad}"
        )


def index_put_add(shape: tuple[int, ...], index: Any, g: np.ndarray) -> np.ndarray:
    """The gradient of x[index]: zeros of `shape` with g added at `index`, any index that NumPy takes.

    Integer arrays may name one place several times; those are added in order.  Other indices are written.
    """
    out = zeros(shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [
        part for part in parts if isinstance(part, (np.ndarray, list)) and np.asarray(part).dtype != bool
    ]
    if not arrays:
        out[index] = g
    else:
        places = np.arange(out.size).reshape(shape)[index]
        _add_flat(out.ravel(), ready(places).ravel(), ready(g).ravel())
    return out
