"""Matrix products of int8: c = activation((a - a_zero) @ w.T * scales + bias), summed in int32.

Activations are unsigned bytes with a zero point, weights are signed bytes without one.  So the zero points
leave the innermost loop: sum_k (a[i, k] - zero) * w[j, k] = sum_k a[i, k] * w[j, k] - zero * sum_k w[j, k],
and the sums of the weights are known beforehand.  Weights are packed once, in panels as wide as the register
tile.  The int32 sums never leave the first-level cache: each tile is scaled, shifted and rounded, to float32
or to the bytes that the next int8 layer reads.

The integers are exact, so every element has the same bits however the product is divided among threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.int8_matrix import MATRIX_ROWS, MATRIX_WORK, begin_matrix, end_matrix, matrix_tile
from tinytorch.kernels.int8_tiles import CODES, FLOATS, byte_tile, finish_tile
from tinytorch.kernels.int8_vectors import GROUP, LANES, PATH, PATHS
from tinytorch.kernels.memory import ALIGNMENT, SMALLEST, empty
from tinytorch.kernels.operands import BYTE, FLOAT, INTEGER, item, real_number, run, step_of
from tinytorch.kernels.packing import data_address, even, first_length, matrix
from tinytorch.kernels.parallel import ASK, Job
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, VECTORS, store_word

TILE_ROWS = PATHS[PATH]
PANEL_COLUMNS = VECTORS * LANES
MOST_DEPTH = 65536  # of k: 255 * 128 * k stays below 2**31
SMALL = SMALLEST // 4  # elements that `empty` would not take from the pool either
BLOCK = 1 << 19  # bytes of packed weights that the tiles of a share pass before the next: half a cache
TABLE = 16 * 8  # bytes of a table of addresses, one for each row of a tile
SHARE_BYTES = 3 * TABLE + 16 * PANEL  # of scratch
PARALLEL_WORK = 1_000_000  # multiply-adds from which two threads beat one

_FOUR = (4,)  # strides of vectors whose elements lie side by side


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """An int8 matrix (n, k) in the order in which the tiles read it.

    codes: int8, panels of up to PANEL_COLUMNS rows of the matrix; in each, for every four neighbours along k,
        these four of every row; filled up with zeros to whole vectors of rows and to whole fours.
    sums: int32 (n,), the sum of each row; it lies in an array filled up with zeros to whole vectors.
    """

    n: int
    k: int
    codes: np.ndarray
    sums: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of codes and sums."""
        return self.codes.nbytes + self.sums.nbytes


