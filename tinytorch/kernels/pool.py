"""Pooling: the largest, or the mean, of a window of each image; and the way back.

The windows of an axis are a table of (first, last) pixels, cut to the image, with a step between them: that
holds strides, padding, dilation and adaptive windows alike.  A parallel iteration owns one image of one
channel.
"""

from __future__ import annotations

import functools

import numpy as np
from numba import prange

from tinytorch.kernels.maps import SERIAL, both, ready
from tinytorch.kernels.memory import empty, zeros

KH, KW, SH, SW = 2, 2, 2, 2  # bound anew for each window
MOST_TAPS = 16  # of windows that get kernels of their own
LARGEST_TILE = 4  # side of windows of means that do


def _whole_max(x, out, places):
    """As `_max_planes`, for windows of KH x KW pixels SH and SW apart, all within the image.

    With these numbers known when compiling, a window is a few comparisons without a branch, and LLVM does
    a vector of windows at a time: 30 times as fast.
    """
    width = x.shape[2]
    for p in prange(x.shape[0]):  # owns out[p] and places[p]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                top, at = x[p, i * SH, j * SW], np.int32(i * SH * width + j * SW)
                for r in range(KH):
                    for c in range(KW):
                        value = x[p, i * SH + r, j * SW + c]
                        larger = (not value <= top) & (top == top)  # a NaN too, unless there was one
                        top = value if larger else top
                        at = np.int32((i * SH + r) * width + j * SW + c) if larger else at
                out[p, i, j] = top
                places[p, i, j] = at


def _max_planes(x, rows, columns, row_step, column_step, out, places):
    """out[p, i, j] = the largest of a window of x[p]; places: where it is first, counted through x[p]."""
    width = x.shape[2]
    for p in prange(x.shape[0]):  # owns out[p] and places[p]
        image, best, where = x[p], out[p], places[p]
        for i in range(rows.shape[0]):
            for j in range(columns.shape[0]):
                top, at = image[rows[i, 0], columns[j, 0]], rows[i, 0] * width + columns[j, 0]
                for r in range(rows[i, 0], rows[i, 1], row_step):
                    for c in range(columns[j, 0], columns[j, 1], column_step):
                        value = image[r, c]
                        if value > top or (value != value and top == top):
                            top, at = value, r * width + c
                best[i, j] = top
                where[i, j] = at


def _put_planes(g, places, out):
    """out[p] = zeros, to which g[p] is added at places[p]."""
    for p in prange(g.shape[0]):  # owns out[p]
        image, gradient, where = out[p], g[p], places[p]
        image[:] = 0  # here, where it stays in the cache: twice as fast as all zeros before the loop
        for i in range(gradient.size):
            image[where[i]] += gradient[i]


def _mean_planes(x, rows, columns, row_factors, column_factors, out):
    """out[p, i, j] = the sum of a window of x[p], times the factors of its row and column."""
    for p in prange(x.shape[0]):  # owns out[p]
        image, means = x[p], out[p]
        for i in range(rows.shape[0]):
            for j in range(columns.shape[0]):
                total = x.dtype.type(0)
                for r in range(rows[i, 0], rows[i, 1]):
                    for c in range(columns[j, 0], columns[j, 1]):
                        total += image[r, c]
                means[i, j] = total * row_factors[i] * column_factors[j]


def _tiled_mean(x, factor, out):
    """Sums of windows of KH x KW pixels, side by side from the corner on, times the factor."""
    for p in prange(x.shape[0]):  # owns out[p]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = out.dtype.type(0)
                for r in range(KH):
                    for c in range(KW):
                        total += x[p, i * KH + r, j * KW + c]
                out[p, i, j] = total * factor


def _tiled_spread(g, factor, out):
    """The gradient of `_tiled_mean`."""
    for p in prange(g.shape[0]):  # owns out[p]
        out[p] = 0
        for i in range(g.shape[1]):
            for r in range(KH):
                line = out[p, i * KH + r]
                for j in range(g.shape[2]):
                    share = g[p, i, j] * factor
                    for c in range(KW):
                        line[j * KW + c] = share


def _spread_planes(g, rows, columns, row_factors, column_factors, out):
    """The gradient of `_mean_planes`."""
    for p in prange(g.shape[0]):  # owns out[p]
        image, gradient = out[p], g[p]
        image[:] = 0
        for i in range(rows.shape[0]):
            for j in range(columns.shape[0]):
                share = gradient[i, j] * row_factors[i] * column_factors[j]
                for r in range(rows[i, 0], rows[i, 1]):
                    for c in range(columns[j, 0], columns[j, 1]):
                        image[r, c] += share


_max = both(_max_planes, "max_pool")
_put = both(_put_planes, "max_pool_grad")
_mean = both(_mean_planes, "avg_pool")
_spread = both(_spread_planes, "avg_pool_grad")


def _planes(x: np.ndarray) -> np.ndarray:
    """Images of all channels as one axis."""
    x = ready(x)
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


