"""Products of float32 rows with weights that are kept as integers of 8 or 4 bits, and scales.

With few rows a product takes as long as its weights take to read, so fewer bytes are less time. Codes are
widened in registers: load 16, extend to int32, convert, multiply and add; the scale comes once for a group.

**Layout.** Sixteen outputs stand side by side, a *panel*, and are the lanes of a vector:

* int8: `codes` (panels, k, 16) int8.
* int4: `codes` (panels, k / 2, 16) uint8, input 2j in the low and 2j + 1 in the high half of a byte, as two's
  complement.
* `scales` (panels, groups, 16) float32: one for each output and `group` successive inputs.

k is the number of inputs rounded up to a multiple of 4; codes that stand for nothing are zero.
A number is code · scale. Source of groups: E. Frantar et al., "GPTQ", 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import JIT, kernel
from tinytorch.kernels.decode import ROWS, block_template
from tinytorch.kernels.maps import both, ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.simd import Emitter, elements, integer

LANES = 16  # outputs of a panel
UNROLL = 4  # inputs of one step, each with an accumulator of its own
PANELS = ROWS // LANES  # that one iteration takes
ALONE = 300_000  # numbers to multiply up to which waking other threads costs more than it gains
_i8, _i32 = ir.IntType(8), ir.IntType(32)


Weights = tuple[np.ndarray, np.ndarray, int]  # codes, scales, and how many inputs share a scale


class _Panel(Emitter):
    """Vectors of 16 numbers on every processor; LLVM divides them where registers are shorter."""

    def __init__(self, builder: ir.IRBuilder):
        super().__init__(builder, 4)
        self.lanes = LANES
        self.vector = ir.VectorType(self.real, LANES)
        self.suffix = f"v{LANES}f32"

    def codes(self, address: ir.Value, offset: int) -> ir.Value:
        """16 bytes as int32."""
        narrow = self.builder.load(self.at(address, offset, ir.VectorType(_i8, LANES)))
        narrow.align = 1
        return self.builder.sext(narrow, ir.VectorType(_i32, LANES))

    def shifted(self, operation: Callable, x: ir.Value, by: int) -> ir.Value:
        """x shifted by a constant."""
        return operation(x, ir.Constant(x.type, [by] * LANES))


def _emit_sums(bits: int) -> Callable:
    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> Any:
        codes, scales, x, count, group, out = arguments
        emit = _Panel(builder)
        zeros = ir.Constant(emit.vector, [0.0] * LANES)

        def widened(codes: ir.Value) -> list[ir.Value]:
            if bits == 8:
                return [emit.codes(codes, LANES * i) for i in range(UNROLL)]
            pairs = []
            for i in range(UNROLL // 2):
                both = emit.codes(codes, LANES * i)
                low = emit.shifted(builder.ashr, emit.shifted(builder.shl, both, 28), 28)
                pairs += [low, emit.shifted(builder.ashr, both, 4)]
            return pairs

        def step(codes: ir.Value, x: ir.Value, *sums: ir.Value) -> list[ir.Value]:
            following = []
            for i, (wide, total) in enumerate(zip(widened(codes), sums, strict=True)):
                number = emit.splat(emit.load(emit.at(x, 4 * i, emit.real)))
                following.append(emit.multiply_add(builder.sitofp(wide, emit.vector), number, total))
            size = LANES * UNROLL * bits // 8
            return [builder.add(codes, integer(size)), builder.add(x, integer(4 * UNROLL)), *following]

        def one_group(
            codes: ir.Value, scales: ir.Value, x: ir.Value, left: ir.Value, total: ir.Value
        ) -> list[ir.Value]:
            here = builder.select(builder.icmp_signed("<", left, group), left, group)
            steps = builder.sdiv(here, integer(UNROLL))
            codes, x, a, b, c, d = emit.repeat(steps, [codes, x, *[zeros] * UNROLL], step)
            part = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
            total = emit.multiply_add(part, emit.load(emit.at(scales, 0)), total)
            return [codes, builder.add(scales, integer(4 * LANES)), x, builder.sub(left, here), total]

        groups = builder.sdiv(builder.add(count, builder.sub(group, integer(1))), group)
        *_, total = emit.repeat(groups, [codes, scales, x, count, zeros], one_group)
        emit.store(total, emit.at(out, 0))
        return context.get_dummy_value()

    return codegen


if JIT:
    _SIX = (types.int64,) * 6

    @intrinsic
    def _sums_int8(_, codes, scales, x, count, group, out):
        return types.void(*_SIX), _emit_sums(8)

    @intrinsic
    def _sums_int4(_, codes, scales, x, count, group, out):
        return types.void(*_SIX), _emit_sums(4)

else:

    def _plain_sums(bits: int) -> Callable:
        def sums(codes: int, scales: int, x: int, count: int, group: int, out: int) -> None:
            raw = elements(codes, count * LANES * bits // 8, np.int8(0)).reshape(-1, LANES)
            if bits == 4:
                raw = np.stack([(raw << 4) >> 4, raw >> 4], 1).reshape(-1, LANES)
            wide = raw * elements(x, count, np.float32(0))[:, None]
            starts = np.arange(0, count, group)
            factors = elements(scales, len(starts) * LANES, np.float32(0)).reshape(-1, LANES)
            elements(out, LANES, np.float32(0))[:] = (np.add.reduceat(wide, starts, 0) * factors).sum(0)

        return sums

    _sums_int8, _sums_int4 = _plain_sums(8), _plain_sums(4)


def _sums(codes, scales, x, count, group, out):
    """Stands in the templates for the sums of 8 or of 4 bits."""
    raise NotImplementedError


@kernel(inline=True)
def _finish(sums, panel, bias, b, out, add, gelu):
    """Put the sums of a panel into row b of out, or add them there, with bias, and through GELU or not."""
    half, root, cubic = np.float32(0.5), np.float32(0.7978845608028654), np.float32(0.044715)
    first = panel * LANES
    for i in range(first, min(out.shape[1], first + LANES)):
        y = sums[i - first]
        if bias.size:
            y += bias[i]
        if gelu:
            y = half * y * (np.float32(1) + vecmath.tanh(root * (y + cubic * y * y * y)))
        out[b, i] = out[b, i] + y if add else y


@kernel(inline=True)
def _rows_int8(task, weight, bias, x, out, add, gelu):
    """Panels `task` of `x @ weight.T + bias`, as `_rows` in `decode`."""
    codes, scales, group = weight
    k, sums = codes.shape[1], np.empty(LANES, np.float32)
    for panel in range(task * PANELS, min(codes.shape[0], (task + 1) * PANELS)):
        for b in range(x.shape[0]):
            _sums_int8(
                codes[panel].ctypes.data, scales[panel].ctypes.data, x[b].ctypes.data, k, group,
                sums.ctypes.data,
            )  # fmt: skip
            _finish(sums, panel, bias, b, out, add, gelu)


@kernel(inline=True)
def _rows_int4(task, weight, bias, x, out, add, gelu):
    """The same for 4 bits."""
    codes, scales, group = weight
    k, sums = 2 * codes.shape[1], np.empty(LANES, np.float32)
    for panel in range(task * PANELS, min(codes.shape[0], (task + 1) * PANELS)):
        for b in range(x.shape[0]):
            _sums_int4(
                codes[panel].ctypes.data, scales[panel].ctypes.data, x[b].ctypes.data, k, group,
                sums.ctypes.data,
            )  # fmt: skip
            _finish(sums, panel, bias, b, out, add, gelu)


def _rows(task, weight, bias, x, out, add, gelu):
    """Stands in the templates for `_rows_int8` or `_rows_int4`."""
    raise NotImplementedError


def _product(x, weight, bias, out):
    for task in prange((out.shape[1] + ROWS - 1) // ROWS):  # owns ROWS columns of out
        _rows(task, weight, bias, x, out, False, False)


def _widen_int8(codes, scales, group, out):
    panels, k, _ = codes.shape
    for panel in prange(panels):  # owns LANES columns of out
        for j in range(k):
            row, line, factors = out[j], codes[panel, j], scales[panel, j // group]
            for lane in range(LANES):
                row[panel * LANES + lane] = np.float32(line[lane]) * factors[lane]


def _widen_int4(codes, scales, group, out):
    panels, pairs, _ = codes.shape
    for panel in prange(panels):  # owns LANES columns of out
        for j in range(pairs):
            line, factors = codes[panel, j], scales[panel, 2 * j // group]
            low, high = out[2 * j], out[2 * j + 1]
            for lane in range(LANES):
                both = np.int32(line[lane])
                low[panel * LANES + lane] = np.float32(((both & 15) ^ 8) - 8) * factors[lane]
                high[panel * LANES + lane] = np.float32(((both >> 4) ^ 8) - 8) * factors[lane]


_INT8, _INT4 = np.dtype(np.int8), np.dtype(np.uint8)
_products = {
    _INT8: both(_product, "rows_times_int8", _rows=_rows_int8),
    _INT4: both(_product, "rows_times_int4", _rows=_rows_int4),
}
_wideners = {_INT8: both(_widen_int8, "widen_int8"), _INT4: both(_widen_int4, "widen_int4")}
_steps = {
    _INT8: both(block_template, "block_step_int8", _rows=_rows_int8),
    _INT4: both(block_template, "block_step_int4", _rows=_rows_int4),
}
_NONE = np.empty(0, np.float32)


def in_panels(codes: np.ndarray) -> np.ndarray:
    """Codes (n, k) of any integers -> (panels, k up to a multiple of 4, 16), zeros where nothing was."""
    n, k = codes.shape
    padded = np.zeros((-(-n // LANES) * LANES, -(-k // UNROLL) * UNROLL), codes.dtype)
    padded[:n, :k] = codes
    return np.ascontiguousarray(padded.reshape(-1, LANES, padded.shape[1]).transpose(0, 2, 1))


def pack_int4(panels: np.ndarray) -> np.ndarray:
    """Panels (p, k, 16) of whole numbers from -8 to 7 -> (p, k / 2, 16), two in a byte."""
    low, high = (panels[:, i::2].astype(np.uint8) & 15 for i in (0, 1))
    return low | high << 4


def unpack_int4(packed: np.ndarray) -> np.ndarray:
    """(p, k / 2, 16) bytes -> int8 (p, k, 16)."""
    halves = np.stack([packed & 15, packed >> 4], 2).astype(np.int8)
    return ((halves ^ 8) - 8).reshape(len(packed), -1, LANES)


def rows_times_codes(
    x: np.ndarray, weight: Weights, out_features: int, bias: np.ndarray | None = None
) -> np.ndarray:
    """`x @ weight.T + bias` in float32, for few rows: x (m, in_features) -> (m, out_features).

    The codes are read, and widened, once for each row of x. Same bits for any number of threads.
    """
    x, codes = ready(x), weight[0]
    k = codes.shape[1] * (2 if codes.dtype is _INT4 else 1)
    if x.shape[1] != k:
        x = np.pad(x, ((0, 0), (0, k - x.shape[1])))
    out = empty((len(x), out_features), np.dtype(np.float32))
    if not k:
        out[:] = 0 if bias is None else bias
        return out
    serial, parallel = _products[codes.dtype]
    run = serial if x.size * out_features <= ALONE else parallel
    run(x, weight, _NONE if bias is None else ready(bias), out)
    return out


def dequantize(weight: Weights, out_features: int, in_features: int) -> np.ndarray:
    """The weights as float32 (out_features, in_features), columns side by side in memory."""
    codes, scales, group = weight
    k = codes.shape[1] * (2 if codes.dtype is _INT4 else 1)
    out = empty((k, len(codes) * LANES), np.dtype(np.float32))
    serial, parallel = _wideners[codes.dtype]
    (serial if out.size <= ALONE else parallel)(codes, scales, group, out)
    return out[:in_features, :out_features].T


def block_step(
    x: np.ndarray, weights: Sequence[Any], inside: int, epsilon: float, table: np.ndarray, start: int,
    keys: np.ndarray, values: np.ndarray,
) -> None:  # fmt: skip
    """`decode.block_step` on weights that are `Weights`, all of as many bits.

    x (b, c), c a multiple of 4, and all arrays beside the codes are float32. inside: the inner width of the
    MLP, a multiple of 4 too.
    """
    serial, parallel = _steps[weights[2][0].dtype]
    run = serial if 3 * x.shape[1] ** 2 <= ALONE else parallel
    run(x, *weights, inside, epsilon, table, start, keys, values)
