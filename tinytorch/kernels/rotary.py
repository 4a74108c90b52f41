"""Rotary positions: columns in pairs, turned by an angle that grows with the row's number.

One pass reads x where it lies, also where it is a slice or has its middle axes swapped, as the heads of
queries and keys often are.

The two halves of a head are read, and written, a register at a time, in vector IR: LLVM vectorised the plain
loop for 64 pairs at a time, and so not at all for a head of 32 columns, where it took three times as long.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT, kernel
from tinytorch.kernels.maps import SERIAL, both
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address
from tinytorch.kernels.simd import VECTOR_BYTES, Emitter, elements, size_of, size_of_type

BLOCK = 4096  # numbers of out that one iteration takes

if JIT:

    @intrinsic
    def turn(_, count, one, other, cosines, sines, to_one, to_other, like):
        """One vector of each half of a head, or its first `count` lanes, turned: all are addresses."""

        def codegen(context, builder, signature, arguments):
            count, one, other, cosines, sines, to_one, to_other, _ = arguments
            emit = Emitter(builder, size_of_type(like))
            mask = emit.below(count)
            x, y, c, s = (emit.load(emit.at(a, 0), mask) for a in (one, other, cosines, sines))
            emit.store(builder.fsub(builder.fmul(x, c), builder.fmul(y, s)), emit.at(to_one, 0), mask)
            emit.store(builder.fadd(builder.fmul(y, c), builder.fmul(x, s)), emit.at(to_other, 0), mask)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 7, like), codegen

else:

    def turn(count, one, other, cosines, sines, to_one, to_other, like):
        """One vector of each half of a head, or its first `count` lanes, turned: all are addresses."""
        count = min(count, VECTOR_BYTES // like.itemsize)
        x, y, c, s, to_x, to_y = (
            elements(address, count, like) for address in (one, other, cosines, sines, to_one, to_other)
        )
        to_x[:], to_y[:] = x * c - y * s, y * c + x * s


@kernel(inline=True)
def _copy(count, source, target, like):
    given, to = elements(source, count, like), elements(target, count, like)
    for j in range(count):
        to[j] = given[j]


def _rotate(x, n, width, places, inner, table, length, half, columns, out, like):
    """Each row of out from that of x (a, inner, length, width) whose axes begin `places` bytes apart.

    x, table and out are ids of arrays.
    """
    size = size_of(like)
    lanes, reach = VECTOR_BYTES // size, half * size
    source, target, angles = data_address(x), data_address(out), data_address(table)
    block = max(1, BLOCK // width)
    for task in prange((n + block - 1) // block):  # owns `block` rows of out
        for i in range(task * block, min(n, (task + 1) * block)):
            t, rest = i % length, i // length
            row = source + rest // inner * places[0] + rest % inner * places[1] + t * places[2]
            to, cosines = target + i * width * size, angles + t * reach
            sines = cosines + length * reach
            for head in range(0, columns * size, 2 * reach):
                for j in range(0, half, lanes):
                    at = j * size
                    turn(
                        half - j, row + head + at, row + head + reach + at, cosines + at, sines + at,
                        to + head + at, to + head + reach + at, like,
                    )  # fmt: skip
            _copy(width - columns, row + columns * size, to + columns * size, like)


_serial, _parallel = both(_rotate, "rotary")


def turns(positions: np.ndarray, half: int, base: float, inverse: bool, dtype: np.dtype) -> np.ndarray:
    """Cosines and sines (2, t, half) of `position * base ** (-i / half)`, from float64.

    inverse: of the angles that turn back.

    >>> turns(np.array([0, 1]), 1, 1e4, False, np.dtype(np.float64)).round(4).tolist()
    [[[1.0], [0.5403]], [[0.0], [0.8415]]]
    """
    angles = positions[:, None] * np.float64(base) ** (-np.arange(half) / half)
    sines = np.sin(angles)
    return np.array([np.cos(angles), -sines if inverse else sines], dtype)


@functools.lru_cache(maxsize=32)
def _consecutive(first: int, length: int, *settings: Any) -> np.ndarray:
    """`turns` of consecutive positions, kept for the next layers and steps."""
    return turns(np.arange(first, first + length), *settings)


def rotary(
    x: np.ndarray, positions: int | np.ndarray, base: float, head: int, columns: int, inverse: bool = False
) -> np.ndarray:
    """x (..., t, w), the first `columns` of which are heads of `head` columns, turned row by row.

    In each head, column i and column i + head / 2 are a point of the plane, which turns by
    `position * base ** (-2i / head)`; the inverse turns back. Further columns are copied.
    positions: of the first row, or of every row, (t,).

    >>> rotary(np.array([[1.0, 0.0]] * 2), 0, 1e4, 2, 2).round(4)
    array([[1.    , 0.    ],
           [0.5403, 0.8415]])
    """
    out = empty(x.shape, x.dtype)
    if not x.size:
        return out
    length, width = x.shape[-2:]
    settings = head // 2, base, inverse, x.dtype
    if isinstance(positions, int):
        table = _consecutive(positions, length, *settings)
    else:
        table = turns(positions, *settings)
    lead = x.shape[:-2]
    inner = lead[-1] if lead else 1
    x = x.reshape(math.prod(lead[:-1]), inner, length, width)
    if x.strides[3] != x.itemsize:
        x = np.array(x, order="C")
    run = _serial if x.size <= SERIAL else _parallel
    run(
        id(x), out.size // width, width, x.strides[:3], inner, id(table), length, head // 2, columns, id(out),
        x.dtype.type(0),
    )  # fmt: skip
    return out
