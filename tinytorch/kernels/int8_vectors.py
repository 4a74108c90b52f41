"""Vectors of bytes inside kernels: dot products of them, and float32 that becomes them.

Addresses are integers and strides are bytes, as in `simd`.  A *code* of x is
round(x * inverse, cut to low .. high) + shift: halves go to the even number, and NaN to low.

`code_line(count, source, target, inverse, low, high, shift)`
    the codes of `count` float32 as bytes.
`code_groups(count, present, source, plane, target, inverse, low, high, shift)`
    the same from GROUP arrays that lie `plane` bytes apart, of which the first `present` exist: the codes of
    each place together, and those of 0 for an absent array.  Writes whole groups, LANES of them.
`decode_groups(count, present, source, target, plane, zero, scale)`
    the way back: (code - zero) * scale of `count` <= LANES groups, into the first `present` of GROUP arrays.
    Reads LANES groups.
`max_bytes(count, a, b, target)`
    the greater ones of `count` unsigned bytes each, a multiple of GROUP.
`extremes(count, source, target)`
    two float32: the least and the greatest of count >= 1 float32, both NaN if one is.
`copy_floats(count, source, target)`
    exactly min(count, LANES) float32.

There are three ways to multiply bytes, and all give the same integers: `vnni` is one instruction (vpdpbusd),
`madd` widens to 16 bits (pmaddwd; pmaddubsw would saturate), `plain` widens to 32 bits and runs everywhere.
PATH is the quickest that this processor has.  With the JIT off plain-Python twins run.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinytorch.kernels._jit import JIT
from tinytorch.kernels.simd import ROWS, VECTOR_BYTES, Emitter, elements, integer

LANES = VECTOR_BYTES // 4  # int32 or float32 in a vector
GROUP = 4  # neighbouring bytes that are multiplied and added at once
MAGIC = 12582912.0  # 1.5 * 2**23: added to a small float32, it leaves the rounded integer in the low bits
MAGIC_BITS = 0x4B400000

_i8, _i16, _i32 = (ir.IntType(bits) for bits in (8, 16, 32))


def _paths() -> dict[str, int]:
    """The ways to multiply that this processor has, quickest first, and how many rows fill its registers."""
    features = llvm.get_host_cpu_features()
    many = VECTOR_BYTES == 64 or platform.machine().lower() in ("arm64", "aarch64")  # 32 registers
    paths = {}
    if features.get("avx512vnni") if VECTOR_BYTES == 64 else features.get("avxvnni"):
        paths["vnni"] = ROWS
    if features.get("avx512bw" if VECTOR_BYTES == 64 else "sse2"):
        paths["madd"] = 10 if many else 4
    paths["plain"] = 8 if many else 4
    return paths


PATHS = _paths()
PATH = next(iter(PATHS))
_VNNI = f"llvm.x86.avx512.vpdpbusd.{8 * VECTOR_BYTES}"
_MADD = {64: "llvm.x86.avx512.pmaddw.d.512", 32: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.sse2.pmadd.wd"}


class ByteEmitter(Emitter):
    """An Emitter for float32 that also has vectors of int32, and dot products of their bytes."""

    def __init__(self, builder: ir.IRBuilder, path: str = PATH):
        super().__init__(builder, 4)
        self.path = path
        self.integers = ir.VectorType(_i32, LANES)
        self.shorts = ir.VectorType(_i16, 2 * LANES)
        self.bytes = ir.VectorType(_i8, LANES)
        self.all_bytes = ir.VectorType(_i8, VECTOR_BYTES)

    def constant(self, value: int) -> ir.Constant:
        """The vector with this int32 in every lane."""
        return ir.Constant(self.integers, [value] * LANES)

    def _short(self, value: int) -> ir.Constant:
        return ir.Constant(self.shorts, [value] * (2 * LANES))

    def unsigned(self, x: ir.Value) -> list[ir.Value]:
        """The bytes of every lane as the path multiplies them, zero-extended."""
        build = self.builder
        if self.path == "vnni":
            return [x]
        if self.path == "madd":
            pairs = build.bitcast(x, self.shorts)
            return [build.and_(pairs, self._short(255)), build.lshr(pairs, self._short(8))]
        return [
            build.and_(build.lshr(x, self.constant(8 * i)), self.constant(255)) if i else
            build.and_(x, self.constant(255))
            for i in range(GROUP)
        ]  # fmt: skip

    def signed(self, x: ir.Value) -> list[ir.Value]:
        """The same, sign-extended."""
        build = self.builder
        if self.path == "vnni":
            return [x]
        if self.path == "madd":
            pairs, eight = build.bitcast(x, self.shorts), self._short(8)
            return [build.ashr(build.shl(pairs, eight), eight), build.ashr(pairs, eight)]
        return [build.ashr(build.shl(x, self.constant(24 - 8 * i)), self.constant(24)) for i in range(GROUP)]

    def dot(self, total: ir.Value, x: list[ir.Value], y: list[ir.Value]) -> ir.Value:
        """`total` + the dot products of the groups in each lane, of `unsigned` and `signed` bytes."""
        build = self.builder
        if self.path == "vnni":
            multiply = self._function(_VNNI, self.integers, *[self.integers] * 3)
            return build.call(multiply, [total, x[0], y[0]])
        for one, other in zip(x, y, strict=True):
            if self.path == "madd":
                multiply = self._function(_MADD[VECTOR_BYTES], self.integers, self.shorts, self.shorts)
                total = build.add(total, build.call(multiply, [one, other]))
            else:
                total = build.add(total, build.mul(one, other))
        return total

    def repeat_any(self, count: ir.Value, state: list[ir.Value], step: Callable) -> list[ir.Value]:
        """`repeat` that does nothing if `count` is 0."""
        builder, before = self.builder, self.builder.block
        some, after = builder.append_basic_block("some"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">", count, integer(0)), some, after)
        builder.position_at_end(some)
        following = self.repeat(count, state, step)
        end = builder.block
        builder.branch(after)
        builder.position_at_end(after)
        phis = [builder.phi(value.type) for value in state]
        for phi, first, value in zip(phis, state, following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(value, end)
        return phis

    def some_lanes(self, address: ir.Value, offset: ir.Value, step: ir.Value, mask: ir.Value) -> ir.Value:
        """The float32 of the mask at `offset` from an address, or with a step of 0 the one there in each."""
        shared = self.builder.icmp_signed("==", step, integer(0))
        first = self.splat(self.load(self.at(address, 0, self.real)))
        some = self.builder.select(self.splat(shared), ir.Constant(self.mask, [0] * LANES), mask)
        return self.builder.select(shared, first, self.load(self.at(address, offset), some))

    def code(
        self, x: ir.Value, inverse: ir.Value, low: ir.Value, high: ir.Value, shift: ir.Value
    ) -> ir.Value:
        """round(x * inverse, cut to low .. high) + shift as int32; the arguments are vectors, NaN is low."""
        build = self.builder
        x = build.fmul(x, inverse)
        x = build.select(build.fcmp_ordered(">", x, low), x, low)
        x = build.select(build.fcmp_ordered("<", x, high), x, high)
        magic = ir.Constant(self.vector, [MAGIC] * LANES)
        bits = build.bitcast(build.fadd(x, magic), self.integers)
        return build.add(bits, build.sub(shift, self.constant(MAGIC_BITS)))

    def store_bytes(
        self, x: ir.Value, address: ir.Value, offset: ir.Value | int, mask: ir.Value | None = None
    ) -> None:
        """Put the low bytes of the lanes there, or of those in the mask."""
        pointer = self.at(address, offset, self.bytes)
        x = self.builder.trunc(x, self.bytes)
        if mask is None:
            self.builder.store(x, pointer).align = 1
            return
        name = f"llvm.masked.store.v{LANES}i8.p0v{LANES}i8"
        write = self._function(name, ir.VoidType(), self.bytes, pointer.type, _i32, self.mask)
        self.builder.call(write, [x, pointer, ir.Constant(_i32, 1), mask])


def codes_of(x: np.ndarray, inverse: Any, low: Any, high: Any, shift: Any) -> np.ndarray:
    """The twin of `ByteEmitter.code`."""
    with np.errstate(all="ignore"):  # compiled code does not warn either
        x = x * inverse
    x = np.where(x > low, x, low)
    return np.rint(np.where(x < high, x, high)).astype(np.int32) + shift


if JIT:

    @intrinsic
    def code_line(_, count, source, target, inverse, low, high, shift):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, source, target, *numbers = arguments
            emit = ByteEmitter(builder)
            numbers[-1] = builder.trunc(numbers[-1], _i32)
            numbers = [emit.splat(number) for number in numbers]

            def step(source, target):
                emit.store_bytes(emit.code(emit.load(emit.at(source, 0)), *numbers), target, 0)
                return [emit.byte(source, VECTOR_BYTES), emit.byte(target, LANES)]

            whole, rest = (divide(count, integer(LANES)) for divide in (builder.sdiv, builder.srem))
            state = emit.repeat_any(whole, [emit.pointer(source), emit.pointer(target)], step)
            with builder.if_then(builder.icmp_signed(">", rest, integer(0))):
                mask = emit.below(rest)
                x = emit.load(emit.at(state[0], 0), mask)
                emit.store_bytes(emit.code(x, *numbers), state[1], 0, mask)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 3, *[types.float32] * 3, types.intp), codegen

    @intrinsic
    def code_groups(_, count, present, source, plane, target, inverse, low, high, shift):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, present, source, plane, target, *numbers = arguments
            emit = ByteEmitter(builder)
            numbers[-1] = builder.trunc(numbers[-1], _i32)
            numbers = [emit.splat(number) for number in numbers]
            zeros = ir.Constant(emit.vector, [0.0] * LANES)

            def put(mask: ir.Value | None) -> None:
                word = emit.constant(0)
                for i, line in enumerate(emit.rows(source, plane, GROUP, present)):
                    x = emit.load(emit.at(line, 0), mask)
                    x = builder.select(builder.icmp_signed("<", integer(i), present), x, zeros)
                    code = builder.and_(emit.code(x, *numbers), emit.constant(255))
                    word = builder.or_(word, builder.shl(code, emit.constant(8 * i)) if i else code)
                builder.store(word, emit.at(target, 0, emit.integers)).align = 1

            whole = builder.icmp_signed(">=", count, integer(LANES))
            with builder.if_else(whole) as (all_lanes, some_lanes):
                with all_lanes:
                    put(None)
                with some_lanes:
                    put(emit.below(count))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 5, *[types.float32] * 3, types.intp), codegen

    @intrinsic
    def decode_groups(_, count, present, source, target, plane, zero, scale):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, present, source, target, plane, zero, scale = arguments
            emit = ByteEmitter(builder)
            zero, scale = emit.splat(builder.trunc(zero, _i32)), emit.splat(scale)
            word = emit.load(emit.at(source, 0, emit.integers))
            for i, line in enumerate(emit.rows(target, plane, GROUP)):
                code = builder.and_(builder.lshr(word, emit.constant(8 * i)), emit.constant(255))
                x = builder.fmul(builder.sitofp(builder.sub(code, zero), emit.vector), scale)
                there = builder.icmp_signed("<", integer(i), present)
                mask = emit.below(builder.select(there, count, integer(0)))
                emit.store(x, emit.at(line, 0), mask)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6, types.float32), codegen

    @intrinsic
    def max_bytes(_, count, a, b, target):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, *lines = arguments
            emit = ByteEmitter(builder)

            def greater(*lines, mask=None):
                x, y, target = lines
                pair = [emit.load(emit.at(line, 0), mask) for line in (x, y)]
                x, y = (builder.bitcast(value, emit.all_bytes) for value in pair)
                most = builder.select(builder.icmp_unsigned(">", x, y), x, y)
                emit.store(builder.bitcast(most, emit.vector), emit.at(target, 0), mask)
                return [emit.byte(line, VECTOR_BYTES) for line in lines]

            whole, rest = (divide(count, integer(VECTOR_BYTES)) for divide in (builder.sdiv, builder.srem))
            lines = emit.repeat_any(whole, [emit.pointer(line) for line in lines], greater)
            with builder.if_then(builder.icmp_signed(">", rest, integer(0))):
                greater(*lines, mask=emit.below(builder.sdiv(rest, integer(GROUP))))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 4), codegen

    @intrinsic
    def extremes(_, count, source, target):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, source, target = arguments
            emit = ByteEmitter(builder)
            first = emit.splat(emit.load(emit.at(source, 0, emit.real)))

            def step(line, left, low, high, odd):
                mask = emit.below(left)
                x = builder.select(mask, emit.load(emit.at(line, 0), mask), first)
                low = builder.select(builder.fcmp_ordered("<", x, low), x, low)
                high = builder.select(builder.fcmp_ordered(">", x, high), x, high)
                odd = builder.or_(odd, builder.fcmp_unordered("uno", x, x))
                return [emit.byte(line, VECTOR_BYTES), builder.sub(left, integer(LANES)), low, high, odd]

            vectors = builder.sdiv(builder.add(count, integer(LANES - 1)), integer(LANES))
            none = ir.Constant(emit.mask, [0] * LANES)
            state = [emit.pointer(source), count, first, first, none]
            *_, low, high, odd = emit.repeat(vectors, state, step)
            nan = ir.Constant(emit.vector, [float("nan")] * LANES)
            for at, sign, x in ((0, "<", low), (4, ">", high)):
                x, width = builder.select(odd, nan, x), LANES // 2
                while width:
                    y = emit.shuffle(x, x, [(lane + width) % LANES for lane in range(LANES)])
                    better = builder.or_(
                        builder.fcmp_ordered(sign, y, x), builder.fcmp_unordered("uno", y, y)
                    )
                    x, width = builder.select(better, y, x), width // 2
                number = builder.extract_element(x, ir.Constant(_i32, 0))
                emit.store(number, emit.at(target, at, emit.real))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 3), codegen

    @intrinsic
    def copy_floats(_, count, source, target):  # noqa: D103
        def codegen(context, builder, signature, arguments):
            count, source, target = arguments
            emit = ByteEmitter(builder)
            mask = emit.below(count)
            emit.store(emit.load(emit.at(source, 0), mask), emit.at(target, 0), mask)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 3), codegen

else:

    def code_line(  # noqa: D103
        count: int, source: int, target: int, inverse: Any, low: Any, high: Any, shift: int
    ) -> None:
        codes = codes_of(elements(source, count, inverse), inverse, low, high, shift)
        elements(target, count, np.uint8(0))[:] = codes & 255

    def code_groups(  # noqa: D103
        count: int, present: int, source: int, plane: int, target: int,
        inverse: Any, low: Any, high: Any, shift: int,
    ) -> None:  # fmt: skip
        x = np.zeros((LANES, GROUP), np.float32)
        count = min(count, LANES)
        for i in range(min(present, GROUP)):
            x[:count, i] = elements(source + i * plane, count, inverse)
        codes = codes_of(x, inverse, low, high, shift) & 255
        elements(target, LANES * GROUP, np.uint8(0))[:] = codes.ravel()

    def decode_groups(  # noqa: D103
        count: int, present: int, source: int, target: int, plane: int, zero: int, scale: Any
    ) -> None:
        codes = elements(source, LANES * GROUP, np.uint8(0)).reshape(LANES, GROUP).astype(np.int32)
        for i in range(present):
            elements(target + i * plane, count, scale)[:] = (codes[:count, i] - zero) * scale

    def max_bytes(count: int, a: int, b: int, target: int) -> None:  # noqa: D103
        x, y = (elements(address, count, np.uint8(0)) for address in (a, b))
        np.maximum(x, y, out=elements(target, count, np.uint8(0)))

    def extremes(count: int, source: int, target: int) -> None:  # noqa: D103
        x = elements(source, count, np.float32(0))
        elements(target, 2, np.float32(0))[:] = x.min(), x.max()

    def copy_floats(count: int, source: int, target: int) -> None:  # noqa: D103
        count = min(count, LANES)
        elements(target, count, np.float32(0))[:] = elements(source, count, np.float32(0))
