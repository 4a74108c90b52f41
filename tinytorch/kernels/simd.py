"""Vectors and addresses inside kernels: what Numba does not offer, made with `numba.extending.intrinsic`.

Everything takes addresses and strides in bytes as plain integers, so that any layout and alignment is read in
place and one compilation serves them all.  `like` is a number whose type says float32 or float64.

`word(address)`, `store_word(address, integer)`: the integer there.
`size_of(like)`: 4 or 8, known when compiling.
`load(address, like)`, `store(address, number)`: one element.
`elements(address, count, like)`: an array of so many.
`copy_vector(count, source, target, like)`: copy min(count, lanes) elements, and zeros up to a whole vector.
`copy_whole(source, target, like)`: copy a whole vector.
`prefetch(address)`: ask for a cache line; the address may lie outside of any array.

With the JIT off plain-Python twins run, which read and write the same addresses through ctypes.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from tinytorch.kernels._jit import JIT

_i1, _i8, _i32, _i64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))


def _vector_bytes_and_rows() -> tuple[int, int]:
    """Bytes of a vector register, and the rows of a two-vector tile that fill the registers but a few."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 12  # 32 registers: 24 accumulators, 2 of b, a broadcast
    if features.get("avx2"):
        return 32, 6  # 16 registers: 12 accumulators, 2 of b, a broadcast
    return 16, 12 if platform.machine().lower() in ("arm64", "aarch64") else 6


def first_level_ways() -> int:
    """Ways of the first-level data cache where Linux tells them, else 8."""
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cache/index0/ways_of_associativity").read_text())
    except (OSError, ValueError):
        return 8


VECTOR_BYTES, ROWS = _vector_bytes_and_rows()
VECTORS = 2
PANEL = VECTORS * VECTOR_BYTES  # bytes of a row of the register tile


def integer(value: int) -> ir.Constant:
    """A 64-bit constant."""
    return ir.Constant(_i64, value)


def size_of_type(real: types.Type) -> int:
    """Bytes of a Numba float type."""
    return real.bitwidth // 8


