"""Reductions: sum, mean, variance, extremes with their places, and the undoing of a broadcast.

Every reduction is brought to one of two forms: `rows` (outer, n), the sum running along memory, or `columns`
(outer, n, inner), running across it.  float32 is added up in float64, so a result is right to its last digit
whatever the length.  Long sums are cut into pieces of fixed size that are merged in order: the same bits for
any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from tinytorch.kernels.maps import SERIAL, both, is_float, ready
from tinytorch.kernels.memory import empty

Axes = int | tuple[int, ...] | None

PIECE = 16384  # elements of a long row, or of a band of columns, that one iteration adds up
BAND = 2048  # columns it takes at a time: 16 KiB of sums


def _sum_rows(x, divisor, out):
    """out[o] = sum of x[o, :] / divisor."""
    outer, n = x.shape
    pieces = (n + PIECE - 1) // PIECE
    block = max(1, PIECE // max(n, 1))
    if pieces <= 1:
        for task in prange((outer + block - 1) // block):  # owns `block` elements of out
            for o in range(task * block, min(outer, (task + 1) * block)):
                row = x[o]
                total = 0.0
                for i in range(row.size):
                    total += row[i]
                out[o] = total / divisor
    else:
        partial = np.empty((outer, pieces))
        for task in prange(outer * pieces):  # owns partial[o, piece]
            o, piece = task // pieces, task % pieces
            row = x[o, piece * PIECE : (piece + 1) * PIECE]
            total = 0.0
            for i in range(row.size):
                total += row[i]
            partial[o, piece] = total
        for o in range(outer):
            total = 0.0
            for piece in range(pieces):
                total += partial[o, piece]
            out[o] = total / divisor


def _sum_columns(x, divisor, out):
    """out[o, j] = sum of x[o, :, j] / divisor."""
    outer, n, inner = x.shape
    length = max(16, PIECE // max(inner, 1))
    pieces = max(1, (n + length - 1) // length)
    bands = (inner + BAND - 1) // BAND
    partial = np.zeros((outer, pieces, inner))
    for task in prange(outer * pieces * bands):  # owns partial[o, piece, band]
        o, piece, band = task // (pieces * bands), task // bands % pieces, task % bands
        start, stop = band * BAND, min(inner, (band + 1) * BAND)
        first, last = piece * length, min(n, (piece + 1) * length)
        sums = partial[o, piece, start:stop]
        fours = first + (last - first) // 4 * 4
        for i in range(first, fours, 4):  # four rows for each time the sums are loaded and stored
            a, b = x[o, i, start:stop], x[o, i + 1, start:stop]
            c, d = x[o, i + 2, start:stop], x[o, i + 3, start:stop]
            for j in range(sums.size):
                sums[j] += (np.float64(a[j]) + np.float64(b[j])) + (np.float64(c[j]) + np.float64(d[j]))
        for i in range(fours, last):
            a = x[o, i, start:stop]
            for j in range(sums.size):
                sums[j] += a[j]
    for o in range(outer):
        sums = partial[o, 0]
        for piece in range(1, pieces):
            more = partial[o, piece]
            for j in range(inner):
                sums[j] += more[j]
        for j in range(inner):
            out[o, j] = sums[j] / divisor


_sum_rows_serial, _sum_rows_parallel = both(_sum_rows, "sum_rows")
_sum_columns_serial, _sum_columns_parallel = both(_sum_columns, "sum_columns")


def _sum(x: np.ndarray, outer: int, n: int, inner: int, divisor: float, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over the middle of `x` seen as (outer, n, inner), divided, in the given shape."""
    out = empty(shape, x.dtype)
    x = ready(x)
    if inner == 1:
        add = _sum_rows_serial if x.size <= SERIAL else _sum_rows_parallel
        add(x.reshape(outer, n), divisor, out.ravel())
    else:
        add = _sum_columns_serial if x.size <= SERIAL else _sum_columns_parallel
        add(x.reshape(outer, n, inner), divisor, out.reshape(outer, inner))
    return out


def _positive(axis: Axes, ndim: int) -> tuple[int, ...]:
    """The axes as sorted numbers from 0."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, int):
        return (axis % ndim,) if ndim else ()
    return tuple(sorted(a % ndim for a in axis)) if ndim else ()


def _normal(x: np.ndarray, axis: Axes, keepdims: bool) -> tuple[np.ndarray, int, int, int, tuple[int, ...]]:
    """x (transposed if the axes do not lie side by side), outer, n, inner, and the result's shape."""
    axes, shape = _positive(axis, x.ndim), x.shape
    if len(axes) == len(shape):
        return x, 1, x.size, 1, (1,) * x.ndim if keepdims else ()
    if keepdims:
        kept = tuple(1 if a in axes else length for a, length in enumerate(shape))
    else:
        kept = tuple(length for a, length in enumerate(shape) if a not in axes)
    if not axes:
        return x, x.size, 1, 1, kept
    first, last = axes[0], axes[-1]
    if last - first + 1 != len(axes):
        others = tuple(a for a in range(x.ndim) if a not in axes)
        x = x.transpose(others + axes)
        first, last, shape = len(others), x.ndim - 1, x.shape
    outer, inner = math.prod(shape[:first]), math.prod(shape[last + 1 :])
    return x, outer, math.prod(shape[first : last + 1]), inner, kept


def sum(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
    """Sum over `axis` (an int, a tuple, or None for all); integers and booleans are added as int64.

    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    if not is_float(x):
        return np.asarray(x.sum(axis=axis, keepdims=keepdims, dtype=np.int64))
    x, outer, n, inner, shape = _normal(x, axis, keepdims)
    return _sum(x, outer, n, inner, 1.0, shape)


def mean(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
    """Mean over `axis`; NaN over no elements."""
    x, outer, n, inner, shape = _normal(x, axis, keepdims)
    return _sum(x, outer, n, inner, float(n), shape)


def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`g` summed over the axes along which an array of `shape` was broadcast to `g.shape`.

    Column sums of (64, 128), the gradient of a bias, are the case to be quick at.
    """
    lead = g.ndim - len(shape)
    if g.shape[lead:] == shape:
        inner = math.prod(shape)
        return _sum(g, 1, g.size // inner if inner else 0, inner, 1.0, shape)
    stretched = tuple(lead + a for a, length in enumerate(shape) if length == 1 != g.shape[lead + a])
    return sum(g, tuple(range(lead)) + stretched).reshape(shape)
