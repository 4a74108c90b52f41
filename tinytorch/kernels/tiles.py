"""Register tiles: the innermost loops of every matrix product, written as vector instructions.

LLVM's vectoriser does not keep a block of accumulators in registers, so these are explicit vector IR.
Addresses are integers and strides are bytes, as in `simd`.

`tiles(rows, columns, count, a, a_row, a_k, b, b_k, b_next, start, start_row, start_next, c, c_row, k, floor)`
    c[i, j] = max(start[i, j] + sum_k a[i, k] * b[k, j], floor), for rows <= ROWS, and columns that are up
    to VECTORS whole vectors or a part of one, and k >= 1; then the same for the tile to the right of it, with
    the next b and start, `count` times in all.  The elements of `a` lie anywhere; the rows of `b`, `start`
    and `c` are contiguous.  The lanes are columns, and every element sees the same chain of multiply-adds in
    the order of k in whatever tile it falls: how a product is cut into tiles, or into shares of threads,
    does not change a bit of it.  Where not MASKED, rows of `b` are read up to whole vectors, so `b` must have
    them.
`run_tiles(rows, columns, count, a, a_rows, a_k, b, b_k, b_next, start, start_row, start_next, c, c_row, k,
floor, runs, run_table)`
    `tiles` along `runs` runs of k steps each: pixels of an image, run by run.  Row i of a begins a_rows[i]
    bytes from a, and run r run_table[r] bytes further: two tables of integers.
`dots(rows, columns, a, a_row, b, b_col, start, start_row, c, c_row, k, floor)`
    the same where `a` and `b` are both contiguous along k, for rows <= DOT_ROWS and columns <= DOT_COLUMNS,
    or for one row and columns <= DOT_COLUMNS_ALONE, and for k >= lanes.  The lanes are partial sums along
    k.
`transpose(rows, columns, source, source_row, target, target_row, like)`
    target[j, i] = source[i, j] for at most lanes x lanes elements, through registers.  Whole vectors are
    stored: what pads them is arbitrary.

`floor` is -inf, or 0 for a ReLU; its type says float32 or float64.  NaN stays NaN.
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

MASKED = VECTOR_BYTES >= 32  # AVX loads part of a vector as quickly as all of it
DOT_ROWS, DOT_COLUMNS, DOT_COLUMNS_ALONE = 4, min(4, VECTOR_BYTES // 8), min(8, VECTOR_BYTES // 8)


def _call(context: Any, builder: ir.IRBuilder, name: str, emit: Callable, arguments: list[ir.Value]) -> Any:
    """Call the function that `emit` writes, which is written once into each module that needs it.

    It is not inlined, so that a kernel which uses it in several places holds it once.
    """
    module = builder.module
    if name not in module.globals:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = ir.Function(module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        body = ir.IRBuilder(function.append_basic_block("entry"))
        emit(body, *function.args)
        body.ret_void()
    builder.call(module.globals[name], arguments)
    return context.get_dummy_value()


def call_case(
    context: Any, builder: ir.IRBuilder, number: ir.Value, cases: dict[int, tuple], arguments: list[ir.Value]
) -> Any:
    """`_call` of the case with this number, out of pairs of a name and what writes it."""
    end = builder.append_basic_block("end")
    choice = builder.switch(number, end)
    for case, (name, emit) in cases.items():
        block = builder.append_basic_block("case")
        choice.add_case(case, block)
        builder.position_at_end(block)
        _call(context, builder, name, emit, arguments)
        builder.branch(end)
    builder.position_at_end(end)
    return context.get_dummy_value()


def load_word(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """The integer at an address."""
    return builder.load(builder.inttoptr(address, ir.IntType(64).as_pointer()))


def _emit_tiles(rows: int, vectors: int, partial: bool, in_runs: bool, size: int) -> Callable:
    """Tiles of exactly `rows` x `vectors` vectors, or of `columns` columns that are part of one vector."""

    def emit_body(
        builder, columns, count, a, a_row, a_k, b, b_k, b_next,
        start, start_row, start_next, c, c_row, k, floor, runs=None, run_table=None,
    ):  # fmt: skip
        emit = Emitter(builder, size)
        mask = emit.below(columns) if partial else None
        a_rows = emit.rows(a, a_row, rows)
        if in_runs:
            a_rows = [
                emit.byte(a, load_word(builder, builder.add(a_row, integer(8 * i)))) for i in range(rows)
            ]

        def load_row(row: ir.Value, mask: ir.Value | None) -> list[ir.Value]:
            return [emit.load(emit.at(row, j * VECTOR_BYTES), mask) for j in range(vectors)]

        def step(along: ir.Value, b_row: ir.Value, *total: ir.Value) -> list[ir.Value]:
            b_vectors = load_row(b_row, mask if MASKED else None)
            following = [builder.add(along, a_k), emit.byte(b_row, b_k)]
            for i in range(rows):
                element = emit.splat(emit.load(emit.at(a_rows[i], along, emit.real)))
                for j in range(vectors):
                    following.append(emit.multiply_add(element, b_vectors[j], total[i * vectors + j]))
            return following

        def run(entry: ir.Value, *state: ir.Value) -> list[ir.Value]:
            _, *state = emit.repeat(k, [load_word(builder, entry), *state], step)
            return [builder.add(entry, integer(8)), *state]

        def one(b: ir.Value, start: ir.Value, c: ir.Value) -> list[ir.Value]:
            zero = ir.Constant(emit.vector, [0.0] * emit.lanes)
            first = [b, *[zero] * (rows * vectors)]
            if in_runs:
                _, _, *total = emit.repeat(runs, [run_table, *first], run)
            else:
                _, _, *total = emit.repeat(k, [integer(0), *first], step)
            # Read last: at the beginning the multiply-adds would wait for them, where c is in no near cache.
            starts = [x for row in emit.rows(start, start_row, rows) for x in load_row(row, mask)]
            for i, row in enumerate(emit.rows(c, c_row, rows)):
                for j in range(vectors):
                    at = i * vectors + j
                    value = emit.at_least(builder.fadd(total[at], starts[at]), floor)
                    emit.store(value, emit.at(row, j * VECTOR_BYTES), mask)
            return [emit.byte(b, b_next), emit.byte(start, start_next), emit.byte(c, vectors * VECTOR_BYTES)]

        emit.repeat(count, [emit.pointer(address) for address in (b, start, c)], one)

    return emit_body


def _emit_dots(rows: int, columns: int, size: int) -> Callable:
    """`rows` x `columns` dot products; of fewer the last is computed again, and stored where it belongs."""

    def emit_body(
        builder, row_count, column_count, a, a_row, b, b_col, start, start_row, c, c_row, k, floor
    ):  # fmt: skip
        emit = Emitter(builder, size)
        a_rows = emit.rows(a, a_row, rows, row_count)
        b_columns = emit.rows(b, b_col, columns, column_count)
        zero = ir.Constant(emit.vector, [0.0] * emit.lanes)

        def step(along: ir.Value, *total: ir.Value, mask: ir.Value | None = None) -> list[ir.Value]:
            xs, ys = ([emit.load(emit.at(row, along), mask) for row in rows] for rows in (a_rows, b_columns))
            pairs = [(x, y) for x in xs for y in ys]
            sums = [emit.multiply_add(x, y, z) for (x, y), z in zip(pairs, total, strict=True)]
            return [builder.add(along, integer(VECTOR_BYTES)), *sums]

        whole = builder.sdiv(k, integer(emit.lanes))
        rest = builder.sub(k, builder.mul(whole, integer(emit.lanes)))
        state = emit.repeat(whole, [integer(0), *[zero] * (rows * columns)], step)
        _, *total = step(*state, mask=emit.below(rest))

        mask = emit.below(column_count)
        starts = emit.rows(start, start_row, rows, row_count)
        before = [emit.load(emit.at(row, 0), mask) for row in starts]
        for i, row in enumerate(emit.rows(c, c_row, rows, row_count)):
            line = zero
            for j in range(columns):
                line = builder.insert_element(
                    line, emit.sum(total[i * columns + j]), ir.Constant(ir.IntType(32), j)
                )
            value = emit.at_least(builder.fadd(line, before[i]), floor)
            emit.store(value, emit.at(row, 0), mask)

    return emit_body


def _emit_transpose(size: int) -> Callable:
    """Rows past the last are read as copies of the last, columns past the last as zeros; all are stored."""

    def emit_body(builder, rows, columns, source, source_row, target, target_row):
        emit = Emitter(builder, size)
        lanes, mask = emit.lanes, emit.below(columns)
        lines = [emit.load(emit.at(row, 0), mask) for row in emit.rows(source, source_row, lanes, rows)]
        ahead = emit.byte(emit.pointer(source), builder.mul(source_row, integer(lanes)))
        for row in emit.rows(ahead, source_row, lanes):  # the block below will be the next
            emit.prefetch(row)
        width = lanes // 2
        while width:  # swap the off-diagonal quarters of every 2 width square
            low = [lane if not lane & width else lane - width + lanes for lane in range(lanes)]
            high = [lane + width if not lane & width else lane + lanes for lane in range(lanes)]
            for i in range(lanes):
                if not i & width:
                    x, y = lines[i], lines[i + width]
                    lines[i], lines[i + width] = emit.shuffle(x, y, low), emit.shuffle(x, y, high)
            width //= 2
        for line, row in zip(lines, emit.rows(target, target_row, lanes), strict=True):
            emit.store(line, emit.at(row, 0))

    return emit_body


if JIT:

    def _tiles(floor: types.Type, in_runs: bool) -> Any:
        """Signature and code of `tiles` and `run_tiles`."""
        size = size_of_type(floor)

        def codegen(context, builder, signature, arguments):
            rows, columns, *others = arguments
            lanes = integer(VECTOR_BYTES // size)
            whole = builder.icmp_signed("==", builder.srem(columns, lanes), integer(0))
            kind = builder.select(whole, builder.sdiv(columns, lanes), integer(0))
            which = builder.add(builder.mul(rows, integer(VECTORS + 1)), kind)
            cases = {
                rows * (VECTORS + 1) + vectors: (
                    f"tile_{rows}x{vectors}_{size}_{in_runs:d}",
                    _emit_tiles(rows, max(vectors, 1), vectors == 0, in_runs, size),
                )
                for rows in range(1, ROWS + 1)
                for vectors in range(VECTORS + 1)
            }
            return call_case(context, builder, which, cases, [columns, *others])

        return types.void(*[types.intp] * 15, floor, *[types.intp] * 2 * in_runs), codegen

    @intrinsic
    def tiles(  # noqa: D103
        _, rows, columns, count, a, a_row, a_k, b, b_k, b_next,
        start, start_row, start_next, c, c_row, k, floor,
    ):  # fmt: skip
        return _tiles(floor, in_runs=False)

    @intrinsic
    def run_tiles(  # noqa: D103
        _, rows, columns, count, a, a_rows, a_k, b, b_k, b_next,
        start, start_row, start_next, c, c_row, k, floor, runs, run_table,
    ):  # fmt: skip
        return _tiles(floor, in_runs=True)

    @intrinsic
    def dots(_, rows, columns, a, a_row, b, b_col, start, start_row, c, c_row, k, floor):  # noqa: D103
        size = size_of_type(floor)

        def codegen(context, builder, signature, arguments):
            alone = builder.icmp_signed("==", arguments[0], integer(1))
            with builder.if_else(alone) as (then, otherwise):
                with then:
                    emit = _emit_dots(1, DOT_COLUMNS_ALONE, size)
                    _call(context, builder, f"dots_alone_{size}", emit, arguments)
                with otherwise:
                    emit = _emit_dots(DOT_ROWS, DOT_COLUMNS, size)
                    _call(context, builder, f"dots_{size}", emit, arguments)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 11, floor), codegen

    @intrinsic
    def transpose(_, rows, columns, source, source_row, target, target_row, like):  # noqa: D103
        size = size_of_type(like)

        def codegen(context, builder, signature, arguments):
            return _call(context, builder, f"transpose_{size}", _emit_transpose(size), arguments[:-1])

        return types.void(*[types.intp] * 6, like), codegen

else:

    def tiles(  # noqa: D103
        rows: int, columns: int, count: int, a: int, a_row: int, a_k: int, b: int, b_k: int, b_next: int,
        start: int, start_row: int, start_next: int, c: int, c_row: int, k: int, floor: Any,
    ) -> None:  # fmt: skip
        a_rows, a_ks = [i * a_row for i in range(rows)], [step * a_k for step in range(k)]
        _tiles(a_rows, columns, count, a, a_ks, b, b_k, b_next, start, start_row, start_next, c, c_row, floor)

    def run_tiles(  # noqa: D103
        rows: int, columns: int, count: int, a: int, a_rows: int, a_k: int, b: int, b_k: int, b_next: int,
        start: int, start_row: int, start_next: int, c: int, c_row: int, k: int, floor: Any,
        runs: int, run_table: int,
    ) -> None:  # fmt: skip
        row_list = [word(a_rows + 8 * i) for i in range(rows)]
        k_list = [word(run_table + 8 * run) + step * a_k for run in range(runs) for step in range(k)]
        _tiles(
            row_list, columns, count, a, k_list, b, b_k, b_next, start, start_row, start_next, c, c_row, floor
        )

    def _tiles(
        a_rows: list[int], columns: int, count: int, a: int, a_ks: list[int], b: int, b_k: int, b_next: int,
        start: int, start_row: int, start_next: int, c: int, c_row: int, floor: Any,
    ) -> None:  # fmt: skip
        for nth in range(count):
            for i, row in enumerate(a_rows):
                total = np.zeros(columns, floor.dtype)
                for step, along in enumerate(a_ks):
                    element = elements(a + row + along, 1, floor)
                    total += element * elements(b + nth * b_next + step * b_k, columns, floor)
                total += elements(start + nth * start_next + i * start_row, columns, floor)
                total[total < floor] = floor
                elements(c + nth * columns * floor.itemsize + i * c_row, columns, floor)[:] = total

    def dots(  # noqa: D103
        rows: int, columns: int, a: int, a_row: int, b: int, b_col: int,
        start: int, start_row: int, c: int, c_row: int, k: int, floor: Any,
    ) -> None:  # fmt: skip
        for i in range(rows):
            total = elements(start + i * start_row, columns, floor).copy()
            for j in range(columns):
                total[j] += (elements(a + i * a_row, k, floor) * elements(b + j * b_col, k, floor)).sum()
            total[total < floor] = floor
            elements(c + i * c_row, columns, floor)[:] = total

    def transpose(  # noqa: D103
        rows: int, columns: int, source: int, source_row: int, target: int, target_row: int, like: Any
    ) -> None:
        lanes = VECTOR_BYTES // like.itemsize
        block = np.zeros((lanes, lanes), like.dtype)
        for i in range(lanes):
            block[i, :columns] = elements(source + min(i, rows - 1) * source_row, columns, like)
        for i in range(lanes):
            elements(target + i * target_row, lanes, like)[:] = block[:, i]