class Emitter:
    """An IR builder for one float type, and the operations on vectors that kernels are made of.

    Addresses may be integers or `i8` pointers; loads and stores assume no alignment.
    """

    def __init__(self, builder: ir.IRBuilder, size: int):
        self.builder, self.lanes = builder, VECTOR_BYTES // size
        self.real = ir.FloatType() if size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.real, self.lanes)
        self.mask = ir.VectorType(_i1, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * size}"

    def _function(self, name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def pointer(self, address: ir.Value) -> ir.Value:
        """An `i8` pointer of an integer."""
        return self.builder.inttoptr(address, _i8.as_pointer()) if address.type == _i64 else address

    def byte(self, address: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The `i8` pointer `offset` bytes further."""
        return self.builder.gep(
            self.pointer(address), [integer(offset) if isinstance(offset, int) else offset]
        )

    def at(self, address: ir.Value, offset: ir.Value | int, kind: ir.Type | None = None) -> ir.Value:
        """A pointer to a vector, or to `kind`, `offset` bytes further."""
        return self.builder.bitcast(self.byte(address, offset), (kind or self.vector).as_pointer())

    def rows(
        self, address: ir.Value, stride: ir.Value, count: int, present: ir.Value | None = None
    ) -> list[ir.Value]:
        """Where `count` rows begin; those past the first `present` are the last of these again."""
        indices = [integer(i) for i in range(count)]
        if present is not None:
            last = self.builder.sub(present, integer(1))
            less = [self.builder.icmp_signed("<", i, last) for i in indices]
            indices = [self.builder.select(yes, i, last) for yes, i in zip(less, indices, strict=True)]
        return [self.byte(address, self.builder.mul(stride, i)) for i in indices]

    def shuffle(self, x: ir.Value, y: ir.Value, order: list[int]) -> ir.Value:
        """The lanes `order` of x followed by y."""
        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_i32, self.lanes), order))

    def splat(self, scalar: ir.Value) -> ir.Value:
        """The vector with `scalar` in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_i32, 0))
        return self.shuffle(first, undefined, [0] * self.lanes)

    def below(self, count: ir.Value) -> ir.Value:
        """The mask of the first `count` lanes: none when negative, all when there are more."""
        most = integer(self.lanes)
        count = self.builder.select(self.builder.icmp_signed("<", count, most), count, most)
        lanes = ir.Constant(ir.VectorType(_i32, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.splat(self.builder.trunc(count, _i32)))

    def load(self, pointer: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        """What lies at a typed pointer; with a mask, other lanes are zero and not touched in memory."""
        if mask is None:
            value = self.builder.load(pointer)
            value.align = 1
            return value
        name = f"llvm.masked.load.{self.suffix}.p0{self.suffix}"
        read = self._function(name, self.vector, pointer.type, _i32, self.mask, self.vector)
        zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        return self.builder.call(read, [pointer, ir.Constant(_i32, 1), mask, zeros])

    def load_halves(self, address: ir.Value, apart: ir.Value) -> ir.Value:
        """A vector whose second half lies `apart` bytes from the first."""
        half = ir.VectorType(self.real, self.lanes // 2)
        parts = []
        for pointer in (self.at(address, 0, half), self.at(address, apart, half)):
            parts.append(self.builder.load(pointer))
            parts[-1].align = 1
        order = ir.Constant(ir.VectorType(_i32, self.lanes), list(range(self.lanes)))
        return self.builder.shuffle_vector(*parts, order)

    def store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value | None = None) -> None:
        """Put `value`, or its lanes in the mask, at a typed pointer."""
        if mask is None:
            self.builder.store(value, pointer).align = 1
            return
        name = f"llvm.masked.store.{self.suffix}.p0{self.suffix}"
        write = self._function(name, ir.VoidType(), self.vector, pointer.type, _i32, self.mask)
        self.builder.call(write, [value, pointer, ir.Constant(_i32, 1), mask])

    def prefetch(self, pointer: ir.Value) -> None:
        """Ask for the line at an `i8` pointer, possibly outside of any array, into the second-level cache."""
        fetch = self._function("llvm.prefetch.p0i8", ir.VoidType(), pointer.type, _i32, _i32, _i32)
        self.builder.call(fetch, [pointer, *(ir.Constant(_i32, x) for x in (0, 2, 1))])

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """x * y + z: one fused instruction where the processor has it; SSE2 multiplies, then adds."""
        fused = self._function(f"llvm.fmuladd.{self.suffix}", self.vector, *[self.vector] * 3)
        return self.builder.call(fused, [x, y, z])

    def at_least(self, x: ir.Value, floor: ir.Value) -> ir.Value:
        """max(x, floor), but NaN where x is NaN."""
        lowest = self.splat(floor)
        return self.builder.select(self.builder.fcmp_ordered("<", x, lowest), lowest, x)

    def sum(self, x: ir.Value) -> ir.Value:
        """The sum of the lanes, pairwise."""
        width = self.lanes // 2
        while width:
            order = [(lane + width) % self.lanes for lane in range(self.lanes)]
            x = self.builder.fadd(x, self.shuffle(x, x, order))
            width //= 2
        return self.builder.extract_element(x, ir.Constant(_i32, 0))

    def repeat(self, count: ir.Value, state: list[ir.Value], step: Callable) -> list[ir.Value]:
        """Replace `state` by `step(*state)` `count` times, at least once; returns what it is in the end.

        The test stands at the end, because LLVM would unroll a loop that begins with one, and lack
        registers.
        """
        builder, before = self.builder, self.builder.block
        body, done = builder.append_basic_block("body"), builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        state = [count, *state]
        phis = [builder.phi(value.type) for value in state]
        following = [builder.sub(phis[0], integer(1)), *step(*phis[1:])]
        for phi, first, value in zip(phis, state, following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed(">", following[0], integer(0)), body, done)
        builder.position_at_end(done)
        return following[1:]


if JIT:

    @intrinsic
    def word(_, address):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            return builder.load(builder.inttoptr(arguments[0], _i64.as_pointer()))

        return types.int64(types.intp), codegen

    @intrinsic
    def store_word(_, address, value):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            builder.store(arguments[1], builder.inttoptr(arguments[0], _i64.as_pointer()))
            return context.get_dummy_value()

        return types.void(types.intp, types.int64), codegen

    @intrinsic
    def _pointer(_, address, like):
        def codegen(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(like)(types.int64, like), codegen

    @intrinsic
    def size_of(_, like):  # noqa: D103
        size = size_of_type(like)
        return types.intp(like), lambda context, builder, signature, arguments: integer(size)

    @intrinsic
    def load(_, address, like):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            emit = Emitter(builder, size_of_type(like))
            return emit.load(emit.at(arguments[0], 0, emit.real))

        return like(types.intp, like), codegen

    @intrinsic
    def store(_, address, number):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            emit = Emitter(builder, size_of_type(number))
            emit.store(arguments[1], emit.at(arguments[0], 0, emit.real))
            return context.get_dummy_value()

        return types.void(types.intp, number), codegen

    @intrinsic
    def copy_vector(_, count, source, target, like):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, source, target, _ = arguments
            emit = Emitter(builder, size_of_type(like))
            emit.store(emit.load(emit.at(source, 0), emit.below(count)), emit.at(target, 0))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, like), codegen

    @intrinsic
    def copy_whole(_, source, target, like):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            source, target, _ = arguments
            emit = Emitter(builder, size_of_type(like))
            emit.store(emit.load(emit.at(source, 0)), emit.at(target, 0))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, like), codegen

    @intrinsic
    def prefetch(_, address):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            emit = Emitter(builder, 4)
            emit.prefetch(emit.pointer(arguments[0]))
            return context.get_dummy_value()

        return types.void(types.intp), codegen

else:

    def word(address: int) -> int:  # noqa: D103
        return ctypes.c_int64.from_address(int(address)).value

    def store_word(address: int, value: int) -> None:  # noqa: D103
        ctypes.c_int64.from_address(int(address)).value = int(value)

    def size_of(like: Any) -> int:  # noqa: D103
        return like.itemsize

    def load(address: int, like: Any) -> Any:  # noqa: D103
        return elements(address, 1, like)[0]

    def store(address: int, number: Any) -> None:  # noqa: D103
        elements(address, 1, number)[:] = number

    def copy_vector(count: int, source: int, target: int, like: Any) -> None:  # noqa: D103
        lanes = VECTOR_BYTES // like.itemsize
        line, count = elements(target, lanes, like), max(0, min(count, lanes))
        line[:] = 0
        line[:count] = elements(source, count, like)

    def copy_whole(source: int, target: int, like: Any) -> None:  # noqa: D103
        copy_vector(VECTOR_BYTES // like.itemsize, source, target, like)

    def prefetch(address: int) -> None:
        """Nothing to do in Python."""


def elements(address: int, count: int, like: Any) -> np.ndarray:
    """`count` elements at an address as an array."""
    raw = (ctypes.c_char * (count * like.itemsize)).from_address(int(address))
    return np.frombuffer(raw, like.dtype)


@overload(elements)
def _elements_in_kernels(address, count, like):
    return lambda address, count, like: carray(_pointer(address, like), (count,))
