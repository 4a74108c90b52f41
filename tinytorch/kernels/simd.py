"""Vector code that LLVM would not find by itself: the register tile of a matrix product, and its packing.

LLVM's vectoriser does not keep a tile of accumulators in registers, so the tile is written as explicit vector
IR with `numba.extending.intrinsic`.  All intrinsics take addresses and strides in bytes as plain integers: any
layout and alignment is read in place, and one compilation serves them all.

`tile(rows, columns, a, a_row, a_k, b, b_k, start, start_row, c, c_row, k, floor)`
    c[i, j] = max(start[i, j] + sum_k a[i, k] * b[k, j], floor), summed in the order of k, for
    1 <= rows <= ROWS and 1 <= columns <= VECTORS * lanes.  The elements of `a` lie anywhere; a row of `b` is
    contiguous and readable up to a whole vector; `start` and `c` are touched only within `columns`.
    `floor` is -inf, or 0 for a ReLU, and its type says float32 or float64.  NaN stays NaN.
`transpose(rows, columns, source, source_row, target, target_row, like)`
    target[j, i] = source[i, j] for a block of at most lanes x lanes, through registers.
`size_of(like)` bytes of the type of the number `like`: 4 or 8, known when compiling.
`copy_vector(count, source, target, like)`
    copies min(count, lanes) elements and fills the vector at `target` up with zeros.

Every element sees the same chain of multiply-adds in whatever tile it falls, so the way a product is cut into
tiles, and into shares of threads, does not change a bit of the result.

With the JIT off plain-Python twins run, which read and write the same addresses through ctypes.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT

_BITS = {4: 32, 8: 64}
_i1, _i8, _i32, _i64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))


def _vector_bytes_and_rows() -> tuple[int, int]:
    """Bytes of a vector register, and the rows of a two-vector tile that fill the registers but a few."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 12  # 32 registers: 24 accumulators, 2 of b, a broadcast
    if features.get("avx2"):
        return 32, 6  # 16 registers: 12 accumulators, 2 of b, a broadcast
    return 16, 12 if platform.machine().lower() in ("arm64", "aarch64") else 6


VECTOR_BYTES, ROWS = _vector_bytes_and_rows()
VECTORS = 2


