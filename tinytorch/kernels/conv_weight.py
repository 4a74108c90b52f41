"""The gradient of a convolution to its weights: matrix products over the pixels of images, all added up.

gw[c, t, o] = sum over images n and pixels p of x[n, c] at tap t of p, times g[n, o, p].  The left side is
read where it lies, in an image with its border, through two tables: where each channel and tap begins, and
where each row of pixels is from there.  The right side is g, transposed into panels.  The images are cut
into chunks, a number that depends on shapes only, whose sums are merged in order: the same bits for any
number of threads.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.conv_plan import PARALLEL_WORK, Pair, Sides, corner_and_taps, plan, read, run
from tinytorch.kernels.conv_weight_few import jobs as few_jobs
from tinytorch.kernels.depthwise import grad_weight_jobs as depthwise_jobs
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, even, first_length, pack_columns, panel_bytes, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.pixels import clear, with_border
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, elements, load, size_of, store, store_word, word
from tinytorch.kernels.tiles import run_tiles, transpose

LENGTH = 512  # pixels in a block: half costs 5 % more for adding up, twice as much for leaving the near cache
FEW = 1 << 10  # weights of a group up to which each may have a vector of sums, as in `conv_weight_few`
CHUNKS = 4  # into which the images are cut at most
MOST_SUMS = 1 << 20  # elements of all chunks' sums
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _sum_products(x_id, g_id, unused, sums_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all chunks, groups and rows, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    (
        groups, inputs, outputs, height, width, high, wide, rows, columns, top, left, down, across, bordered,
        _, tap_count, taps,
    ) = read(plan_id)  # fmt: skip
    pixels, depth = high * wide, inputs * tap_count
    images, chunks = first_length(x_id), first_length(sums_id)
    # Small images make up a block together.
    together = max(1, min((images + chunks - 1) // chunks, LENGTH // pixels))
    length = even(high, max(1, LENGTH // wide)) * wide
    row_bytes, plane_bytes = columns * size, rows * columns * size
    image_bytes = inputs * plane_bytes
    apart = image_bytes if bordered else groups * image_bytes  # of images that follow each other

    tables_bytes = rounded((depth + together * high) * 8, VECTOR_BYTES)
    g_bytes = (outputs + panel - 1) // panel * panel_bytes(together * length) + lanes * PANEL
    mine = rounded(PANEL + tables_bytes + g_bytes + bordered * (together * apart + VECTOR_BYTES), 64)
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    zeros = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    right_side = zeros + PANEL
    row_table = right_side + g_bytes
    run_table = row_table + depth * 8
    bordered_images = row_table + tables_bytes
    clear(zeros, panel, ZERO, size)
    if bordered:
        clear(bordered_images, together * inputs * rows * columns, ZERO, size)
    for c in range(inputs):
        for tap in range(tap_count):
            place = c * plane_bytes + word(taps + 8 * tap) * size
            store_word(row_table + (c * tap_count + tap) * 8, place)
    for n in range(together):
        for h in range(high):
            store_word(run_table + (n * high + h) * 8, n * apart + h * down * row_bytes)

    tall = even(depth, ROWS)
    bands = (depth + tall - 1) // tall
    units = chunks * groups * bands
    unit, last = units * part // parts, units * (part + 1) // parts
    while unit < last:
        first = unit % bands
        stop = min(bands, first + last - unit)
        group, chunk = unit // bands % groups, unit // bands // groups
        unit += stop - first
        c0, c1 = first * tall // tap_count, (min(depth, stop * tall) + tap_count - 1) // tap_count
        sums = data_address(sums_id) + (chunk * groups + group) * depth * outputs * size
        begin, end = images * chunk // chunks, images * (chunk + 1) // chunks
        for n in range(begin, end, together):
            many = min(together, end - n)
            g = data_address(g_id) + (n * groups + group) * outputs * pixels * size
            image = data_address(x_id) + (n * groups + group) * inputs * height * width * size
            if bordered:
                for m in range(many):
                    with_border(
                        image + (m * groups * inputs + c0) * height * width * size, c1 - c0, height, width,
                        rows, columns, top, left, 1, bordered_images + m * apart + c0 * plane_bytes,
                        ZERO, size,
                    )  # fmt: skip
                image = bordered_images
            for p in range(0, pixels, length):
                deep = min(length, pixels - p)
                k = many * deep
                for o in range(0, outputs, panel):
                    few = min(panel, outputs - o)
                    b = right_side + o // panel * panel_bytes(k)
                    for m in range(many):
                        pack_columns(
                            g + ((m * groups * outputs + o) * pixels + p) * size, size, pixels * size, deep,
                            few, b + m * deep * rounded(few, lanes) * size, ZERO, size,
                        )  # fmt: skip
                for o in range(0, outputs, panel):
                    few = min(panel, outputs - o)
                    b, b_k = right_side + o // panel * panel_bytes(k), rounded(few, lanes) * size
                    for i in range(first * tall, min(depth, stop * tall), tall):
                        for j in range(0, few, few if few % lanes == 0 else lanes):
                            z = sums + (i * outputs + o + j) * size
                            start, start_row = z, outputs * size
                            if n == begin and p == 0:
                                start, start_row = zeros, 0
                            run_tiles(
                                min(tall, depth - i), few if few % lanes == 0 else min(lanes, few - j), 1,
                                image, row_table + i * 8, across * size, b + j * size, b_k, 0,
                                start, start_row, 0, z, outputs * size, wide, LOWEST, k // wide,
                                run_table + p // wide * 8,
                            )  # fmt: skip
    return 0


def _merge(sums_id, weight_id, groups, rows, outputs, chunks, part, parts):
    """Add up the sums (groups, rows, outputs) of all chunks, and turn them into (groups, outputs, rows)."""
    if part == ASK:
        return 0
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    chunk_bytes = groups * rows * outputs * size
    blocks = (rows + lanes - 1) // lanes
    for unit in range(groups * blocks * part // parts, groups * blocks * (part + 1) // parts):
        group, i = unit // blocks, unit % blocks * lanes
        many = min(lanes, rows - i)
        here = data_address(sums_id) + (group * rows + i) * outputs * size
        there = data_address(weight_id) + (group * outputs * rows + i) * size
        total = elements(here, many * outputs, ZERO)
        for chunk in range(1, chunks):
            more = elements(here + chunk * chunk_bytes, many * outputs, ZERO)
            for at in range(many * outputs):
                total[at] += more[at]
        for o in range(0, outputs, lanes):
            few = min(lanes, outputs - o)
            if many == lanes and few == lanes:
                transpose(
                    lanes, lanes, here + o * size, outputs * size, there + o * rows * size, rows * size, ZERO
                )
            else:
                for r in range(many):
                    for j in range(o, o + few):
                        store(there + (j * rows + r) * size, load(here + (r * outputs + j) * size, ZERO))
    return 0


_jobs, _merge_jobs = jobs_of(_sum_products, "conv_weight"), jobs_of(_merge, "conv_weight_merge")
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
    corner, taps = corner_and_taps(window, padding, dilation)
    geometry = tuple(image), tuple(out), corner, stride, taps, groups
    x, g = ready(x), ready(g)
    weight = empty((total, inputs, *window), x.dtype)
    if inputs == outputs == 1:
        shapes = plan(*geometry, 1, 1)
        run(depthwise_jobs[x.dtype], _scratch, g.size * rows, id(x), id(g), 0, id(weight), id(shapes))
        return weight
    chunks = max(1, min(n, CHUNKS, MOST_SUMS // (groups * rows * outputs)))
    if rows * outputs <= FEW and out[1] >= VECTOR_BYTES // x.itemsize:
        sums = empty((chunks, groups, outputs, rows), x.dtype)
        shapes = plan(*geometry, inputs, outputs)
        run(few_jobs[x.dtype], _scratch, g.size * rows, id(x), id(g), 0, id(sums), id(shapes))
        np.sum(sums, axis=0, out=weight.reshape(sums.shape[1:]))
        return weight
    sums = empty((chunks, groups, rows, outputs), x.dtype)
    shapes = plan(*geometry, inputs, outputs, sort=False)
    run(_jobs[x.dtype], _scratch, g.size * rows, id(x), id(g), 0, id(sums), id(shapes))
    arguments, job = (id(sums), id(weight), groups, rows, outputs, chunks), _merge_jobs[x.dtype]
    if sums.size < PARALLEL_WORK:
        job.alone(*arguments, 0, 1)
    else:
        job.together(*arguments)
    return weight
