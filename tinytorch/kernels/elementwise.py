"""Arithmetic with broadcasting, and the elementary functions.

Up to SERIAL elements arithmetic is NumPy's: for one cheap operation its loop is as fast as ours and starts
sooner (0.34 us for 64 elements, where allocating, checking and launching takes a kernel 0.9 us).  Larger
float arrays go to a kernel that uses all threads, without materialising what is broadcast; exp, log, log1p,
expm1 and erf are kernels at every size.  Integers and booleans are always NumPy's.

Division by zero, overflow and invalid operations give inf and NaN without a warning, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import bind, kernel
from tinytorch.kernels.maps import CHUNK, READY, SERIAL, f, is_float, ready, unary, unary_with
from tinytorch.kernels.memory import empty

_COSTLY = 8192
_quietly = np.errstate(all="ignore")


def _broadcast_parallel(a, b, out):
    """out (p, n, m) = f(a, b); an axis of a or b may have length 1 instead."""
    p, n, m = out.shape
    rows = p * n
    block = max(1, CHUNK // m)  # short rows are taken several at a time,
    pieces = (m + CHUNK - 1) // CHUNK  # long ones in pieces
    a_p, a_n, a_m = a.shape
    b_p, b_n, b_m = b.shape
    # owns out[first:last, start:stop], rows counted over p and n
    for task in prange(((rows + block - 1) // block) * pieces):
        first = task // pieces * block
        last = min(rows, first + block)
        start = task % pieces * CHUNK
        stop = min(m, start + CHUNK)
        for row in range(first, last):
            i, j = row // n, row % n
            a_row = a[i if a_p > 1 else 0, j if a_n > 1 else 0]
            b_row = b[i if b_p > 1 else 0, j if b_n > 1 else 0]
            part = out[i, j, start:stop]
            if a_m == 1 and m > 1:
                scalar = a_row[0]
                b_part = b_row[start:stop]
                for k in range(part.size):
                    part[k] = f(scalar, b_part[k])
            elif b_m == 1 and m > 1:
                scalar = b_row[0]
                a_part = a_row[start:stop]
                for k in range(part.size):
                    part[k] = f(a_part[k], scalar)
            else:
                a_part = a_row[start:stop]
                b_part = b_row[start:stop]
                for k in range(part.size):
                    part[k] = f(a_part[k], b_part[k])


def _without_repeats(x: np.ndarray, ndim: int) -> np.ndarray:
    """`x` with `ndim` axes, those of stride 0 cut to length 1, contiguous."""
    x = x[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.strides)]
    return ready(x.reshape((1,) * (ndim - x.ndim) + x.shape))


def _merge_axes(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> list[list[int]]:
    """Neighbouring axes along which a and b both run, or repeat, merged: rows of [length, a's, b's]."""
    merged: list[list[int]] = []
    for length, in_a, in_b in zip(shape, a.shape, b.shape, strict=True):
        if length == 1:
            continue
        last = merged[-1] if merged else None
        if last and (last[1] > 1) == (in_a > 1) and (last[2] > 1) == (in_b > 1):
            merged[-1] = [last[0] * length, last[1] * in_a, last[2] * in_b]
        else:
            merged.append([length, in_a, in_b])
    return merged


def _arithmetic(name: str, ufunc: np.ufunc, f: Callable) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The driver of one binary operation: NumPy's `ufunc` for little work, the kernel of `f` for much."""
    parallel = kernel(bind(_broadcast_parallel, f"{name}_parallel", f=f), parallel=True)

    @_quietly
    def by_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(ufunc(a, b, order="C"))

    def by_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        shape = a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape)
        if a.dtype != b.dtype or not is_float(a) or math.prod(shape) <= SERIAL:
            return by_numpy(a, b)
        if a.shape == b.shape and a.flags.num & b.flags.num & READY == READY:
            out = empty(shape, a.dtype)
            parallel(*(x.reshape(1, 1, -1) for x in (a, b, out)))
            return out
        a, b = _without_repeats(a, len(shape)), _without_repeats(b, len(shape))
        merged = _merge_axes(a, b, shape)
        if len(merged) > 3:
            return by_numpy(a, b)
        merged = [[1, 1, 1]] * (3 - len(merged)) + merged
        as_out, as_a, as_b = zip(*merged, strict=True)
        out = empty(shape, a.dtype)
        parallel(a.reshape(as_a), b.reshape(as_b), out.reshape(as_out))
        return out

    def drive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if a.size <= SERIAL >= b.size and (a.shape == b.shape or not _grows(a, b)):
            return by_numpy(a, b)
        return by_kernel(a, b)

    return drive


