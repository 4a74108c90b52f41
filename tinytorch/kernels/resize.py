"""Resizing images: a new pixel is the nearest old one, or a mean of the four around it; and the way back.

Which pixels a new row or column reads, and with what weights, are tables: the kernels know nothing of scales.
A parallel iteration owns one image of one channel.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from tinytorch.kernels.maps import SERIAL, both, ready
from tinytorch.kernels.memory import empty, zeros


def _nearest_planes(x, rows, columns, out):
    """out[p, i, j] = x[p, rows[i], columns[j]]."""
    for p in prange(x.shape[0]):  # owns out[p]
        for i in range(rows.size):
            old, new = x[p, rows[i]], out[p, i]
            for j in range(columns.size):
                new[j] = old[columns[j]]


def _nearest_planes_grad(g, rows, columns, out):
    """The gradient of `_nearest_planes`; out begins as zeros."""
    for p in prange(g.shape[0]):  # owns out[p]
        for i in range(rows.size):
            old, new = out[p, rows[i]], g[p, i]
            for j in range(columns.size):
                old[columns[j]] += new[j]


def _linear_planes(x, rows, columns, row_weights, column_weights, out):
    """Each row of out[p] is a mean of two rows of x[p]; each of its pixels, of two pixels of that mean."""
    for p in prange(x.shape[0]):  # owns out[p]
        line = np.empty(x.shape[2], x.dtype)
        for i in range(rows.shape[0]):
            upper, lower, new = x[p, rows[i, 0]], x[p, rows[i, 1]], out[p, i]
            above, below = row_weights[i, 0], row_weights[i, 1]
            if below == 0:  # 0 times infinity would be NaN
                line[:] = upper
            else:
                for k in range(line.size):
                    line[k] = above * upper[k] + below * lower[k]
            for j in range(columns.shape[0]):
                left, right = line[columns[j, 0]], line[columns[j, 1]]
                new[j] = column_weights[j, 0] * left + column_weights[j, 1] * right


def _linear_planes_grad(g, rows, columns, row_weights, column_weights, out):
    """The gradient of `_linear_planes`, by the same steps backwards; out begins as zeros."""
    for p in prange(g.shape[0]):  # owns out[p]
        line = np.empty(out.shape[2], out.dtype)
        for i in range(rows.shape[0]):
            upper, lower, new = out[p, rows[i, 0]], out[p, rows[i, 1]], g[p, i]
            above, below = row_weights[i, 0], row_weights[i, 1]
            line[:] = 0
            for j in range(columns.shape[0]):
                line[columns[j, 0]] += column_weights[j, 0] * new[j]
                line[columns[j, 1]] += column_weights[j, 1] * new[j]
            for k in range(line.size):
                upper[k] += above * line[k]
            if below != 0:
                for k in range(line.size):
                    lower[k] += below * line[k]


_nearest = both(_nearest_planes, "nearest")
_nearest_grad = both(_nearest_planes_grad, "nearest_grad")
_linear = both(_linear_planes, "linear_resize")
_linear_grad = both(_linear_planes_grad, "linear_resize_grad")


def _planes(x: np.ndarray) -> np.ndarray:
    """Images of all channels as one axis; x is not empty."""
    return ready(x).reshape(-1, *x.shape[2:])


def nearest(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The pixels of x (n, c, h, w) at `rows` and `columns`: (n, c, rows, columns).

    >>> nearest(np.arange(4.0).reshape(1, 1, 2, 2), np.array([1]), np.array([0, 0, 1]))
    array([[[[2., 2., 3.]]]])
    """
    out = empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    if out.size:
        _nearest[out.size > SERIAL](_planes(x), rows, columns, _planes(out))
    return out


def nearest_grad(g: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The gradient of `nearest` to an x of height and width `size`: each g added to the pixel it read."""
    out = zeros((*g.shape[:2], *size), g.dtype)
    if g.size:
        _nearest_grad[g.size > SERIAL](_planes(g), rows, columns, _planes(out))
    return out


def linear(
    x: np.ndarray, rows: np.ndarray, columns: np.ndarray, row_weights: np.ndarray, column_weights: np.ndarray
) -> np.ndarray:
    """Weighted means of the pixels of x (n, c, h, w) in two rows and two columns each.

    rows, columns: (count, 2) places, with weights of the same shape. A row whose second weight is 0 is not
    read.

    >>> halves = np.array([[0, 1]]), np.array([[0, 1]]), np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])
    >>> linear(np.arange(4.0).reshape(1, 1, 2, 2), *halves)
    array([[[[1.5]]]])
    """
    out = empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    if out.size:
        weights = row_weights.astype(x.dtype), column_weights.astype(x.dtype)
        _linear[out.size > SERIAL](_planes(x), rows, columns, *weights, _planes(out))
    return out


def linear_grad(
    g: np.ndarray, rows: np.ndarray, columns: np.ndarray, row_weights: np.ndarray,
    column_weights: np.ndarray, size: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """The gradient of `linear` to an x of height and width `size`."""
    out = zeros((*g.shape[:2], *size), g.dtype)
    if g.size:
        weights = row_weights.astype(g.dtype), column_weights.astype(g.dtype)
        _linear_grad[g.size > SERIAL](_planes(g), rows, columns, *weights, _planes(out))
    return out
