"""Reductions: sum, mean, variance, extremes with their places, and the undoing of a broadcast.

Arrays of any layout in, a new C-contiguous array out.  The loops are in reduce_loops.py.
"""

from __future__ import annotations

import math

import numpy as np

from tinytorch.kernels import reduce_loops as loops
from tinytorch.kernels.maps import SERIAL, is_float, ready
from tinytorch.kernels.memory import empty

Axes = int | tuple[int, ...] | None


def _sum(x: np.ndarray, outer: int, n: int, inner: int, divisor: float, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over the middle of `x` seen as (outer, n, inner), divided, in the given shape."""
    out = empty(shape, x.dtype)
    x = ready(x)
    if inner == 1:
        add = loops.sum_rows[x.size > SERIAL]
        add(x.reshape(outer, n), divisor, out.ravel())
    else:
        add = loops.sum_columns[x.size > SERIAL]
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


def var(x: np.ndarray, axis: Axes = None, correction: float = 1, keepdims: bool = False) -> np.ndarray:
    """Sum of (x - mean)**2 over `axis`, divided by its length minus `correction`; NaN or inf if that is 0."""
    axes = _positive(axis, x.ndim)
    original = x
    x, outer, n, inner, shape = _normal(x, axis, keepdims)
    if inner > 1:
        others = tuple(a for a in range(x.ndim) if a not in axes)
        x = original.transpose(others + axes)
        outer = outer * inner
    out = empty(shape, x.dtype)
    loops.variance_rows[x.size > SERIAL](ready(x).reshape(outer, n), float(correction), out.ravel())
    return out


def _extreme(
    name: str, sign: float, x: np.ndarray, axis: int, keepdims: bool
) -> tuple[np.ndarray, np.ndarray]:
    x, outer, n, inner, shape = _normal(x, axis, keepdims)
    if n == 0:
        raise ValueError(f"{name}: expected at least one element along axis {axis}, got shape {x.shape}")
    if not is_float(x):
        places = (x.argmax if sign > 0 else x.argmin)(axis=axis, keepdims=True)
        return np.take_along_axis(x, places, axis).reshape(shape), places.reshape(shape)
    x = ready(x)
    values, places = empty(shape, x.dtype), empty(shape, np.int64)
    if inner == 1:
        find = loops.extreme_rows[x.size > SERIAL]
        find(x.reshape(outer, n), sign, values.ravel(), places.ravel())
    else:
        find = loops.extreme_columns[x.size > SERIAL]
        find(x.reshape(outer, n, inner), sign, values.reshape(outer, inner), places.reshape(outer, inner))
    return values, places


def max(x: np.ndarray, axis: int, keepdims: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The largest elements along `axis` and their first places (int64); the first NaN if there is one.

    >>> max(np.array([[1.0, 3.0], [2.0, 0.0]]), axis=1)
    (array([3., 2.]), array([1, 0]))
    """
    return _extreme("max", 1.0, x, axis, keepdims)


def min(x: np.ndarray, axis: int, keepdims: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The smallest elements along `axis` and their first places (int64); the first NaN if there is one."""
    return _extreme("min", -1.0, x, axis, keepdims)


def amax(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
    """The largest element over `axis`, NaN if there is one (NumPy's loop, which is vectorised)."""
    return np.asarray(x.max(axis=axis, keepdims=keepdims))


def amin(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
    """The smallest element over `axis`, NaN if there is one (NumPy's loop)."""
    return np.asarray(x.min(axis=axis, keepdims=keepdims))


def argmax(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Where the largest element is first, int64; in the flattened array for axis None (NumPy's loop)."""
    return np.asarray(x.argmax(axis=axis, keepdims=keepdims))


def argmin(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Where the smallest element is first, int64 (NumPy's loop)."""
    return np.asarray(x.argmin(axis=axis, keepdims=keepdims))


@np.errstate(all="ignore")
def prod(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
    """Product over `axis`, in the dtype of x, or int64 (NumPy's loop)."""
    return np.asarray(x.prod(axis=axis, keepdims=keepdims))


@np.errstate(all="ignore")
def cumsum(x: np.ndarray, axis: int) -> np.ndarray:
    """Running sum along `axis`; float32 is added in float64."""
    if x.dtype == np.float32:
        return x.cumsum(axis=axis, dtype=np.float64).astype(np.float32)
    return x.cumsum(axis=axis)
