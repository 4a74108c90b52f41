"""The tile of `int8_tiles` on a matrix unit (`amx`): sixteen rows, and 64 bytes along k, at a time.

`begin_matrix(steps)`, `end_matrix()`
    configure the unit for runs of `steps` groups, and give it back.
`matrix_tile(rows, vectors, a_rows, runs, run_table, steps, b, sums)`
    `byte_tile` between these two, for rows <= MATRIX_ROWS.  The table of rows has room for MATRIX_ROWS.

It pays from MATRIX_WORK multiply-adds on, a number that is never reached where there is no such unit.  The
integers are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinytorch.kernels import amx
from tinytorch.kernels._jit import JIT
from tinytorch.kernels.int8_vectors import GROUP, ByteEmitter
from tinytorch.kernels.simd import VECTOR_BYTES, VECTORS, integer
from tinytorch.kernels.tiles import call_case, load_word

MATRIX_ROWS = 16  # of a tile
MATRIX_WORK = 2_000_000 if amx.ALLOWED and JIT else 1 << 62
DEEP = VECTOR_BYTES // GROUP  # groups in a row of a tile
SUMS, WHOLE, REST = 0, (2, 3), (5, 6)  # tiles: of sums; of a and b, with all groups and with those left over

_i8, _i16, _i64 = (ir.IntType(bits) for bits in (8, 16, 64))


class _TileEmitter(ByteEmitter):
    """A ByteEmitter with the instructions on tiles, which are named by number."""

    def tiles(self, name: str, *arguments: int | ir.Value) -> None:
        """Instruction `name`; whole numbers among the arguments are tiles."""
        values = [ir.Constant(_i8, x) if isinstance(x, int) else x for x in arguments]
        function = self._function(f"llvm.x86.{name}", ir.VoidType(), *[x.type for x in values])
        self.builder.call(function, values)


def _emit_tile(vectors: int) -> Callable:
    """A tile of `rows` x `vectors`, which is a constant."""
    wide = vectors * VECTOR_BYTES

    def emit_body(builder, rows, a_rows, runs, run_table, steps, b, sums):
        emit = _TileEmitter(builder)
        gathered = builder.alloca(ir.ArrayType(_i8, MATRIX_ROWS * VECTOR_BYTES))
        gathered.align = VECTOR_BYTES
        gathered = builder.bitcast(gathered, _i8.as_pointer())
        first = load_word(builder, a_rows)
        apart = builder.sub(load_word(builder, builder.add(a_rows, integer(8))), first)
        whole, rest = builder.udiv(steps, integer(DEEP)), builder.urem(steps, integer(DEEP))

        def where_they_lie(tile: int, along: ir.Value, _: ir.Value | None) -> None:
            emit.tiles("tileloadd64", tile, emit.pointer(builder.add(first, along)), apart)

        def row_by_row(tile: int, along: ir.Value, mask: ir.Value | None) -> None:
            def copy(entry: ir.Value, target: ir.Value) -> list[ir.Value]:
                source = builder.add(load_word(builder, entry), along)
                emit.store(emit.load(emit.at(source, 0), mask), emit.at(target, 0))
                return [builder.add(entry, integer(8)), emit.byte(target, VECTOR_BYTES)]

            emit.repeat(rows, [a_rows, gathered], copy)
            emit.tiles("tileloadd64", tile, gathered, integer(VECTOR_BYTES))

        def multiply(load: Callable) -> None:
            def step(tiles: tuple[int, int], along: ir.Value, group: ir.Value, mask: ir.Value | None) -> None:
                left, right = tiles
                load(left, along, mask)
                for j in range(vectors):
                    emit.tiles("tileloadd64", right + j, emit.byte(group, j * VECTOR_BYTES), integer(wide))
                    emit.tiles("tdpbusd", SUMS + j, left, right + j)

            def deep(along: ir.Value, group: ir.Value) -> list[ir.Value]:
                step(WHOLE, along, group, None)
                return [builder.add(along, integer(VECTOR_BYTES)), emit.byte(group, DEEP * wide)]

            def run(entry: ir.Value, group: ir.Value) -> list[ir.Value]:
                along, group = emit.repeat_any(whole, [load_word(builder, entry), group], deep)
                with builder.if_then(builder.icmp_signed(">", rest, integer(0))):
                    step(REST, along, group, emit.below(rest))
                group = emit.byte(group, builder.mul(rest, integer(wide)))
                return [builder.add(entry, integer(8)), group]

            emit.repeat(runs, [run_table, emit.pointer(b)], run)

        for j in range(vectors):
            emit.tiles("tilezero", SUMS + j)
        with builder.if_else(_evenly(builder, emit, rows, a_rows, first, apart)) as (even, uneven):
            with even:
                multiply(where_they_lie)
            with uneven:
                multiply(row_by_row)
        for j in range(vectors):
            emit.tiles("tilestored64", SUMS + j, emit.pointer(builder.add(sums, integer(j * VECTOR_BYTES))),
                       integer(wide))  # fmt: skip

    return emit_body


def _evenly(
    builder: ir.IRBuilder,
    emit: ByteEmitter,
    rows: ir.Value,
    a_rows: ir.Value,
    first: ir.Value,
    apart: ir.Value,
) -> ir.Value:
    """Whether there are sixteen rows, each `apart` from the one before."""
    table = ir.VectorType(_i64, MATRIX_ROWS)
    found = builder.load(emit.at(a_rows, 0, table))
    found.align = 8
    many = ir.Constant(table, list(range(MATRIX_ROWS)))
    zeros, undefined = (
        ir.Constant(ir.VectorType(ir.IntType(32), MATRIX_ROWS), [0] * MATRIX_ROWS),
        ir.Constant(table, None),
    )
    spread = [
        builder.shuffle_vector(builder.insert_element(undefined, x, integer(0)), undefined, zeros)
        for x in (first, apart)
    ]
    same = builder.icmp_signed("==", found, builder.add(spread[0], builder.mul(spread[1], many)))
    every = builder.icmp_signed("==", builder.bitcast(same, _i16), ir.Constant(_i16, -1))
    return builder.and_(every, builder.icmp_signed("==", rows, integer(MATRIX_ROWS)))


if JIT:

    @intrinsic
    def begin_matrix(_, steps):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            if amx.ALLOWED:
                _configure(builder, *arguments)
            return context.get_dummy_value()

        return types.void(types.intp), codegen

    @intrinsic
    def end_matrix(_):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            if amx.ALLOWED:
                _TileEmitter(builder).tiles("tilerelease")
            return context.get_dummy_value()

        return types.void(), codegen

    @intrinsic
    def matrix_tile(_, rows, vectors, a_rows, runs, run_table, steps, b, sums):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            rows, vectors, *others = arguments
            cases = {v: (f"matrix_tile_{v}", _emit_tile(v)) for v in range(1, VECTORS + 1)}
            return call_case(context, builder, vectors, cases if amx.ALLOWED else {}, [rows, *others])

        return types.void(*[types.intp] * 8), codegen

    def _configure(builder: ir.IRBuilder, steps: ir.Value) -> None:
        """All tiles are whole but those of the last groups, of which there may be fewer."""
        emit, size = _TileEmitter(builder), ir.ArrayType(_i8, 64)
        rest = builder.urem(steps, integer(DEEP))
        rest = builder.select(builder.icmp_signed("==", rest, integer(0)), integer(DEEP), rest)
        row_bytes, rows = [integer(VECTOR_BYTES)] * 8, [integer(MATRIX_ROWS)] * 8
        row_bytes[REST[0]] = builder.mul(rest, integer(GROUP))
        rows[REST[1] : REST[1] + 2] = rest, rest
        place = cgutils.alloca_once(builder, size)
        builder.store(ir.Constant(size, [1] + [0] * 63), place)  # 1: the only way to divide the unit
        place = builder.bitcast(place, _i8.as_pointer())
        for tile in range(8):
            builder.store(builder.trunc(row_bytes[tile], _i16), emit.at(place, 16 + 2 * tile, _i16)).align = 1
            builder.store(builder.trunc(rows[tile], _i8), emit.at(place, 48 + tile, _i8))
        emit.tiles("ldtilecfg", place)

else:

    def begin_matrix(steps: int) -> None:
        """Never called: there is never enough work."""

    def end_matrix() -> None:
        """Never called."""

    def matrix_tile(
        rows: int, vectors: int, a_rows: int, runs: int, run_table: int, steps: int, b: int, sums: int
    ) -> None:
        """Never called."""