def aligned(size: int, dtype: type) -> np.ndarray:
    """Zeros of this size at the beginning of a cache line."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(size * itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * itemsize].view(dtype)


def pack_weight(q: np.ndarray) -> PackedWeight:
    """Pack int8 codes (n, k), once for all products with them.

    TypeError unless int8; ValueError unless there are two axes, n >= 1 and 1 <= k <= MOST_DEPTH.

    >>> packed = pack_weight(np.array([[1, -2, 3], [4, 5, 6]], np.int8))
    >>> packed.n, packed.k, packed.sums
    (2, 3, array([ 2, 15], dtype=int32))
    """
    if q.dtype != np.int8:
        raise TypeError(f"pack_weight: expected int8 codes, got {q.dtype}. Quantise them first.")
    if q.ndim != 2 or not q.size or q.shape[1] > MOST_DEPTH:
        raise ValueError(
            f"pack_weight: expected (n, k) with n >= 1 and 1 <= k <= {MOST_DEPTH}, got {q.shape}; "
            "a longer k could overflow the int32 sums."
        )
    n, k = q.shape
    rows, groups = -(-n // LANES) * LANES, -(-k // GROUP)
    full = np.zeros((rows, groups, GROUP), np.int8)
    full.reshape(rows, -1)[:n, :k] = q
    codes, sums = aligned(full.size, np.int8), aligned(rows, np.int32)
    for first in range(0, rows, PANEL_COLUMNS):
        panel = full[first : first + PANEL_COLUMNS].transpose(1, 0, 2)
        start = first * groups * GROUP
        codes[start : start + panel.size] = panel.reshape(-1)
    np.sum(q, axis=1, dtype=np.int32, out=sums[:n])
    return PackedWeight(n, k, codes, sums[:n])


@kernel(inline=True)
def limits(codes, relu, zero):
    """Between what a result is cut before it is stored."""
    low = np.float32(0) if relu else np.float32(-np.inf)
    high = np.float32(np.inf)
    if codes:
        high = np.float32(255 - zero)
        if not relu:
            low = np.float32(-zero)
    return low, high


@kernel(inline=True)
def column_parts(tiles, panels, parts):
    """Into how many ranges to cut the panels for `parts` threads; the rest of the factor cuts the tiles."""
    best, least = 1, -1
    for across in range(1, parts + 1):
        if parts % across == 0:
            down = parts // across
            cost = ((tiles + down - 1) // down) * ((panels + across - 1) // across)
            if least < 0 or cost < least:
                best, least = across, cost
    return best


def _share(operands, scratch_id, relu, has_bias, codes, zero, part, parts):
    """Compute the rectangle of c that is number `part` of `parts`, or say how much scratch is missing.

    `operands` is the id of (a, a_scale, a_zero, codes, sums, w_scale, bias, c, out_scale).
    """
    missing = ALIGNMENT + parts * SHARE_BYTES - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    a, _, m, k, a_row, _ = matrix(item(operands, 0), 1)
    a_scale, a_zero, w_scale = item(operands, 1), item(operands, 2), item(operands, 5)
    size = 1 if codes else 4
    c, _, _, n, c_row, _ = matrix(item(operands, 7), size)
    scales, zeros, weights = data_address(a_scale), data_address(a_zero), data_address(w_scale)
    packed, sums = data_address(item(operands, 3)), data_address(item(operands, 4))
    scale_step, zero_step, weight_step = step_of(a_scale), step_of(a_zero), step_of(w_scale)
    bias, bias_step = weights, 0
    if has_bias:
        bias, bias_step = data_address(item(operands, 6)), 4
    low, high = limits(codes, relu, zero)
    inverse = np.float32(1) / real_number(item(operands, 8))
    kind = CODES if codes else FLOATS

    # Where: the rows and panels of this share, and its part of the scratch.
    groups = (k + GROUP - 1) // GROUP
    panels = (n + PANEL_COLUMNS - 1) // PANEL_COLUMNS
    across = column_parts((m + TILE_ROWS - 1) // TILE_ROWS, panels, parts)
    down = parts // across
    top, bottom = m * (part // across) // down, m * (part // across + 1) // down
    left, right = panels * (part % across) // across, panels * (part % across + 1) // across
    a_rows = (data_address(scratch_id) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT + part * SHARE_BYTES
    c_rows, runs = a_rows + TABLE, a_rows + 2 * TABLE
    tile = a_rows + 3 * TABLE
    store_word(runs, 0)

    on_matrix = m * n * k >= MATRIX_WORK
    tall = even(max(bottom - top, 1), MATRIX_ROWS if on_matrix else TILE_ROWS)
    block = max(1, BLOCK // (groups * PANEL))
    if on_matrix:
        begin_matrix(groups)
    for first in range(left, right, block):
        for i in range(top, bottom, tall):
            rows = min(tall, bottom - i)
            for row in range(rows):
                store_word(a_rows + 8 * row, a + (i + row) * a_row)
                store_word(c_rows + 8 * row, c + (i + row) * c_row)
            for panel in range(first, min(first + block, right)):
                j = panel * PANEL_COLUMNS
                columns = min(PANEL_COLUMNS, n - j)
                vectors = (columns + LANES - 1) // LANES
                b = packed + panel * groups * PANEL
                if on_matrix:
                    matrix_tile(rows, vectors, a_rows, 1, runs, groups, b, tile)
                else:
                    byte_tile(rows, vectors, a_rows, 1, runs, groups, b, tile)
                finish_tile(
                    kind, rows, columns, tile, scales + i * scale_step, scale_step, zeros + i * zero_step,
                    zero_step, sums + 4 * j, weights + j * weight_step, weight_step, bias + j * bias_step,
                    bias_step, c_rows, j * size, low, high, inverse, zero,
                )  # fmt: skip
    if on_matrix:
        end_matrix()
    return 0


_job = Job(_share)


def _vector(name: str, what: str, x: np.ndarray, length: int, dtype: np.dtype) -> np.ndarray:
    """`x` with its elements side by side; ValueError unless it is of this dtype, (length,) or (1,)."""
    if x.dtype != dtype or x.shape not in ((length,), (1,)):
        raise ValueError(
            f"{name}: expected {what} of {dtype} and shape ({length},) or (1,), got {x.dtype} {x.shape}."
        )
    return np.array(x)


def scales_of(
    name: str, m: int, n: int, a_scale: np.ndarray, a_zero: np.ndarray, w_scale: np.ndarray,
    bias: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:  # fmt: skip
    """The vectors as the kernels read them; ValueError where a type or shape does not fit."""
    if a_scale.dtype is not FLOAT or a_scale.strides != _FOUR or len(a_scale) not in (1, m):
        a_scale = _vector(name, "a_scale", a_scale, m, FLOAT)
    if a_zero.dtype is not INTEGER or a_zero.strides != _FOUR or len(a_zero) not in (1, m):
        a_zero = _vector(name, "a_zero", a_zero, m, INTEGER)
    if w_scale.dtype is not FLOAT or w_scale.strides != _FOUR or len(w_scale) not in (1, n):
        w_scale = _vector(name, "w_scale", w_scale, n, FLOAT)
    if bias is not None and (bias.dtype is not FLOAT or bias.strides != _FOUR or len(bias) != n):
        if bias.shape != (n,):
            raise ValueError(f"{name}: expected bias of shape ({n},), got {bias.shape}.")
        bias = _vector(name, "bias", bias, n, FLOAT)
    return a_scale, a_zero, w_scale, bias


def check_out(name: str, scale: float | None, zero: int | None) -> tuple[bool, float, int]:
    """Whether bytes are asked for, their scale, and their zero point; ValueError if there are none such."""
    if scale is None:
        if zero is not None:
            raise ValueError(f"{name}: out_zero={zero} has no meaning without an out_scale.")
        return False, 1.0, 0
    zero = 0 if zero is None else zero
    if not 0 < scale < math.inf or not 0 <= zero <= 255:
        raise ValueError(
            f"{name}: expected out_scale > 0 and out_zero from 0 to 255, got {scale} and {zero}."
        )
    return True, float(scale), zero


def int8_linear(
    a: np.ndarray,
    a_scale: np.ndarray,
    a_zero: np.ndarray,
    packed: PackedWeight,
    w_scale: np.ndarray,
    bias: np.ndarray | None = None,
    relu: bool = False,
    out_scale: float | None = None,
    out_zero: int | None = None,
) -> np.ndarray:
    """y = (a - a_zero) @ w.T * (a_scale * w_scale) + bias, with the sums in int32.

    a: uint8 (m, k).  a_scale: float32, a_zero: int32, each (m,), one for a row, or (1,).
    packed: the weights (n, k).  w_scale: float32 (n,) or (1,).  bias: float32 (n,) or None.
    relu: 0 where y is negative.
    Returns y as float32 (m, n), or if out_scale is given, y / out_scale + out_zero as uint8 (m, n), rounded
    half to even and cut to 0 .. 255; a NaN, as from an infinite scale, becomes 0, or out_zero with the ReLU.
    Cost 2mnk operations.  ValueError for types and shapes that do not fit.

    >>> a = np.array([[130, 128, 126]], np.uint8)  # 2, 0 and -2 with the zero point 128
    >>> packed = pack_weight(np.array([[1, 2, 3], [5, 5, 4]], np.int8))
    >>> one, zero = np.ones(1, np.float32), np.full(1, 128, np.int32)
    >>> int8_linear(a, one, zero, packed, one)
    array([[-4.,  2.]], dtype=float32)
    """
    n, k = packed.n, packed.k
    if a.dtype != BYTE or a.ndim != 2 or a.shape[1] != k:
        raise ValueError(f"int8_linear: expected a of uint8 and shape (m, {k}), got {a.dtype} {a.shape}.")
    m = len(a)
    a_scale, a_zero, w_scale, bias = scales_of("int8_linear", m, n, a_scale, a_zero, w_scale, bias)
    codes, scale, zero = check_out("int8_linear", out_scale, out_zero)
    out = (np.empty if m * n < SMALL else empty)((m, n), BYTE if codes else FLOAT)
    if m:
        if k % GROUP or a.strides[1] != 1 or (m > 1 and a.strides[0] % 4096 == 0):
            a = _readable(a)
        operands = (a, a_scale, a_zero, packed.codes, packed.sums, w_scale, bias, out, scale)
        run(_job, m * n * k < PARALLEL_WORK, operands, relu, bias is not None, codes, zero)
    return out


def _readable(a: np.ndarray) -> np.ndarray:
    """A copy whose rows can be read in whole groups, and do not all fall on the same cache sets.

    The bytes that fill up the last group meet weights of 0: they may be anything, but must exist.
    """
    k = a.shape[1]
    wide = empty((len(a), -(-k // VECTOR_BYTES) * VECTOR_BYTES + VECTOR_BYTES), BYTE)
    wide[:, :k] = a
    return wide[:, :k]
