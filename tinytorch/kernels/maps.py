"""Loops that apply one scalar function to every element of flat arrays: how element-wise kernels are made.

`unary`, `binary` and their `_with` forms (two extra numbers, such as a slope) turn a scalar function into a
driver: arrays of any layout in, a new C-contiguous array out.  Below SERIAL elements the loop runs on the
calling thread, because starting the threads costs as much as the work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from tinytorch.kernels._jit import JIT, bind, kernel
from tinytorch.kernels.memory import empty

CHUNK = 4096  # elements a parallel iteration owns
SERIAL = 32768  # up to here one thread is faster: 3.7 us a pass, against 1.6 us to start two
READY = 0x501  # NPY_ARRAY_C_CONTIGUOUS | ALIGNED | WRITEABLE, in one flags lookup


def ready(x: np.ndarray) -> np.ndarray:
    """`x`, or a copy if it is not contiguous, aligned and writeable: kernels compile for one layout only."""
    return x if x.flags.num & READY == READY else np.array(x, order="C", ndmin=x.ndim)


def is_float(x: np.ndarray) -> bool:
    """Whether `x` holds float32 or float64, the types that kernels are compiled for."""
    return x.dtype.char in "fd"


_quietly = np.errstate(all="ignore")  # compiled code does not warn of overflow or NaN: nor does its twin


def f(*numbers: float) -> float:
    """Stands in a template for the scalar function that `both` puts in its place."""
    raise NotImplementedError


def _unary(x, out):
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        x_part = x[chunk * CHUNK : (chunk + 1) * CHUNK]
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(x_part.size):
            part[i] = f(x_part[i])


def _unary_with(x, p, q, out):
    p, q = out.dtype.type(p), out.dtype.type(q)
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        x_part = x[chunk * CHUNK : (chunk + 1) * CHUNK]
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(x_part.size):
            part[i] = f(x_part[i], p, q)


def _binary(a, b, out):
    for chunk in prange((a.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        a_part = a[chunk * CHUNK : (chunk + 1) * CHUNK]
        b_part = b[chunk * CHUNK : (chunk + 1) * CHUNK]
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(a_part.size):
            part[i] = f(a_part[i], b_part[i])


def _binary_with(a, b, p, q, out):
    p, q = out.dtype.type(p), out.dtype.type(q)
    for chunk in prange((a.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        a_part = a[chunk * CHUNK : (chunk + 1) * CHUNK]
        b_part = b[chunk * CHUNK : (chunk + 1) * CHUNK]
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(a_part.size):
            part[i] = f(a_part[i], b_part[i], p, q)


def both(template: Callable, name: str, **names: Callable) -> tuple[Callable, Callable]:
    """`template` compiled twice: for the calling thread alone (`prange` is `range` there), and for all."""
    kernels = (
        kernel(bind(template, name, **names)),
        kernel(bind(template, f"{name}_parallel", **names), parallel=True),
    )
    return kernels if JIT else tuple(map(_quietly, kernels))


def unary(name: str, f: Callable, limit: int = SERIAL) -> Callable[[np.ndarray], np.ndarray]:
    """The driver `x -> f(x)`, parallel above `limit` elements."""
    serial, parallel = both(_unary, name, f=f)

    def drive(x: np.ndarray) -> np.ndarray:
        x = ready(x)
        out = empty(x.shape, x.dtype)
        (serial if x.size <= limit else parallel)(x.ravel(), out.ravel())
        return out

    return drive


def unary_with(name: str, f: Callable, limit: int = SERIAL) -> Callable[..., np.ndarray]:
    """The driver `x, p, q -> f(x, p, q)` with numbers p and q (q defaults to 0)."""
    serial, parallel = both(_unary_with, name, f=f)

    def drive(x: np.ndarray, p: float, q: float = 0.0) -> np.ndarray:
        x = ready(x)
        out = empty(x.shape, x.dtype)
        (serial if x.size <= limit else parallel)(x.ravel(), float(p), float(q), out.ravel())
        return out

    return drive


def binary(name: str, f: Callable, limit: int = SERIAL) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The driver `a, b -> f(a, b)` for two arrays of one shape and dtype."""
    serial, parallel = both(_binary, name, f=f)

    def drive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = ready(a), ready(b)
        out = empty(a.shape, a.dtype)
        (serial if a.size <= limit else parallel)(a.ravel(), b.ravel(), out.ravel())
        return out

    return drive


def binary_with(name: str, f: Callable, limit: int = SERIAL) -> Callable[..., np.ndarray]:
    """The driver `a, b, p, q -> f(a, b, p, q)` with numbers p and q (q defaults to 0)."""
    serial, parallel = both(_binary_with, name, f=f)

    def drive(a: np.ndarray, b: np.ndarray, p: float, q: float = 0.0) -> np.ndarray:
        a, b = ready(a), ready(b)
        out = empty(a.shape, a.dtype)
        (serial if a.size <= limit else parallel)(a.ravel(), b.ravel(), float(p), float(q), out.ravel())
        return out

    return drive
