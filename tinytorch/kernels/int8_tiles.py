"""Register tiles of bytes: the innermost loops of every int8 product, written as vector instructions.

One step takes four neighbours along k at once, a *group*: a 32-bit word of `a` (unsigned bytes) is broadcast,
and multiplied with the words of `b` (signed bytes), a word for each column.  Each lane adds its four products
to an int32.  Addresses are integers and strides are bytes, as in `simd`.

`byte_tile(rows, vectors, a_rows, runs, run_table, steps, b, sums)`
    sums[i, j] = sum over runs r and groups g of dot(a[i, r, g], b[r, g, j]) for rows <= ROWS of the path and
    `vectors` <= VECTORS vectors of columns.  Row i of a begins at the address a_rows[i], run r begins
    run_table[r] bytes further and is `steps` >= 1 groups long: two tables of integers.  The groups of b lie
    one after the other, each as wide as the tile, and so do the rows of sums.
`finish_tile(kind, rows, columns, sums, scales, scale_step, zeros, zero_step, column_sums, weights,
weight_step, bias, bias_step, c_rows, c_offset, low, high, inverse, shift)`
    y[i, j] = (sums[i, j] - zeros[i] * column_sums[j]) * (scales[i] * weights[j]) + bias[j], with a step of 0
    where one number serves all; an absent bias may be anywhere, if bias_step is 0.  Row i of c begins
    c_offset bytes after the address c_rows[i].  Kind FLOATS stores max(y, low) as float32.  Kind CODES
    stores round(y * inverse, cut to low .. high) + shift as a byte, where halves go to the even number, and
    NaN to low.

`tile_by[path]` is `byte_tile` with another way to multiply, for rows <= PATHS[path].  With the JIT off
plain-Python twins run, which read and write the same addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT
from tinytorch.kernels.int8_vectors import GROUP, LANES, PATH, PATHS, ByteEmitter, codes_of
from tinytorch.kernels.simd import VECTOR_BYTES, VECTORS, elements, integer, word
from tinytorch.kernels.tiles import call_case, load_word

FLOATS, CODES = 0, 1  # what finish_tile stores

_i32 = ir.IntType(32)


def _emit_tile(path: str, rows: int, vectors: int) -> Callable:
    """A tile of exactly rows x vectors.  With few rows, chains of sums side by side hide the latency."""
    chains = {1: 4, 2: 2, 3: 2}.get(rows, 1)

    def emit_body(builder, a_rows, runs, run_table, steps, b, sums):
        emit = ByteEmitter(builder, path)
        starts = [emit.pointer(load_word(builder, builder.add(a_rows, integer(8 * i)))) for i in range(rows)]
        wide = vectors * VECTOR_BYTES
        many = rows * vectors

        def step(along: ir.Value, group: ir.Value, *total: ir.Value, first: int = 0) -> list[ir.Value]:
            ys = [
                emit.signed(emit.load(emit.at(group, j * VECTOR_BYTES, emit.integers)))
                for j in range(vectors)
            ]
            following = [builder.add(along, integer(GROUP)), emit.byte(group, wide)]
            sums = list(total)
            for i in range(rows):
                x = emit.unsigned(emit.splat(emit.load(emit.at(starts[i], along, _i32))))
                for j in range(vectors):
                    at = first + i * vectors + j
                    sums[at] = emit.dot(sums[at], x, ys[j])
            return [*following, *sums]

        def several(along: ir.Value, group: ir.Value, *total: ir.Value) -> list[ir.Value]:
            state = [along, group, *total]
            for chain in range(chains):
                state = step(*state, first=chain * many)
            return state

        def run(entry: ir.Value, group: ir.Value, *total: ir.Value) -> list[ir.Value]:
            state = [load_word(builder, entry), group, *total]
            if chains == 1:
                state = emit.repeat(steps, state, step)
            else:
                at_once = integer(chains)
                state = emit.repeat_any(builder.sdiv(steps, at_once), state, several)
                state = emit.repeat_any(builder.srem(steps, at_once), state, step)
            return [builder.add(entry, integer(8)), *state[1:]]

        zeros = [emit.constant(0)] * (many * chains)
        _, _, *total = emit.repeat(runs, [run_table, emit.pointer(b), *zeros], run)
        for at in range(many):
            for chain in range(1, chains):
                total[at] = builder.add(total[at], total[chain * many + at])
            builder.store(total[at], emit.at(sums, at * VECTOR_BYTES, emit.integers)).align = 4

    return emit_body


def _emit_finish(kind: int, uniform: bool) -> Callable:
    """A loop over the vectors of columns, and in it one over the rows; `uniform`: these share their scale."""

    def emit_body(
        builder, rows, columns, sums, scales, scale_step, zeros, zero_step, column_sums, weights, weight_step,
        bias, bias_step, c_rows, c_offset, low, high, inverse, shift,
    ):  # fmt: skip
        emit = ByteEmitter(builder)
        vectors = builder.sdiv(builder.add(columns, integer(LANES - 1)), integer(LANES))
        row_bytes = builder.mul(vectors, integer(VECTOR_BYTES))
        numbers = [emit.splat(x) for x in (inverse, low, high, shift)]
        has_bias = emit.splat(builder.icmp_signed("!=", bias_step, integer(0)))

        def of_row(
            scales: ir.Value, zeros: ir.Value, weight: ir.Value, column_sum: ir.Value
        ) -> list[ir.Value]:
            scale = emit.splat(emit.load(emit.at(scales, 0, emit.real)))
            zero = emit.splat(emit.load(emit.at(zeros, 0, _i32)))
            return [builder.fmul(scale, weight), builder.mul(zero, column_sum)]

        def one_vector(at: ir.Value, left: ir.Value) -> list[ir.Value]:
            mask = emit.below(left)
            column_sum = emit.load(emit.at(column_sums, at, emit.integers))
            weight = emit.some_lanes(weights, at, weight_step, mask)
            added = emit.load(emit.at(bias, at), builder.and_(mask, has_bias))
            place = builder.add(c_offset, at if kind == FLOATS else builder.sdiv(at, integer(4)))
            shared = of_row(scales, zeros, weight, column_sum) if uniform else None

            def one_row(
                sums: ir.Value, scales: ir.Value, zeros: ir.Value, c_rows: ir.Value, part: ir.Value | None
            ) -> list[ir.Value]:
                scale, less = shared or of_row(scales, zeros, weight, column_sum)
                total = builder.sub(emit.load(emit.at(sums, 0, emit.integers)), less)
                total = emit.multiply_add(builder.sitofp(total, emit.vector), scale, added)
                row = load_word(builder, c_rows)
                if kind == FLOATS:
                    emit.store(emit.at_least(total, low), emit.at(row, place), part)
                else:
                    emit.store_bytes(emit.code(total, *numbers), row, place, part)
                steps = (row_bytes, scale_step, zero_step, integer(8))
                return [builder.add(x, y) for x, y in zip((sums, scales, zeros, c_rows), steps, strict=True)]

            state = [builder.add(sums, at), scales, zeros, c_rows]
            with builder.if_else(builder.icmp_signed(">=", left, integer(LANES))) as branches:
                for branch, part in zip(branches, (None, mask), strict=True):
                    with branch:
                        emit.repeat(rows, state, partial(one_row, part=part))
            return [builder.add(at, integer(VECTOR_BYTES)), builder.sub(left, integer(LANES))]

        emit.repeat(vectors, [integer(0), columns], one_vector)

    return emit_body


if JIT:

    def _tile_by(path: str) -> Any:
        @intrinsic
        def byte_tile(_, rows, vectors, a_rows, runs, run_table, steps, b, sums):
            def codegen(context, builder, signature, arguments):
                rows, vectors, *others = arguments
                which = builder.add(builder.mul(rows, integer(VECTORS + 1)), vectors)
                cases = {
                    rows * (VECTORS + 1) + vectors: (
                        f"byte_tile_{path}_{rows}x{vectors}",
                        _emit_tile(path, rows, vectors),
                    )
                    for rows in range(1, PATHS[path] + 1)
                    for vectors in range(1, VECTORS + 1)
                }
                return call_case(context, builder, which, cases, others)

            return types.void(*[types.intp] * 8), codegen

        return byte_tile

    tile_by = {path: _tile_by(path) for path in PATHS}

    @intrinsic
    def finish_tile(  # noqa: D103
        _, kind, rows, columns, sums, scales, scale_step, zeros, zero_step, column_sums, weights, weight_step,
        bias, bias_step, c_rows, c_offset, low, high, inverse, shift,
    ):  # fmt: skip
        def codegen(context, builder, signature, arguments):
            kind, *others = arguments
            others[-1] = builder.trunc(others[-1], _i32)
            cases = {
                2 * kind + uniform: (f"finish_{kind}_{uniform:d}", _emit_finish(kind, uniform))
                for kind in (FLOATS, CODES)
                for uniform in (False, True)
            }
            steps = builder.or_(arguments[5], arguments[7])
            uniform = builder.zext(builder.icmp_signed("==", steps, integer(0)), kind.type)
            which = builder.add(builder.mul(kind, integer(2)), uniform)
            return call_case(context, builder, which, cases, others)

        return types.void(*[types.intp] * 15, *[types.float32] * 3, types.intp), codegen

else:

    def byte_tile(
        rows: int, vectors: int, a_rows: int, runs: int, run_table: int, steps: int, b: int, sums: int
    ) -> None:  # fmt: skip
        """sums[i, j] = sum over runs r and groups g of dot(a[i, r, g], b[r, g, j])."""
        columns, deep = vectors * LANES, steps * GROUP
        right = elements(b, runs * deep * columns, np.int8(0)).reshape(runs, steps, columns, GROUP)
        for i in range(rows):
            total = np.zeros(columns, np.int32)
            for run in range(runs):
                left = elements(word(a_rows + 8 * i) + word(run_table + 8 * run), deep, np.uint8(0))
                for step in range(steps):
                    group = left[step * GROUP : (step + 1) * GROUP]
                    total += right[run, step].astype(np.int32) @ group.astype(np.int32)
            elements(sums + i * vectors * VECTOR_BYTES, columns, np.int32(0))[:] = total

    tile_by = dict.fromkeys(PATHS, byte_tile)

    def finish_tile(  # noqa: D103
        kind: int, rows: int, columns: int, sums: int, scales: int, scale_step: int, zeros: int,
        zero_step: int, column_sums: int, weights: int, weight_step: int, bias: int, bias_step: int,
        c_rows: int, c_offset: int, low: Any, high: Any, inverse: Any, shift: int,
    ) -> None:  # fmt: skip
        real, whole = np.float32(0), np.int32(0)
        row_bytes = (columns + LANES - 1) // LANES * VECTOR_BYTES
        weight = elements(weights, columns if weight_step else 1, real)
        added = elements(bias, columns, real) if bias_step else real
        for i in range(rows):
            zero = elements(zeros + i * zero_step, 1, whole)
            total = elements(sums + i * row_bytes, columns, whole)
            total = (total - zero * elements(column_sums, columns, whole)).astype(np.float32)
            with np.errstate(all="ignore"):  # compiled code does not warn either
                total = total * (elements(scales + i * scale_step, 1, real) * weight) + added
            there = word(c_rows + 8 * i) + c_offset
            if kind == FLOATS:
                total[total < low] = low
                elements(there, columns, real)[:] = total
            else:
                elements(there, columns, np.uint8(0))[:] = codes_of(total, inverse, low, high, shift)


byte_tile = tile_by[PATH]
