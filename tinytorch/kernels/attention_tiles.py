"""The parts of attention between its matrix products, on panels of scores whose lanes are queries.

A panel holds scores of up to VECTORS whole vectors of queries, a row of PANEL bytes for each key.  The
maximum and the sum over keys then need no step across lanes.

`online_softmax(groups, vectors, s, state, like)`
    `groups` times SCORES_TOGETHER rows of scores at s become exp(score - top), where top is the largest score
    of the query up to now.  state: three rows, of tops, of sums, and of what earlier sums were multiplied by
    to fit the new tops.  Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
`weigh(groups, vectors, s, to_p, lse, delta, like)`
    s becomes p = exp(s - lse), and to_p, the gradient to p, becomes the gradient to s, p * (to_p - delta).
`hide_triangle(keys, s, first, like)`
    -inf for the first `first` queries of the row at s, one query more in the next, and so on for `keys` rows.

exp is that of `vecmath` with results below 1e-38 as 0; float64 calls the C library.
With the JIT off plain-Python twins run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, VECTORS, Emitter, elements, integer, size_of_type
from tinytorch.kernels.tiles import call_case

SCORES_TOGETHER = 4  # rows that a step takes
_LOG2E = math.log2(math.e)
_LN2_HI, _LN2_LO = 0.693359375, -2.12194440e-4  # 9 bits, so n * high is exact
_ROUND = 12582912.0  # 1.5 * 2**23: a float32 this large holds an integer in its low bits
_LEAST = -87.0  # e to this is a normal number
# of e**r for |r| <= ln(2) / 2 (Cephes, expf)
_POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)


def _constant(emit: Emitter, number: float) -> ir.Constant:
    return ir.Constant(emit.vector, [number] * emit.lanes)


def _exp(emit: Emitter, x: ir.Value) -> ir.Value:
    """e**x of a vector, for x <= 0."""
    builder = emit.builder
    if emit.real == ir.DoubleType():
        exp = builder.module.declare_intrinsic("llvm.exp", [emit.real])
        for lane in range(emit.lanes):
            at = ir.Constant(ir.IntType(32), lane)
            x = builder.insert_element(x, builder.call(exp, [builder.extract_element(x, at)]), at)
        return x
    integers = ir.VectorType(ir.IntType(32), emit.lanes)
    small = builder.fcmp_ordered("<", x, _constant(emit, _LEAST))
    rounded = emit.multiply_add(x, _constant(emit, _LOG2E), _constant(emit, _ROUND))
    n = builder.fsub(rounded, _constant(emit, _ROUND))
    r = emit.multiply_add(n, _constant(emit, -_LN2_HI), x)
    r = emit.multiply_add(n, _constant(emit, -_LN2_LO), r)
    p = _constant(emit, _POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        p = emit.multiply_add(p, r, _constant(emit, coefficient))
    p = emit.multiply_add(builder.fmul(p, r), r, builder.fadd(r, _constant(emit, 1.0)))
    shift = ir.Constant(integers, [23] * emit.lanes)
    power = builder.shl(builder.bitcast(rounded, integers), shift)  # drops what _ROUND added
    p = builder.bitcast(builder.add(builder.bitcast(p, integers), power), emit.vector)
    return builder.select(small, _constant(emit, 0.0), p)


def _larger(emit: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    return emit.builder.select(emit.builder.fcmp_ordered(">", x, y), x, y)


def _places(emit: Emitter, row: ir.Value, vectors: int) -> list[list[ir.Value]]:
    """Pointers to the vectors of the rows that a step takes."""
    return [
        [emit.at(row, i * PANEL + j * VECTOR_BYTES) for j in range(vectors)] for i in range(SCORES_TOGETHER)
    ]


def _emit_online_softmax(vectors: int, size: int) -> Callable:
    def emit_body(builder, groups, s, state):
        emit = Emitter(builder, size)
        tops, sums, factors = (
            [emit.at(state, i * PANEL + j * VECTOR_BYTES) for j in range(vectors)] for i in range(3)
        )
        old = [emit.load(top) for top in tops]

        def find(row: ir.Value, *top: ir.Value) -> list[ir.Value]:
            a, b, c, d = ([emit.load(at) for at in line] for line in _places(emit, row, vectors))
            largest = [
                _larger(emit, _larger(emit, a[j], b[j]), _larger(emit, c[j], d[j])) for j in range(vectors)
            ]
            return [
                emit.byte(row, SCORES_TOGETHER * PANEL),
                *[_larger(emit, x, y) for x, y in zip(largest, top, strict=True)],
            ]

        _, *top = emit.repeat(groups, [emit.pointer(s), *old], find)
        none = _constant(emit, -np.inf)
        safe = [
            builder.select(builder.fcmp_ordered("==", x, none), _constant(emit, 0.0), x) for x in top
        ]  # where there was no key yet, every score is -inf

        def replace(row: ir.Value, *total: ir.Value) -> list[ir.Value]:
            p = []
            for line in _places(emit, row, vectors):
                p.append(
                    [_exp(emit, builder.fsub(emit.load(at), x)) for at, x in zip(line, safe, strict=True)]
                )
                for value, at in zip(p[-1], line, strict=True):
                    emit.store(value, at)
            a, b, c, d = p
            more = [builder.fadd(builder.fadd(a[j], b[j]), builder.fadd(c[j], d[j])) for j in range(vectors)]
            return [
                emit.byte(row, SCORES_TOGETHER * PANEL),
                *[builder.fadd(x, y) for x, y in zip(total, more, strict=True)],
            ]

        zeros = [_constant(emit, 0.0)] * vectors
        _, *total = emit.repeat(groups, [emit.pointer(s), *zeros], replace)
        for j in range(vectors):
            factor = _exp(emit, builder.fsub(old[j], safe[j]))
            emit.store(factor, factors[j])
            emit.store(emit.multiply_add(emit.load(sums[j]), factor, total[j]), sums[j])
            emit.store(top[j], tops[j])

    return emit_body


def _emit_weigh(vectors: int, size: int) -> Callable:
    def emit_body(builder, groups, s, to_p, lse, delta):
        emit = Emitter(builder, size)
        off, mean = ([emit.load(emit.at(x, j * VECTOR_BYTES)) for j in range(vectors)] for x in (lse, delta))

        def step(row: ir.Value, to_row: ir.Value) -> list[ir.Value]:
            for line, to_line in zip(*(_places(emit, x, vectors) for x in (row, to_row)), strict=True):
                for j in range(vectors):
                    p = _exp(emit, builder.fsub(emit.load(line[j]), off[j]))
                    emit.store(p, line[j])
                    emit.store(builder.fmul(p, builder.fsub(emit.load(to_line[j]), mean[j])), to_line[j])
            return [emit.byte(x, SCORES_TOGETHER * PANEL) for x in (row, to_row)]

        emit.repeat(groups, [emit.pointer(s), emit.pointer(to_p)], step)

    return emit_body


def _emit_hide_triangle(size: int) -> Callable:
    def emit_body(builder, keys, s, first):
        emit = Emitter(builder, size)
        none = _constant(emit, -np.inf)

        def step(row: ir.Value, many: ir.Value) -> list[ir.Value]:
            for j in range(VECTORS):
                count = builder.sub(many, integer(j * emit.lanes))
                emit.store(none, emit.at(row, j * VECTOR_BYTES), emit.below(count))
            return [emit.byte(row, PANEL), builder.add(many, integer(1))]

        emit.repeat(keys, [emit.pointer(s), first], step)

    return emit_body


if JIT:

    def _cases(name: str, emit: Callable, integers: int, like: types.Type) -> tuple[Any, Callable]:
        """Signature and code of a function of `integers` integers, the second of which counts vectors."""
        size = size_of_type(like)

        def codegen(context, builder, signature, arguments):
            groups, vectors, *others, _ = arguments
            cases = {n: (f"{name}_{n}_{size}", emit(n, size)) for n in range(1, VECTORS + 1)}
            return call_case(context, builder, vectors, cases, [groups, *others])

        return types.void(*[types.intp] * integers, like), codegen

    @intrinsic
    def online_softmax(_, groups, vectors, s, state, like):  # noqa: D103
        return _cases("online_softmax", _emit_online_softmax, 4, like)

    @intrinsic
    def weigh(_, groups, vectors, s, to_p, lse, delta, like):  # noqa: D103
        return _cases("weigh", _emit_weigh, 6, like)

    @intrinsic
    def hide_triangle(_, keys, s, first, like):  # noqa: D103
        size = size_of_type(like)

        def codegen(context, builder, signature, arguments):
            return call_case(
                context, builder, integer(0), {0: (f"hide_triangle_{size}", _emit_hide_triangle(size))},
                arguments[:-1],
            )  # fmt: skip

        return types.void(*[types.intp] * 3, like), codegen

else:

    def _rows(address: int, groups: int, vectors: int, like: Any) -> np.ndarray:
        whole = elements(address, groups * SCORES_TOGETHER * PANEL // like.itemsize, like)
        return whole.reshape(-1, PANEL // like.itemsize)[:, : vectors * VECTOR_BYTES // like.itemsize]

    def online_softmax(groups: int, vectors: int, s: int, state: int, like: Any) -> None:  # noqa: D103
        scores = _rows(s, groups, vectors, like)
        tops, sums, factors = _rows(state, 1, vectors, like)[:3]
        old = tops.copy()
        tops[:] = np.maximum(old, scores.max(axis=0))
        safe = np.where(tops == -np.inf, 0, tops)
        scores[:] = np.exp(scores - safe)
        factors[:] = np.exp(old - safe)
        sums[:] = sums * factors + scores.sum(axis=0)

    def weigh(groups: int, vectors: int, s: int, to_p: int, lse: int, delta: int, like: Any) -> None:  # noqa: D103
        p, to_scores = _rows(s, groups, vectors, like), _rows(to_p, groups, vectors, like)
        width = p.shape[1]
        p[:] = np.exp(p - elements(lse, width, like))
        to_scores[:] = p * (to_scores - elements(delta, width, like))

    def hide_triangle(keys: int, s: int, first: int, like: Any) -> None:  # noqa: D103
        for key in range(keys):
            elements(s + key * PANEL, min(first + key, PANEL // like.itemsize), like)[:] = -np.inf
