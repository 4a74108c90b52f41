"""Register tiles that read planes of pixels where they lie, and what sorts pixels, as vector instructions.

Addresses are integers and strides are bytes, as in `simd`; tables hold integers, which are bytes too.

`tap_tiles(rows, count, a, a_row, a_k, b, b_half, b_second, b_half_second, b_next, table, start, start_row,
start_next, c, c_row, k, floor)`
    `tiles.tiles` of VECTORS whole vectors whose row k of b begins `table[k]` bytes from b, and goes on
    b_second bytes further with its second vector.  Where b_half is not 0, the second half of the first
    vector lies b_half bytes from the first, and that of the second b_half_second.
`plane_taps(rows, reach, columns, count, x, pitch, weight, weight_row, table, taps, c, c_row, start, floor)`
    c[r, i] = max(start + sum of weight[d, t] * x[table[t] + (r + d) pitch + i], floor) over all t and
    d < reach, which is 1 or REACH, for rows <= TAP_ROWS, and columns that are a vector or a part of one; then
    for the rows below, `count` times in all.  x is read up to whole vectors.
`plane_dots(g_rows, x_rows, g, g_row, x, table, sums, runs, g_run, x_run, k, like)`
    sums[i, t] += the products of g[i] with x[table[t]], along `runs` runs of k pixels, which lie g_run and
    x_run bytes apart.  A sum is a vector, of partial sums.  Either g_row is 0, for one row of g and
    x_rows <= LINE_TAPS, or g_rows <= DOT_ROWS and x_rows = DOT_TAPS; the sums of missing rows are arbitrary.
`split_vectors(count, source, even, odd, like)`, `join_vectors(count, even, odd, target, like)`
    put every other one of min(count, two vectors) elements at `even`, the rest at `odd`; and back.

With the JIT off plain-Python twins run, which read and write the same addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT
from tinytorch.kernels.simd import (
    ROWS,
    VECTOR_BYTES,
    VECTORS,
    Emitter,
    elements,
    integer,
    size_of_type,
    word,
)
from tinytorch.kernels.tiles import call_case, load_word

TAP_ROWS = 8  # enough sums to hide the latency of a multiply-add, two a cycle
REACH = 3  # rows of the most common window
DOT_ROWS, DOT_TAPS = (8, 3) if VECTOR_BYTES == 64 else (4, 2)  # of a tile of dot products,
LINE_TAPS = 9  # and the most taps where there is one row


def _emit_tap_tiles(rows: int, halves: bool, size: int) -> Callable:
    """Tiles of exactly `rows` x VECTORS vectors, of rows of b that a table tells."""

    def emit_body(
        builder, count, a, a_row, a_k, b, b_half, b_second, b_half_second, b_next, table, start, start_row,
        start_next, c, c_row, k, floor,
    ):  # fmt: skip
        emit = Emitter(builder, size)
        a_rows = emit.rows(a, a_row, rows)

        def load(row: ir.Value, apart: ir.Value) -> ir.Value:
            return emit.load_halves(row, apart) if halves else emit.load(emit.at(row, 0))

        def one(b: ir.Value, start: ir.Value, c: ir.Value) -> list[ir.Value]:
            def step(along: ir.Value, entry: ir.Value, *total: ir.Value) -> list[ir.Value]:
                row = emit.byte(b, load_word(builder, entry))
                b_vectors = [load(row, b_half), load(emit.byte(row, b_second), b_half_second)]
                following = [builder.add(along, a_k), builder.add(entry, integer(8))]
                for i in range(rows):
                    element = emit.splat(emit.load(emit.at(a_rows[i], along, emit.real)))
                    for j in range(VECTORS):
                        following.append(emit.multiply_add(element, b_vectors[j], total[i * VECTORS + j]))
                return following

            zero = ir.Constant(emit.vector, [0.0] * emit.lanes)
            first = [integer(0), table, *[zero] * (rows * VECTORS)]
            _, _, *total = emit.repeat(k, first, step)
            starts = emit.rows(start, start_row, rows)
            for i, row in enumerate(emit.rows(c, c_row, rows)):
                for j in range(VECTORS):
                    before = emit.load(emit.at(starts[i], j * VECTOR_BYTES))
                    value = emit.at_least(builder.fadd(total[i * VECTORS + j], before), floor)
                    emit.store(value, emit.at(row, j * VECTOR_BYTES))
            return [emit.byte(b, b_next), emit.byte(start, start_next), emit.byte(c, VECTORS * VECTOR_BYTES)]

        emit.repeat(count, [emit.pointer(address) for address in (b, start, c)], one)

    return emit_body


def _emit_plane_taps(rows: int, reach: int, partial: bool, size: int) -> Callable:
    """`rows` lines of sums; a line of x is loaded once for `reach` taps that stand below each other."""

    def emit_body(builder, columns, count, x, pitch, weight, weight_row, table, taps, c, c_row, start, floor):
        emit = Emitter(builder, size)
        mask = emit.below(columns) if partial else None

        def one(x: ir.Value, c: ir.Value) -> list[ir.Value]:
            lines = emit.rows(x, pitch, rows + reach - 1)

            def step(entry: ir.Value, along: ir.Value, *total: ir.Value) -> list[ir.Value]:
                offset, sums = load_word(builder, entry), list(total)
                weights = [
                    emit.splat(emit.load(emit.at(w, 0, emit.real)))
                    for w in emit.rows(along, weight_row, reach)
                ]
                for i, line in enumerate(lines):
                    vector = emit.load(emit.at(line, offset))
                    for down, element in enumerate(weights):
                        if 0 <= i - down < rows:
                            sums[i - down] = emit.multiply_add(element, vector, sums[i - down])
                return [builder.add(entry, integer(8)), emit.byte(along, size), *sums]

            first = [table, emit.pointer(weight), *[emit.splat(start)] * rows]
            _, _, *total = emit.repeat(taps, first, step)
            for line, value in zip(emit.rows(c, c_row, rows), total, strict=True):
                emit.store(emit.at_least(value, floor), emit.at(line, 0), mask)
            return [emit.byte(at, builder.mul(step, integer(rows))) for at, step in ((x, pitch), (c, c_row))]

        emit.repeat(count, [emit.pointer(x), emit.pointer(c)], one)

    return emit_body


def _emit_plane_dots(g_rows: int, x_rows: int, partial: bool, size: int) -> Callable:
    def emit_body(builder, present, g, g_row, x, table, sums, runs, g_run, x_run, k):
        emit = Emitter(builder, size)
        x_lines = [
            emit.byte(x, load_word(builder, builder.add(table, integer(8 * t)))) for t in range(x_rows)
        ]
        g_lines = emit.rows(g, g_row, g_rows, present)
        places = [emit.at(sums, i * VECTOR_BYTES) for i in range(g_rows * x_rows)]
        steps = builder.sdiv(builder.add(k, integer(emit.lanes - 1)), integer(emit.lanes))

        def run(g_at: ir.Value, x_at: ir.Value, *total: ir.Value) -> list[ir.Value]:
            def step(along: ir.Value, left: ir.Value, *total: ir.Value) -> list[ir.Value]:
                mask = emit.below(left) if partial else None
                g_place, x_place = builder.add(g_at, along), builder.add(x_at, along)
                xs = [emit.load(emit.at(line, x_place), mask) for line in x_lines]
                following = []
                for i, line in enumerate(g_lines):
                    y = emit.load(emit.at(line, g_place), mask)
                    for t in range(x_rows):
                        following.append(emit.multiply_add(xs[t], y, total[i * x_rows + t]))
                return [
                    builder.add(along, integer(VECTOR_BYTES)),
                    builder.sub(left, integer(emit.lanes)),
                    *following,
                ]

            _, _, *total = emit.repeat(steps, [integer(0), k, *total], step)
            return [builder.add(g_at, g_run), builder.add(x_at, x_run), *total]

        zero = ir.Constant(emit.vector, [0.0] * emit.lanes)
        _, _, *total = emit.repeat(runs, [integer(0), integer(0), *[zero] * len(places)], run)
        for place, value in zip(places, total, strict=True):
            emit.store(builder.fadd(emit.load(place), value), place)

    return emit_body


if JIT:

    @intrinsic
    def tap_tiles(  # noqa: D103
        _, rows, count, a, a_row, a_k, b, b_half, b_second, b_half_second, b_next, table, start, start_row,
        start_next, c, c_row, k, floor,
    ):  # fmt: skip
        size = size_of_type(floor)

        def codegen(context, builder, signature, arguments):
            rows, *others = arguments
            in_halves = builder.icmp_signed("!=", others[5], integer(0))
            which = builder.select(in_halves, builder.add(rows, integer(ROWS)), rows)
            cases = {
                height + ROWS * halves: (
                    f"taps_{height}_{halves:d}_{size}",
                    _emit_tap_tiles(height, halves, size),
                )
                for halves in (False, True)
                for height in range(1, ROWS + 1)
            }
            return call_case(context, builder, which, cases, others)

        return types.void(*[types.intp] * 17, floor), codegen

    @intrinsic
    def plane_taps(  # noqa: D103
        _, rows, reach, columns, count, x, pitch, weight, weight_row, table, taps, c, c_row, start, floor
    ):
        size = size_of_type(floor)

        def codegen(context, builder, signature, arguments):
            rows, reach, *others = arguments
            far = builder.icmp_signed("==", reach, integer(REACH))
            partial = builder.icmp_signed("<", others[0], integer(VECTOR_BYTES // size))
            number = builder.mul(rows, integer(4))
            for yes, bit in ((far, 2), (partial, 1)):
                number = builder.add(number, builder.select(yes, integer(bit), integer(0)))
            cases = {
                4 * r + 2 * f + p: (
                    f"plane_taps_{r}_{f}_{p}_{size}",
                    _emit_plane_taps(r, REACH if f else 1, bool(p), size),
                )
                for r in range(1, TAP_ROWS + 1)
                for f in (0, 1)
                for p in (0, 1)
            }
            return call_case(context, builder, number, cases, others)

        return types.void(*[types.intp] * 12, floor, floor), codegen

    @intrinsic
    def plane_dots(_, g_rows, x_rows, g, g_row, x, table, sums, runs, g_run, x_run, k, like):  # noqa: D103
        size = size_of_type(like)

        def codegen(context, builder, signature, arguments):
            present, x_rows, *others, k, _ = arguments
            partial = builder.icmp_signed("!=", builder.srem(k, integer(VECTOR_BYTES // size)), integer(0))
            alone = builder.icmp_signed("==", others[1], integer(0))
            kind = builder.select(alone, x_rows, integer(0))
            number = builder.add(builder.mul(kind, integer(2)), builder.zext(partial, k.type))
            shapes = [(DOT_ROWS, DOT_TAPS), *((1, t) for t in range(1, LINE_TAPS + 1))]
            cases = {
                2 * i + p: (f"plane_dots_{i}_{p}_{size}", _emit_plane_dots(*shape, bool(p), size))
                for i, shape in enumerate(shapes)
                for p in (0, 1)
            }
            return call_case(context, builder, number, cases, [present, *others, k])

        return types.void(*[types.intp] * 11, like), codegen

    @intrinsic
    def split_vectors(_, count, source, even, odd, like):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, source, even, odd, _ = arguments
            emit = Emitter(builder, size_of_type(like))
            later = builder.sub(count, integer(emit.lanes))
            pair = [
                emit.load(emit.at(source, i * VECTOR_BYTES), emit.below(left))
                for i, left in enumerate((count, later))
            ]
            for first, target in enumerate((even, odd)):
                some = builder.sdiv(builder.add(count, integer(1 - first)), integer(2))
                kept = emit.shuffle(*pair, list(range(first, 2 * emit.lanes, 2)))
                emit.store(kept, emit.at(target, 0), emit.below(some))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 4, like), codegen

    @intrinsic
    def join_vectors(_, count, even, odd, target, like):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, even, odd, target, _ = arguments
            emit = Emitter(builder, size_of_type(like))
            x, y = (
                emit.load(
                    emit.at(source, 0),
                    emit.below(builder.sdiv(builder.add(count, integer(1 - i)), integer(2))),
                )
                for i, source in enumerate((even, odd))
            )
            later = builder.sub(count, integer(emit.lanes))
            for half, left in enumerate((count, later)):
                lanes = range(half * emit.lanes // 2, (half + 1) * emit.lanes // 2)
                joined = emit.shuffle(x, y, [i + kind * emit.lanes for i in lanes for kind in (0, 1)])
                emit.store(joined, emit.at(target, half * VECTOR_BYTES), emit.below(left))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 4, like), codegen

else:

    def tap_tiles(  # noqa: D103
        rows: int, count: int, a: int, a_row: int, a_k: int, b: int, b_half: int, b_second: int,
        b_half_second: int, b_next: int, table: int, start: int, start_row: int, start_next: int, c: int,
        c_row: int, k: int, floor: Any,
    ) -> None:  # fmt: skip
        lanes = VECTOR_BYTES // floor.itemsize
        half = lanes // 2
        apart = (b_half or VECTOR_BYTES // 2, b_half_second or VECTOR_BYTES // 2)
        for nth in range(count):
            for i in range(rows):
                for j in range(VECTORS):
                    total = np.zeros(lanes, floor.dtype)
                    for step in range(k):
                        element = elements(a + i * a_row + step * a_k, 1, floor)
                        row = b + nth * b_next + word(table + 8 * step) + j * b_second
                        total[:half] += element * elements(row, half, floor)
                        total[half:] += element * elements(row + apart[j], half, floor)
                    total += elements(
                        start + nth * start_next + i * start_row + j * VECTOR_BYTES, lanes, floor
                    )
                    total[total < floor] = floor
                    there = c + i * c_row + (nth * VECTORS + j) * VECTOR_BYTES
                    elements(there, lanes, floor)[:] = total

    def plane_taps(  # noqa: D103
        rows: int, reach: int, columns: int, count: int, x: int, pitch: int, weight: int, weight_row: int,
        table: int, taps: int, c: int, c_row: int, start: Any, floor: Any,
    ) -> None:  # fmt: skip
        for r in range(rows * count):
            total = np.full(columns, start)
            for tap in range(taps):
                for down in range(reach):
                    w = elements(weight + down * weight_row + tap * floor.itemsize, 1, floor)
                    place = x + (r + down) * pitch + word(table + 8 * tap)
                    total += w * elements(place, columns, floor)
            total[total < floor] = floor
            elements(c + r * c_row, columns, floor)[:] = total

    def plane_dots(  # noqa: D103
        g_rows: int, x_rows: int, g: int, g_row: int, x: int, table: int, sums: int, runs: int, g_run: int,
        x_run: int, k: int, like: Any,
    ) -> None:  # fmt: skip
        lanes = VECTOR_BYTES // like.itemsize
        for i in range(g_rows):
            for t in range(x_rows):
                total = elements(sums + (i * x_rows + t) * VECTOR_BYTES, lanes, like)
                for run in range(runs):
                    y = elements(g + i * g_row + run * g_run, k, like)
                    z = elements(x + word(table + 8 * t) + run * x_run, k, like)
                    for first in range(0, k, lanes):
                        product = y[first : first + lanes] * z[first : first + lanes]
                        total[: len(product)] += product

    def split_vectors(count: int, source: int, even: int, odd: int, like: Any) -> None:  # noqa: D103
        count = min(count, 2 * VECTOR_BYTES // like.itemsize)
        both = elements(source, count, like)
        elements(even, (count + 1) // 2, like)[:] = both[::2]
        elements(odd, count // 2, like)[:] = both[1::2]

    def join_vectors(count: int, even: int, odd: int, target: int, like: Any) -> None:  # noqa: D103
        count = min(count, 2 * VECTOR_BYTES // like.itemsize)
        both = elements(target, count, like)
        both[::2] = elements(even, (count + 1) // 2, like)
        both[1::2] = elements(odd, count // 2, like)