@functools.cache
def _whole(kh: int, kw: int, sh: int, sw: int) -> tuple:
    return both(_whole_max, f"max_pool_{kh}x{kw}_{sh}x{sw}", KH=kh, KW=kw, SH=sh, SW=sw)


@functools.cache
def _tiled(kh: int, kw: int) -> tuple[tuple, tuple]:
    return (
        both(_tiled_mean, f"avg_pool_{kh}x{kw}", KH=kh, KW=kw),
        both(_tiled_spread, f"avg_pool_grad_{kh}x{kw}", KH=kh, KW=kw),
    )


def _tile(rows: np.ndarray, columns: np.ndarray, factors: tuple[np.ndarray, np.ndarray]) -> tuple | None:
    """Height and width of windows that lie side by side from the corner on, and their one factor.

    None for others, and for large windows, for each of which no kernel is made.
    """
    sides, factor = [], factors[0].dtype.type(1)
    for windows, shares in zip((rows, columns), factors, strict=True):
        k = int(windows[0, 1])
        starts = np.arange(0, k * len(windows), k)
        plain = k <= LARGEST_TILE and (windows[:, 0] == starts).all() and (windows[:, 1] == starts + k).all()
        if not plain or (shares != shares[0]).any():
            return None
        sides.append(k)
        factor = factor * shares[0]
    return sides[0], sides[1], factor


def max_pool(
    x: np.ndarray, rows: np.ndarray, columns: np.ndarray, steps: tuple[int, int] = (1, 1)
) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each window of x (n, c, h, w), NaN if there is one, and its first place (int32).

    rows, columns: (windows, 2) first and last pixels, none empty.

    >>> max_pool(np.arange(4.0).reshape(1, 1, 2, 2), np.array([[0, 2]]), np.array([[0, 1], [1, 2]]))
    (array([[[[2., 3.]]]]), array([[[[2, 3]]]], dtype=int32))
    """
    shape = (*x.shape[:2], len(rows), len(columns))
    out, places = empty(shape, x.dtype), empty(shape, np.int32)
    if out.size:
        _max[x.size > SERIAL](_planes(x), rows, columns, *steps, _planes(out), _planes(places))
    return out, places


def max_pool_whole(
    x: np.ndarray, window: tuple[int, int], stride: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """`max_pool` of windows that slide, without padding, by kernels made for one window and stride."""
    shape = (*x.shape[:2], *((n - k) // s + 1 for n, k, s in zip(x.shape[2:], window, stride, strict=True)))
    out, places = empty(shape, x.dtype), empty(shape, np.int32)
    if out.size:
        _whole(*window, *stride)[x.size > SERIAL](_planes(x), _planes(out), _planes(places))
    return out, places


def max_pool_grad(g: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Zeros (n, c, *size), with each gradient added where its largest element was."""
    if not g.size:
        return zeros((*g.shape[:2], *size), g.dtype)
    out = empty((*g.shape[:2], *size), g.dtype)
    planes = g.shape[0] * g.shape[1]
    flat = [a.reshape(planes, -1) for a in (ready(g), ready(places), out)]
    _put[out.size > SERIAL](*flat)
    return out


def avg_pool(
    x: np.ndarray, rows: np.ndarray, columns: np.ndarray, row_factors: np.ndarray, column_factors: np.ndarray
) -> np.ndarray:
    """The sum of each window of x (n, c, h, w), times the factors of its row and column of windows.

    >>> window = np.array([[0, 2]]), np.array([[0, 2]]), np.array([0.5]), np.array([0.5])
    >>> avg_pool(np.arange(4.0).reshape(1, 1, 2, 2), *window)
    array([[[[1.5]]]])
    """
    out = empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    if out.size:
        factors = row_factors.astype(x.dtype), column_factors.astype(x.dtype)
        if (tile := _tile(rows, columns, factors)) is not None:
            mean, _ = _tiled(*tile[:2])
            mean[x.size > SERIAL](_planes(x), tile[2], _planes(out))
        else:
            _mean[x.size > SERIAL](_planes(x), rows, columns, *factors, _planes(out))
    return out


def avg_pool_grad(
    g: np.ndarray, rows: np.ndarray, columns: np.ndarray, row_factors: np.ndarray,
    column_factors: np.ndarray, size: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """The gradient of `avg_pool` to an x of height and width `size`."""
    if not g.size:
        return zeros((*g.shape[:2], *size), g.dtype)
    out = empty((*g.shape[:2], *size), g.dtype)
    factors = row_factors.astype(g.dtype), column_factors.astype(g.dtype)
    if (tile := _tile(rows, columns, factors)) is not None:
        _, spread = _tiled(*tile[:2])
        spread[out.size > SERIAL](_planes(g), tile[2], _planes(out))
    else:
        _spread[out.size > SERIAL](_planes(g), rows, columns, *factors, _planes(out))
    return out
