"""The gradient of a convolution to its weights: for each image a matrix product over pixels, all added up.

gw[c, t, o] = sum over images n and pixels p of x[n, c] at tap t of p, times g[n, o, p].  The rows of the left
side are those of `conv`, a block of them at a time; the right side is g, transposed into panels.  The images
are cut into chunks, a number that depends on shapes only, whose sums are merged in order: the same bits for
any number of threads.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.conv import Pair, Sides, corner_and_taps, plan, read, run
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, even, first_length, pack_columns, panel_bytes, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.pixels import pack_pixels, with_border
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, size_of, store, word
from tinytorch.kernels.tiles import tiles

HEIGHT = 256  # rows of the left side in a block,
LENGTH = 256  # and pixels: 256 KiB of float32
CHUNKS = 8  # into which the images are cut at most
MOST_SUMS = 1 << 20  # elements of all chunks' sums
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _sum_products(x_id, g_id, unused, sums_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all chunks, groups and blocks, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    (
        groups, inputs, outputs, height, width, _, wide, rows, columns, top, left, down, across, bordered, _,
        tap_count, taps,
    ) = read(plan_id)  # fmt: skip
    pixels = word(data_address(plan_id) + 40) * wide
    channels = even(inputs, max(1, HEIGHT // tap_count))
    blocks = (inputs + channels - 1) // channels
    length = even(pixels, LENGTH)
    left_row = (
        rounded(length, lanes) * size + VECTOR_BYTES
    )  # the vector more keeps rows off each other's cache sets

    left_bytes = channels * tap_count * left_row + VECTOR_BYTES
    right_bytes = (outputs + panel - 1) // panel * panel_bytes(length) + lanes * PANEL
    image_bytes = 0
    if bordered:
        image_bytes = rounded(inputs * rows * columns * size, VECTOR_BYTES) + VECTOR_BYTES
    mine = rounded(left_bytes + right_bytes + image_bytes, 64)
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    left_side = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    right_side = left_side + left_bytes
    bordered_image = right_side + right_bytes

    images, chunks = first_length(x_id), first_length(sums_id)
    row_bytes, plane_bytes, sums_row = columns * size, rows * columns * size, outputs * size
    whole, last_row = outputs // panel, rounded(outputs % panel, lanes) * size
    # A unit takes all rows of its chunk, so that g is transposed once, unless there are too few to share out.
    shares = 1 if chunks * groups >= CHUNKS else blocks
    units = chunks * groups * shares
    for unit in range(units * part // parts, units * (part + 1) // parts):
        share = unit % shares
        group, chunk = unit // shares % groups, unit // shares // groups
        first, stop = blocks * share // shares * channels, blocks * (share + 1) // shares * channels
        stop = min(stop, inputs)
        base = data_address(sums_id) + (chunk * groups + group) * inputs * tap_count * sums_row
        for i in range(first * tap_count * outputs, stop * tap_count * outputs):
            store(base + i * size, ZERO)
        for n in range(images * chunk // chunks, images * (chunk + 1) // chunks):
            g = data_address(g_id) + (n * groups + group) * outputs * pixels * size
            image = data_address(x_id) + ((n * groups + group) * inputs + first) * height * width * size
            if bordered:
                with_border(
                    image, stop - first, height, width, rows, columns, top, left, across, bordered_image,
                    ZERO, size,
                )  # fmt: skip
                image = bordered_image
            for p in range(0, pixels, length):
                k = min(length, pixels - p)
                pack_columns(g + p * size, size, pixels * size, k, outputs, right_side, ZERO, size)
                for c0 in range(first, stop, channels):
                    many = min(channels, stop - c0)
                    depth = many * tap_count
                    pack_pixels(
                        image + (c0 - first) * plane_bytes, many, plane_bytes, taps, tap_count,
                        row_bytes * down, wide, p, p + k, left_side, left_row, ZERO, size,
                    )  # fmt: skip
                    tall = even(depth, ROWS)
                    for i in range(0, depth, tall):
                        high = min(tall, depth - i)
                        a, z = left_side + i * left_row, base + (c0 * tap_count + i) * sums_row
                        if whole:
                            tiles(
                                high, panel, whole, a, left_row, size, right_side, PANEL, panel_bytes(k),
                                z, sums_row, PANEL, z, sums_row, k, LOWEST,
                            )  # fmt: skip
                        j = whole * panel
                        while j < outputs:  # a whole vector, and the part of one that is left
                            few = min(lanes, outputs - j)
                            b = right_side + whole * panel_bytes(k) + j % panel * size
                            tiles(
                                high, few, 1, a, left_row, size, b, last_row, 0, z + j * size, sums_row, 0,
                                z + j * size, sums_row, k, LOWEST,
                            )  # fmt: skip
                            j += few
    return 0


_jobs = jobs_of(_sum_products, "conv_weight")
_scratch = Scratch()


def conv2d_grad_weight(
    x: np.ndarray,
    g: np.ndarray,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """The gradient of `conv2d` to a weight (out, in / groups, *window), from x and g, of its result."""
    n, channels, *image = x.shape
    _, total, *out = g.shape
    inputs, outputs = channels // groups, total // groups
    rows = inputs * window[0] * window[1]
    if not (x.size and g.size and rows):
        return np.zeros((total, inputs, *window), x.dtype)
    chunks = max(1, min(n, CHUNKS, MOST_SUMS // (groups * rows * outputs)))
    sums = empty((chunks, groups, rows, outputs), x.dtype)
    corner, taps = corner_and_taps(window, padding, dilation)
    shapes = plan(tuple(image), tuple(out), corner, stride, taps, groups, inputs, outputs)
    x, g = ready(x), ready(g)
    run(_jobs[x.dtype], _scratch, g.size * rows, id(x), id(g), 0, id(sums), id(shapes))
    whole = sums[0]
    for part in sums[1:]:
        whole += part
    weight = empty((total, inputs, *window), x.dtype)
    weight.reshape(groups, outputs, rows)[...] = whole.swapaxes(1, 2)
    return weight
