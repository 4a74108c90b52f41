"""The gradient to the weights of a convolution of few channels, such as the first of a network.

There the products are so flat that transposing g, as `conv_weight` does, costs half as much as they do.  Here
nothing is transposed: the lanes are pixels, and a tile of dot products of rows of g with rows of x, moved by
a tap, has a vector of partial sums for each.  These stay in the second-level cache.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.conv_plan import read
from tinytorch.kernels.packing import data_address, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.pixels import clear, with_border
from tinytorch.kernels.plane_tiles import DOT_ROWS, DOT_TAPS, plane_dots
from tinytorch.kernels.simd import VECTOR_BYTES, elements, size_of, store, store_word, word

BLOCK = 1 << 15  # bytes of rows of g in a block: with x they stay in the first-level cache
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _sum_dots(x_id, g_id, unused, sums_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all chunks and groups, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    (
        groups, inputs, outputs, height, width, high, wide, rows, columns, top, left, down, across, _, _,
        tap_count, taps,
    ) = read(plan_id)  # fmt: skip
    pixels, depth, plane = high * wide, inputs * tap_count, rows * columns
    deep = rounded(depth, DOT_TAPS)
    tile_bytes = DOT_ROWS * DOT_TAPS * VECTOR_BYTES
    tiles = rounded(outputs, DOT_ROWS) // DOT_ROWS * (deep // DOT_TAPS)
    table_bytes = rounded(deep * 8, VECTOR_BYTES)
    image_bytes = rounded((inputs * plane + lanes) * size, VECTOR_BYTES) + VECTOR_BYTES
    mine = table_bytes + tiles * tile_bytes + image_bytes
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    table = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    partial_sums = table + table_bytes
    image = partial_sums + tiles * tile_bytes
    for i in range(deep):  # what fills the last tile is computed again, and not used
        row = min(i, depth - 1)
        place = row // tap_count * plane + word(taps + row % tap_count * 8)
        store_word(table + i * 8, place * size)
    clear(image, inputs * plane + lanes, ZERO, size)

    images, chunks = first_length(x_id), first_length(sums_id)
    pitch, block = columns * size * down, max(1, BLOCK // (DOT_ROWS * wide * size))
    for unit in range(chunks * groups * part // parts, chunks * groups * (part + 1) // parts):
        group, chunk = unit % groups, unit // groups
        clear(partial_sums, tiles * tile_bytes // size, ZERO, size)
        for n in range(images * chunk // chunks, images * (chunk + 1) // chunks):
            x = data_address(x_id) + (n * groups + group) * inputs * height * width * size
            with_border(x, inputs, height, width, rows, columns, top, left, across, image, ZERO, size)
            g = data_address(g_id) + (n * groups + group) * outputs * pixels * size
            for row in range(0, high, block):
                runs, sums = min(block, high - row), partial_sums
                for o in range(0, outputs, DOT_ROWS):
                    for i in range(0, deep, DOT_TAPS):
                        plane_dots(
                            min(DOT_ROWS, outputs - o), DOT_TAPS, g + (o * pixels + row * wide) * size,
                            pixels * size, image + row * pitch, table + i * 8, sums, runs, wide * size, pitch,
                            wide, ZERO,
                        )  # fmt: skip
                        sums += tile_bytes
        for o in range(outputs):
            for i in range(depth):
                tile = o // DOT_ROWS * (deep // DOT_TAPS) + i // DOT_TAPS
                at = (tile * DOT_ROWS + o % DOT_ROWS) * DOT_TAPS + i % DOT_TAPS
                total = ZERO
                for value in elements(partial_sums + at * VECTOR_BYTES, lanes, ZERO):
                    total += value
                store(data_address(sums_id) + ((unit * outputs + o) * depth + i) * size, total)
    return 0


jobs = jobs_of(_sum_dots, "conv_weight_few")