def _grows(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether small operands have a large result, as a column plus a row has."""
    if a.ndim <= 2 >= b.ndim and a.shape[-1:] == b.shape[-1:]:
        return False
    return a.size * b.size > SERIAL and np.broadcast(a, b).size > SERIAL


@kernel(inline=True)
def _add_of(a, b):
    return a + b


@kernel(inline=True)
def _subtract_of(a, b):
    return a - b


@kernel(inline=True)
def _multiply_of(a, b):
    return a * b


@kernel(inline=True)
def _divide_of(a, b):
    return vecmath.divide(a, b)


@kernel(inline=True)
def _maximum_of(a, b):
    return vecmath.maximum(a, b)


@kernel(inline=True)
def _minimum_of(a, b):
    return vecmath.minimum(a, b)


@kernel(inline=True)
def _clip_of(x, lo, hi):
    x = lo if x < lo else x
    return hi if x > hi else x


@kernel(inline=True)
def _square_of(x):
    return x * x


@kernel(inline=True)
def _neg_of(x):
    return -x


@kernel(inline=True)
def _abs_of(x):
    return np.abs(x)  # `abs` is this module's own


@kernel(inline=True)
def _sqrt_of(x):
    return np.sqrt(x)


@kernel(inline=True)
def _reciprocal_of(x):
    return vecmath.divide(type(x)(1), x)


_add = _arithmetic("add", np.add, _add_of)
_subtract = _arithmetic("subtract", np.subtract, _subtract_of)
_multiply = _arithmetic("multiply", np.multiply, _multiply_of)
_divide = _arithmetic("divide", np.divide, _divide_of)
_maximum = _arithmetic("maximum", np.maximum, _maximum_of)
_minimum = _arithmetic("minimum", np.minimum, _minimum_of)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b, with NumPy's broadcasting.

    >>> add(np.array([1.0, 2.0]), np.array([[10.0], [20.0]]))
    array([[11., 12.],
           [21., 22.]])
    """
    return _add(a, b)


def subtract(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, with NumPy's broadcasting."""
    return _subtract(a, b)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a * b, with NumPy's broadcasting."""
    return _multiply(a, b)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, with NumPy's broadcasting; x / 0 is infinite and 0 / 0 is NaN."""
    return _divide(a, b)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The larger of a and b; NaN where either is NaN."""
    return _maximum(a, b)


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smaller of a and b; NaN where either is NaN."""
    return _minimum(a, b)


def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a ** b.  NumPy's vectorised power, or for the exponents 2, 3, 0.5 and -1 what is cheaper."""
    if b.size == 1 and b.ndim <= a.ndim and a.dtype == b.dtype and is_float(a):
        special = _POWERS.get(b.item())
        if special is not None:
            return special(a)
    return _power_by_numpy(a, b)


@_quietly
def _power_by_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.power(a, b, order="C"))


def _cheap(name: str, ufunc: np.ufunc, f: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The driver of a unary operation that NumPy does as fast on one thread."""
    parallel = unary(name, f, limit=SERIAL)

    @_quietly
    def by_numpy(x: np.ndarray) -> np.ndarray:
        return np.asarray(ufunc(x, order="C"))

    def drive(x: np.ndarray) -> np.ndarray:
        return parallel(x) if x.size > SERIAL and is_float(x) else by_numpy(x)

    return drive


_neg = _cheap("neg", np.negative, _neg_of)
_abs = _cheap("abs", np.absolute, _abs_of)
_sqrt = _cheap("sqrt", np.sqrt, _sqrt_of)
_square = _cheap("square", np.square, _square_of)
_reciprocal = _cheap("reciprocal", np.reciprocal, _reciprocal_of)
_exp = unary("exp", vecmath.exp, _COSTLY)
_expm1 = unary("expm1", vecmath.expm1, _COSTLY)
_log = unary("log", vecmath.log, _COSTLY)
_log1p = unary("log1p", vecmath.log1p, _COSTLY)
_erf = unary("erf", vecmath.erf, _COSTLY)
_clip = unary_with("clip", _clip_of)
_POWERS = {2.0: _square, 0.5: _sqrt, -1.0: _reciprocal, 3.0: lambda x: multiply(multiply(x, x), x)}


def neg(x: np.ndarray) -> np.ndarray:
    """-x."""
    return _neg(x)


def abs(x: np.ndarray) -> np.ndarray:
    """|x|."""
    return _abs(x)


def sqrt(x: np.ndarray) -> np.ndarray:
    """Square root; NaN for negative numbers."""
    return _sqrt(x)


def square(x: np.ndarray) -> np.ndarray:
    """x * x."""
    return _square(x)


def reciprocal(x: np.ndarray) -> np.ndarray:
    """1 / x; infinite at 0."""
    return _reciprocal(x)


def exp(x: np.ndarray) -> np.ndarray:
    """e ** x, for float32 and float64."""
    return _exp(x)


def expm1(x: np.ndarray) -> np.ndarray:
    """e ** x - 1, accurate near 0, for float32 and float64."""
    return _expm1(x)


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm, for float32 and float64; -inf at 0, NaN below."""
    return _log(x)


def log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x), accurate near 0, for float32 and float64."""
    return _log1p(x)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, 2 / sqrt(pi) * integral of e**(-t*t) from 0 to x, for float32 and float64."""
    return _erf(x)


@_quietly
def sign(x: np.ndarray) -> np.ndarray:
    """-1, 0 or 1; NaN for NaN."""
    return np.asarray(np.sign(x, order="C"))


@_quietly
def sin(x: np.ndarray) -> np.ndarray:
    """Sine: NumPy's, whose loop is vectorised already."""
    return np.asarray(np.sin(x, order="C"))


@_quietly
def cos(x: np.ndarray) -> np.ndarray:
    """Cosine: NumPy's, whose loop is vectorised already."""
    return np.asarray(np.cos(x, order="C"))


def clip(x: np.ndarray, lo: float | None = None, hi: float | None = None) -> np.ndarray:
    """min(max(x, lo), hi), where None is no bound; NaN stays NaN.  With lo > hi everything becomes hi."""
    if not is_float(x):
        x = x if lo is None else np.maximum(x, lo)
        return np.array(x if hi is None else np.minimum(x, hi))
    return _clip(x, -np.inf if lo is None else lo, np.inf if hi is None else hi)


def where(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a where c is true, else b, with NumPy's broadcasting (and NumPy's loop)."""
    return np.where(c, a, b)
