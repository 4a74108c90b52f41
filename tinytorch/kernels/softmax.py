"""Softmax and log-softmax along one axis, and their gradients.

A block of rows goes through in three short passes while it is in cache: subtract each row's maximum,
exponentiate the whole block as one flat run (so that rows of ten classes use full registers too), divide by
each row's sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels.maps import both, ready
from tinytorch.kernels.memory import empty

BLOCK = 4096  # elements of the rows that go through together: 16 KiB
_SERIAL = 8192


def _softmax_rows(x, c, y):
    rows = x.size // c
    block = max(1, BLOCK // c)
    for task in prange((rows + block - 1) // block):  # owns `block` rows of y
        start, stop = task * block * c, min(rows, (task + 1) * block) * c
        x_part, y_part = x[start:stop], y[start:stop]
        for first in range(0, y_part.size, c):
            row = x_part[first : first + c]
            top = row[0]
            for j in range(row.size):
                top = vecmath.maximum(top, row[j])
            shifted = y_part[first : first + c]
            for j in range(row.size):
                shifted[j] = row[j] - top
        for i in range(y_part.size):
            y_part[i] = vecmath.exp(y_part[i])
        for first in range(0, y_part.size, c):
            row = y_part[first : first + c]
            total = np.float64(0)
            for j in range(row.size):
                total += row[j]
            scale = y.dtype.type(1.0 / total)
            for j in range(row.size):
                row[j] *= scale


def _softmax_grad_rows(g, y, c, out):
    """out = y * (g - sum of g * y)."""
    rows = y.size // c
    block = max(1, BLOCK // c)
    for task in prange((rows + block - 1) // block):  # owns `block` rows of out
        for r in range(task * block, min(rows, (task + 1) * block)):
            g_row, y_row, row = g[r * c : (r + 1) * c], y[r * c : (r + 1) * c], out[r * c : (r + 1) * c]
            total = np.float64(0)
            for j in range(row.size):
                total += g_row[j] * y_row[j]
            mean = out.dtype.type(total)
            for j in range(row.size):
                row[j] = y_row[j] * (g_row[j] - mean)


def _log_softmax_rows(x, c, y):
    rows = x.size // c
    block = max(1, BLOCK // c)
    for task in prange((rows + block - 1) // block):  # owns `block` rows of y
        start, stop = task * block * c, min(rows, (task + 1) * block) * c
        x_part, y_part = x[start:stop], y[start:stop]
        tops = np.empty(block, y.dtype)
        for r in range(y_part.size // c):
            row = x_part[r * c : (r + 1) * c]
            top = row[0]
            for j in range(row.size):
                top = vecmath.maximum(top, row[j])
            tops[r] = top
            shifted = y_part[r * c : (r + 1) * c]
            for j in range(row.size):
                shifted[j] = row[j] - top
        for i in range(y_part.size):
            y_part[i] = vecmath.exp(y_part[i])
        for r in range(y_part.size // c):
            row = y_part[r * c : (r + 1) * c]
            total = np.float64(0)
            for j in range(row.size):
                total += row[j]
            x_row, top, log_total = x_part[r * c : (r + 1) * c], tops[r], y.dtype.type(np.log(total))
            for j in range(row.size):
                row[j] = vecmath.subtract_both(x_row[j], top, log_total)


def _log_softmax_grad_rows(g, y, c, out):
    """out = g - exp(y) * sum of g."""
    rows = y.size // c
    block = max(1, BLOCK // c)
    for task in prange((rows + block - 1) // block):  # owns `block` rows of out
        start, stop = task * block * c, min(rows, (task + 1) * block) * c
        y_part, part = y[start:stop], out[start:stop]
        for i in range(part.size):
            part[i] = vecmath.exp(y_part[i])
        for first in range(0, part.size, c):
            g_row, row = g[start + first : start + first + c], part[first : first + c]
            total = np.float64(0)
            for j in range(row.size):
                total += g_row[j]
            scale = out.dtype.type(total)
            for j in range(row.size):
                row[j] = g_row[j] - row[j] * scale


_softmax = both(_softmax_rows, "softmax")
_softmax_grad = both(_softmax_grad_rows, "softmax_grad")
_log_softmax = both(_log_softmax_rows, "log_softmax")
_log_softmax_grad = both(_log_softmax_grad_rows, "log_softmax_grad")


def _along(kernels: tuple[Callable, Callable], axis: int, *arrays: np.ndarray) -> np.ndarray:
    """Run a kernel of rows along `axis` of arrays of one shape."""
    last = arrays[0].ndim - 1
    moved = last > 0 and axis % (last + 1) != last
    if moved:
        arrays = tuple(np.moveaxis(array, axis, -1) for array in arrays)
    arrays = tuple(ready(array) for array in arrays)
    out = empty(arrays[0].shape, arrays[0].dtype)
    if out.size:
        c = out.shape[-1] if out.ndim else 1
        kernels[out.size > _SERIAL](*[array.ravel() for array in arrays], c, out.ravel())
    return np.ascontiguousarray(np.moveaxis(out, -1, axis)) if moved else out


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(x) / sum of exp(x) along `axis`.  A slice of nothing but -inf gives NaN.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return _along(_softmax, axis, x)


def softmax_grad(g: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """y * (g - sum of g * y), from the output y of `softmax`."""
    return _along(_softmax_grad, axis, g, y)


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """x - log(sum of exp(x)) along `axis`."""
    return _along(_log_softmax, axis, x)


def log_softmax_grad(g: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """g - exp(y) * sum of g, from the output y of `log_softmax`."""
    return _along(_log_softmax_grad, axis, g, y)
