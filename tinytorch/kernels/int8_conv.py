"""Convolutions of images of bytes, whose channels lie side by side, and how images get there and back.

An image is uint8 (n, height, width, channels), with the channels filled up to a multiple of GROUP, and with
its border around it, of the zero point's code.  Then a row of a window is one run of bytes, and the tile of
`int8_tiles` reads a matrix of pixels x (window x channels) run by run, where it lies: it is never made.  The
result goes out as such an image, with the border that the next layer needs, or as float32 (n, c, h, w).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from tinytorch.kernels.int8 import (
    PANEL_COLUMNS,
    PARALLEL_WORK,
    SHARE_BYTES,
    TABLE,
    TILE_ROWS,
    PackedWeight,
    check_out,
    column_parts,
    limits,
    pack_weight,
    scales_of,
)
from tinytorch.kernels.int8_images import (
    Pair,
    fill_borders,
    filled,
    from_nhwc,
    int8_global_avg_pool2d,
    int8_max_pool2d,
    room,
    to_nhwc,
)
from tinytorch.kernels.int8_matrix import MATRIX_ROWS, MATRIX_WORK, begin_matrix, end_matrix, matrix_tile
from tinytorch.kernels.int8_tiles import CODES, FLOATS, byte_tile, finish_tile
from tinytorch.kernels.int8_vectors import GROUP, LANES, copy_floats
from tinytorch.kernels.memory import ALIGNMENT, empty
from tinytorch.kernels.operands import BYTE, FLOAT, SIGNED, item, real_number, run, step_of
from tinytorch.kernels.packing import data_address, even, first_length
from tinytorch.kernels.parallel import ASK, Job
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, store_word, word
from tinytorch.kernels.tiles import transpose

__all__ = [
    "PackedConvWeight",
    "from_nhwc",
    "int8_conv2d",
    "int8_global_avg_pool2d",
    "int8_max_pool2d",
    "pack_conv_weight",
    "to_nhwc",
]

TURNED_BYTES = PANEL_COLUMNS * 2 * VECTOR_BYTES  # of scratch: a tile of float32 with its pixels side by side
CONV_BYTES = SHARE_BYTES + 16 * PANEL + TURNED_BYTES


@dataclass(frozen=True, slots=True)
class PackedConvWeight:
    """int8 weights (outputs, inputs, kh, kw), packed as the matrix (outputs, kh kw channels).

    channels: the inputs, filled up to a multiple of GROUP.  window: (kh, kw).
    """

    matrix: PackedWeight
    outputs: int
    inputs: int
    channels: int
    window: Pair

    @property
    def nbytes(self) -> int:
        """Bytes of codes and sums."""
        return self.matrix.nbytes


def pack_conv_weight(q: np.ndarray) -> PackedConvWeight:
    """Pack int8 codes (out, in, kh, kw), once for all convolutions with them; errors as in `pack_weight`."""
    if q.dtype != SIGNED or q.ndim != 4 or not q.size:
        raise ValueError(
            f"pack_conv_weight: expected int8 (out, in, kh, kw), none of them 0, got {q.dtype} {q.shape}."
        )
    outputs, inputs, *window = q.shape
    taps = np.zeros((outputs, *window, filled(inputs)), np.int8)
    taps[..., :inputs] = q.transpose(0, 2, 3, 1)
    matrix = pack_weight(taps.reshape(outputs, -1))
    return PackedConvWeight(matrix, outputs, inputs, filled(inputs), (window[0], window[1]))


@functools.lru_cache(maxsize=1024)
def _plan(
    image: tuple[int, ...], out: tuple[int, ...], border: Pair, window: Pair, stride: Pair, dilation: Pair
) -> np.ndarray:
    """What the kernel must know about shapes, and where the runs are: all integers.

    image: of the bytes that come, (height, width, channels).  out: (height, width, channels), without the
    border of a result of bytes.
    """
    _, width, channels = image
    line = width * channels
    whole = dilation[1] == 1
    places = [0] if whole else [c * dilation[1] * channels for c in range(window[1])]
    runs = [r * dilation[0] * line + place for r in range(window[0]) for place in places]
    steps = channels * (window[1] if whole else 1) // GROUP
    out_line = (out[1] + 2 * border[1]) * out[2]
    numbers = [
        out[0], out[1], image[0] * line, stride[0] * line, stride[1] * channels, border[0],
        border[1] * out[2], out_line, out[2], steps, len(runs), *runs,
    ]  # fmt: skip
    return np.array(numbers, np.int64)


def _share(operands, scratch_id, relu, has_bias, codes, zero, part, parts):
    """Compute the pixels and channels that are number `part` of `parts`, or say how much scratch is missing.

    `operands` is the id of (x, a_scale, a_zero, codes, sums, w_scale, bias, c, out_scale, plan).
    """
    missing = ALIGNMENT + parts * CONV_BYTES - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    plan = data_address(item(operands, 9))
    height, wide = word(plan), word(plan + 8)
    image, line, pixel = word(plan + 16), word(plan + 24), word(plan + 32)
    above, side, out_line, out_pixel = word(plan + 40), word(plan + 48), word(plan + 56), word(plan + 64)
    steps, runs, run_table = word(plan + 72), word(plan + 80), plan + 88
    a, a_scale, a_zero = data_address(item(operands, 0)), item(operands, 1), item(operands, 2)
    c, w_scale = data_address(item(operands, 7)), item(operands, 5)
    n = first_length(item(operands, 4))
    scales, zeros, weights = data_address(a_scale), data_address(a_zero), data_address(w_scale)
    packed, sums = data_address(item(operands, 3)), data_address(item(operands, 4))
    weight_step = step_of(w_scale)
    bias, bias_step = weights, 0
    if has_bias:
        bias, bias_step = data_address(item(operands, 6)), 4
    low, high = limits(codes, relu, zero)
    inverse = np.float32(1) / real_number(item(operands, 8))
    kind = CODES if codes else FLOATS

    # Where: the pixels and panels of this share, and its part of the scratch.
    plane = height * wide
    images = first_length(item(operands, 0))
    out_image, corner = (height + 2 * above) * out_line, above * out_line + side
    fill_borders(c, images, height + 2 * above, out_line, above, side, zero, part, parts)
    pixels = images * plane
    panels = (n + PANEL_COLUMNS - 1) // PANEL_COLUMNS
    across = column_parts((pixels + TILE_ROWS - 1) // TILE_ROWS, panels, parts)
    down = parts // across
    here, end = pixels * (part // across) // down, pixels * (part // across + 1) // down
    left, right = panels * (part % across) // across, panels * (part % across + 1) // across
    a_rows = (data_address(scratch_id) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT + part * CONV_BYTES
    c_rows, tile = a_rows + TABLE, a_rows + 3 * TABLE
    floats = tile + 16 * PANEL
    turned = floats + 16 * PANEL
    out_step = out_pixel if codes else PANEL

    on_matrix = pixels * n * steps * runs * GROUP >= MATRIX_WORK
    tall = even(max(end - here, 1), MATRIX_ROWS if on_matrix else TILE_ROWS)
    if on_matrix:
        begin_matrix(steps)
    while here < end:
        rows = min(tall, end - here)
        entry = here // plane
        place = here - entry * plane
        if not codes:  # a tile within one image, to be turned
            rows = min(rows, plane - place)
        i, j = place // wide, place % wide
        source = a + entry * image + i * line + j * pixel
        target = c + entry * out_image + corner + i * out_line + j * out_pixel
        if not codes:
            target = floats
        for row in range(rows):
            store_word(a_rows + 8 * row, source)
            store_word(c_rows + 8 * row, target)
            source += pixel
            target += out_step
            j += 1
            if j == wide:
                j = 0
                i += 1
                if i == height:
                    i = 0
                    entry += 1
                source = a + entry * image + i * line
                if codes:
                    target = c + entry * out_image + corner + i * out_line
        for panel in range(left, right):
            first = panel * PANEL_COLUMNS
            columns = min(PANEL_COLUMNS, n - first)
            vectors = (columns + LANES - 1) // LANES
            b = packed + first * steps * runs * GROUP
            if on_matrix:
                matrix_tile(rows, vectors, a_rows, runs, run_table, steps, b, tile)
            else:
                byte_tile(rows, vectors, a_rows, runs, run_table, steps, b, tile)
            finish_tile(
                kind, rows, columns, tile, scales, 0, zeros, 0, sums + 4 * first,
                weights + first * weight_step, weight_step, bias + first * bias_step, bias_step, c_rows,
                first if codes else 0, low, high, inverse, zero,
            )  # fmt: skip
            if not codes:
                out = c + 4 * ((here // plane * n + first) * plane + place)
                for row in range(0, rows, LANES):
                    few = min(LANES, rows - row)
                    for column in range(0, columns, LANES):
                        source = floats + row * PANEL + 4 * column
                        transpose(few, LANES, source, PANEL, turned, VECTOR_BYTES, np.float32(0))
                        for k in range(min(LANES, columns - column)):
                            copy_floats(
                                few, turned + k * VECTOR_BYTES, out + 4 * ((column + k) * plane + row)
                            )
        here += rows
    if on_matrix:
        end_matrix()
    return 0


_job = Job(_share)


def int8_conv2d(
    x: np.ndarray,
    a_scale: np.ndarray,
    a_zero: np.ndarray,
    packed: PackedConvWeight,
    w_scale: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    relu: bool = False,
    out_scale: float | None = None,
    out_zero: int | None = None,
    out_padding: Pair = (0, 0),
    groups: int = 1,
) -> np.ndarray:
    """The convolution of (x - a_zero) * a_scale with the weights, summed in int32.

    x: uint8 (n, h, w, channels) with its border, channels as `packed` has them: from `to_nhwc`, or another
        int8 layer.  a_scale: float32 (1,).  a_zero: int32 (1,).
    packed: from `pack_conv_weight`.  w_scale: float32 (out,) or (1,).  bias: float32 (out,) or None.
    relu: 0 where the result is negative.
    Returns float32 (n, out, h', w'), or if out_scale is given uint8 (n, h' + 2 ph, w' + 2 pw, channels) where
    (ph, pw) is `out_padding` and the channels are filled up; all that is filled up holds out_zero.
    Rounding as in `int8_linear`.  Cost 2 n out h' w' in kh kw operations.
    ValueError for types and shapes that do not fit, and for groups: these are not computed in int8.
    """
    name = "int8_conv2d"
    if groups != 1:
        raise ValueError(f"{name}: groups={groups} is not supported in int8: compute this layer in float32.")
    if x.dtype != BYTE or x.ndim != 4 or x.shape[3] != packed.channels:
        raise ValueError(
            f"{name}: expected x of uint8 and shape (n, h, w, {packed.channels}), got {x.dtype} {x.shape}. "
            "to_nhwc makes it; a convolution in groups is not supported in int8."
        )
    n, *size, _ = x.shape
    outputs, window = packed.outputs, packed.window
    height, width = ((size[i] - dilation[i] * (window[i] - 1) - 1) // stride[i] + 1 for i in (0, 1))
    if height < 1 or width < 1:
        raise ValueError(
            f"{name}: a window of {window} with dilation {dilation} exceeds an image of {(*size,)}."
        )
    a_scale, a_zero, w_scale, bias = scales_of(name, 1, outputs, a_scale, a_zero, w_scale, bias)
    codes, scale, zero = check_out(name, out_scale, out_zero)
    if codes:
        out, channels = room(n, height, width, outputs, out_padding, zero), filled(outputs)
    else:
        out, channels, out_padding = empty((n, outputs, height, width), FLOAT), outputs, (0, 0)
    if n:
        if not x.flags.c_contiguous:
            x = np.ascontiguousarray(x)
        plan = _plan(x.shape[1:], (height, width, channels), out_padding, window, stride, dilation)
        matrix = packed.matrix
        work = n * height * width * matrix.n * matrix.k
        operands = (x, a_scale, a_zero, matrix.codes, matrix.sums, w_scale, bias, out, scale, plan)
        run(_job, work < PARALLEL_WORK, operands, relu, bias is not None, codes, zero)
    return out