class _Emitter:
    """Vector types and the few operations on them that the functions below are made of."""

    def __init__(self, builder: ir.IRBuilder, size: int):
        self.builder, self.size, self.lanes = builder, size, VECTOR_BYTES // size
        self.real = ir.FloatType() if size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.real, self.lanes)
        self.mask = ir.VectorType(_i1, self.lanes)
        self.suffix = f"v{self.lanes}f{_BITS[size]}"

    def function(self, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def at(self, address: ir.Value, offset: ir.Value | int = 0, kind: ir.Type | None = None) -> ir.Value:
        """A pointer to `kind` (a vector, when not told) `offset` bytes after the i8 pointer `address`."""
        if isinstance(offset, int):
            offset = ir.Constant(_i64, offset)
        pointer = self.builder.gep(address, [offset])
        return self.builder.bitcast(pointer, (kind or self.vector).as_pointer())

    def splat(self, scalar: ir.Value) -> ir.Value:
        kind = ir.VectorType(scalar.type, self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_i32, 0))
        everywhere = ir.Constant(ir.VectorType(_i32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), everywhere)

    def below(self, count: ir.Value) -> ir.Value:
        """The mask of the first `count` lanes: none when negative, all when there are more."""
        most = ir.Constant(_i64, self.lanes)
        count = self.builder.select(self.builder.icmp_signed("<", count, most), count, most)
        lanes = ir.Constant(ir.VectorType(_i32, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.splat(self.builder.trunc(count, _i32)))

    def load(self, pointer: ir.Value) -> ir.Value:
        value = self.builder.load(pointer)
        value.align = 1
        return value

    def store(self, value: ir.Value, pointer: ir.Value) -> None:
        self.builder.store(value, pointer).align = 1

    def masked_load(self, pointer: ir.Value, mask: ir.Value) -> ir.Value:
        name = f"llvm.masked.load.{self.suffix}.p0{self.suffix}"
        read = self.function(name, self.vector, pointer.type, _i32, self.mask, self.vector)
        zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        return self.builder.call(read, [pointer, ir.Constant(_i32, 1), mask, zeros])

    def masked_store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        name = f"llvm.masked.store.{self.suffix}.p0{self.suffix}"
        write = self.function(name, ir.VoidType(), self.vector, pointer.type, _i32, self.mask)
        self.builder.call(write, [value, pointer, ir.Constant(_i32, 1), mask])

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """One fused instruction where the processor has it; SSE2 multiplies, then adds."""
        fused = self.function(f"llvm.fmuladd.{self.suffix}", self.vector, *[self.vector] * 3)
        return self.builder.call(fused, [x, y, z])

    def prefetch(self, pointer: ir.Value, level: int) -> None:
        """Ask for the cache line at the i8 `pointer`, which may lie outside of any array."""
        fetch = self.function("llvm.prefetch.p0i8", ir.VoidType(), pointer.type, _i32, _i32, _i32)
        self.builder.call(fetch, [pointer, *(ir.Constant(_i32, x) for x in (0, 4 - level, 1))])


def _begin(module: ir.Module, name: str, arguments: list[ir.Type]) -> ir.Function:
    """A function of its own, so that a kernel which uses it in several places holds it once."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function


def _tile_function(module: ir.Module, rows: int, vectors: int, size: int) -> ir.Function:
    """The tile of exactly `rows` x `vectors` vectors; the last vector holds `tail` columns."""
    name = f"tile_{rows}x{vectors}_f{_BITS[size]}"
    if name in module.globals:
        return module.globals[name]
    real = ir.FloatType() if size == 4 else ir.DoubleType()
    function = _begin(module, name, [_i64] * 11 + [real])
    a, a_row, a_k, b, b_k, start, start_row, c, c_row, k, tail, floor = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit = _Emitter(builder, size)
    pointer = _i8.as_pointer()
    a, b, start, c = (builder.inttoptr(address, pointer) for address in (a, b, start, c))
    mask = emit.below(tail)

    def rows_of(address: ir.Value, stride: ir.Value) -> list[ir.Value]:
        return [builder.gep(address, [builder.mul(stride, ir.Constant(_i64, i))]) for i in range(rows)]

    def vector_at(row: ir.Value, j: int) -> ir.Value:
        return emit.at(row, j * VECTOR_BYTES)

    begin = [
        [emit.load(vector_at(row, j)) for j in range(vectors - 1)]
        + [emit.masked_load(vector_at(row, vectors - 1), mask)]
        for row in rows_of(start, start_row)
    ]
    for row in rows_of(c, c_row):  # the tile to the right is the next
        for j in range(vectors):
            emit.prefetch(builder.gep(row, [ir.Constant(_i64, (VECTORS + j) * VECTOR_BYTES)]), 1)
    a_rows = rows_of(a, a_row)
    entry, loop, done = builder.block, function.append_basic_block("k"), function.append_basic_block("end")
    builder.branch(loop)

    builder.position_at_end(loop)
    left, along, b_at = builder.phi(_i64), builder.phi(_i64), builder.phi(pointer)
    total = [[builder.phi(emit.vector) for _ in range(vectors)] for _ in range(rows)]
    b_vectors = [emit.load(vector_at(b_at, j)) for j in range(vectors)]
    result = []
    for i in range(rows):
        element = emit.splat(emit.load(emit.at(a_rows[i], along, emit.real)))
        result.append([emit.multiply_add(element, b_vectors[j], total[i][j]) for j in range(vectors)])
    left_next = builder.sub(left, ir.Constant(_i64, 1))
    steps = [
        (left, k, left_next),
        (along, ir.Constant(_i64, 0), builder.add(along, a_k)),
        (b_at, b, builder.gep(b_at, [b_k])),
    ]
    steps += [(total[i][j], begin[i][j], result[i][j]) for i in range(rows) for j in range(vectors)]
    for phi, first, following in steps:
        phi.add_incoming(first, entry)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed(">", left_next, ir.Constant(_i64, 0)), loop, done)

    builder.position_at_end(done)
    lowest = emit.splat(floor)
    for i, row in enumerate(rows_of(c, c_row)):
        for j in range(vectors):
            low = builder.fcmp_ordered("<", result[i][j], lowest)  # false for NaN: it passes through
            value = builder.select(low, lowest, result[i][j])
            if j < vectors - 1:
                emit.store(value, vector_at(row, j))
            else:
                emit.masked_store(value, vector_at(row, j), mask)
    builder.ret_void()
    return function


def _transpose_function(module: ir.Module, size: int) -> ir.Function:
    """Rows past the last are read as copies of the last, columns past the last as zeros; all are stored."""
    name = f"transpose_f{_BITS[size]}"
    if name in module.globals:
        return module.globals[name]
    function = _begin(module, name, [_i64] * 6)
    rows, columns, source, source_row, target, target_row = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit = _Emitter(builder, size)
    lanes = emit.lanes
    source, target = (builder.inttoptr(address, _i8.as_pointer()) for address in (source, target))
    mask, last = emit.below(columns), builder.sub(rows, ir.Constant(_i64, 1))
    lines = []
    for i in range(lanes):
        emit.prefetch(builder.gep(source, [builder.mul(source_row, ir.Constant(_i64, lanes + i))]), 2)
        index = ir.Constant(_i64, i)
        index = builder.select(builder.icmp_signed("<", index, rows), index, last)
        lines.append(emit.masked_load(emit.at(source, builder.mul(index, source_row)), mask))
    width = lanes // 2
    while width:  # swap the off-diagonal quarters of every 2*width square
        low = [lane if not lane & width else lane - width + lanes for lane in range(lanes)]
        high = [lane + width if not lane & width else lane + lanes for lane in range(lanes)]
        low, high = (ir.Constant(ir.VectorType(_i32, lanes), order) for order in (low, high))
        for i in range(lanes):
            if not i & width:
                x, y = lines[i], lines[i + width]
                lines[i], lines[i + width] = (
                    builder.shuffle_vector(x, y, low),
                    builder.shuffle_vector(x, y, high),
                )
        width //= 2
    for i, line in enumerate(lines):
        emit.store(line, emit.at(target, builder.mul(target_row, ir.Constant(_i64, i))))
    builder.ret_void()
    return function


def _size(real: types.Type) -> int:
    return real.bitwidth // 8


if JIT:

    @intrinsic
    def tile(_, rows, columns, a, a_row, a_k, b, b_k, start, start_row, c, c_row, k, floor):
        size = _size(floor)

        def codegen(context, builder, signature, arguments):
            rows, columns, *places, k, floor = arguments
            lanes = ir.Constant(_i64, VECTOR_BYTES // size)
            one = ir.Constant(_i64, 1)
            before = builder.sdiv(builder.sub(columns, one), lanes)  # vectors before the last
            tail = builder.sub(columns, builder.mul(before, lanes))
            which = builder.add(builder.mul(builder.sub(rows, one), ir.Constant(_i64, VECTORS)), before)
            end = builder.append_basic_block("tile_end")
            choice = builder.switch(which, end)
            for case in range(ROWS * VECTORS):
                function = _tile_function(builder.module, case // VECTORS + 1, case % VECTORS + 1, size)
                block = builder.append_basic_block("tile_case")
                choice.add_case(case, block)
                builder.position_at_end(block)
                builder.call(function, [*places, k, tail, floor])
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 12, floor), codegen

    @intrinsic
    def transpose(_, rows, columns, source, source_row, target, target_row, like):
        def codegen(context, builder, signature, arguments):
            builder.call(_transpose_function(builder.module, _size(like)), arguments[:-1])
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6, like), codegen

    @intrinsic
    def copy_vector(_, count, source, target, like):
        def codegen(context, builder, signature, arguments):
            count, source, target, _ = arguments
            emit = _Emitter(builder, _size(like))
            source, target = (builder.inttoptr(address, _i8.as_pointer()) for address in (source, target))
            emit.store(emit.masked_load(emit.at(source), emit.below(count)), emit.at(target))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, like), codegen

    @intrinsic
    def copy_element(_, source, target, like):
        def codegen(context, builder, signature, arguments):
            source, target, _ = arguments
            emit = _Emitter(builder, _size(like))
            source, target = (
                builder.inttoptr(address, emit.real.as_pointer()) for address in (source, target)
            )
            emit.store(emit.load(source), target)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, like), codegen

    @intrinsic
    def prefetch(_, address):
        def codegen(context, builder, signature, arguments):
            _Emitter(builder, 4).prefetch(builder.inttoptr(arguments[0], _i8.as_pointer()), 2)
            return context.get_dummy_value()

        return types.void(types.intp), codegen

    @intrinsic
    def size_of(_, like):
        size = _size(like)
        return types.intp(like), lambda context, builder, signature, arguments: ir.Constant(_i64, size)

    @intrinsic
    def word(_, address):
        def codegen(context, builder, signature, arguments):
            return builder.load(builder.inttoptr(arguments[0], _i64.as_pointer()))

        return types.int64(types.intp), codegen

else:

    def _elements(address: int, count: int, like: np.floating) -> np.ndarray:
        raw = (ctypes.c_char * (count * like.itemsize)).from_address(address)
        return np.frombuffer(raw, like.dtype)

    def tile(
        rows: int, columns: int, a: int, a_row: int, a_k: int, b: int, b_k: int,
        start: int, start_row: int, c: int, c_row: int, k: int, floor: Any,
    ) -> None:  # fmt: skip
        for i in range(rows):
            total = _elements(start + i * start_row, columns, floor).copy()
            for step in range(k):
                element = _elements(a + i * a_row + step * a_k, 1, floor)
                total += element * _elements(b + step * b_k, columns, floor)
            total[total < floor] = floor
            _elements(c + i * c_row, columns, floor)[:] = total

    def transpose(
        rows: int, columns: int, source: int, source_row: int, target: int, target_row: int, like: Any
    ) -> None:
        lanes = VECTOR_BYTES // like.itemsize
        block = np.zeros((lanes, lanes), like.dtype)
        for i in range(lanes):
            block[i, :columns] = _elements(source + min(i, rows - 1) * source_row, columns, like)
        for i in range(lanes):
            _elements(target + i * target_row, lanes, like)[:] = block[:, i]

    def copy_vector(count: int, source: int, target: int, like: Any) -> None:
        line = _elements(target, VECTOR_BYTES // like.itemsize, like)
        line[:] = 0
        line[:count] = _elements(source, min(count, len(line)), like)

    def copy_element(source: int, target: int, like: Any) -> None:
        _elements(target, 1, like)[:] = _elements(source, 1, like)

    def prefetch(address: int) -> None:
        """Nothing to do in Python."""

    def size_of(like: Any) -> int:
        return like.itemsize

    def word(address: int) -> int:
        return ctypes.c_int64.from_address(address).value
