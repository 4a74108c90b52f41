"""Convolutions of images, and their gradients, as matrix products whose right side is never in memory.

`_correlate` does the work: out[n, o] = sum over channels c and taps t of weight[o, c, t] * x[n, c] moved by
t.  A forward convolution is one with the taps of its window.  The gradient to the input is one too, of the
result's gradient with the window turned around; with a stride, one for each remainder of the pixels by it,
with the taps that meet them, woven together by `conv_strided`.  The gradient to the weights is in
`conv_weight`, channels with windows of their own are in `depthwise`.

Every element of a result is the same chain of multiply-adds however images and pixels are divided among
threads, so the bits do not depend on their number.
"""

from __future__ import annotations

import functools

import numpy as np

from tinytorch.kernels.conv_plan import Pair, Sides, corner_and_taps, out_size, plan, read, run
from tinytorch.kernels.conv_strided import swapped, weave
from tinytorch.kernels.depthwise import correlate_jobs as depthwise_jobs
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, even, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.pixels import clear, pack_pixels, with_border
from tinytorch.kernels.plane_tiles import tap_tiles
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, load, size_of, store, store_word, word
from tinytorch.kernels.tiles import tiles

DEPTH = 288  # rows of the matrix in a block: 32 channels of a 3 x 3 window
BLOCK = 1 << 18  # bytes of the matrix in a block, a quarter of a second-level cache of 1 MiB
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _correlate(x_id, weight_id, bias_id, c_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all images and pixels, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    (
        groups, inputs, outputs, height, width, _, wide, rows, columns, top, left, down, across, bordered,
        relu, tap_count, taps,
    ) = read(plan_id)  # fmt: skip
    pixels = word(data_address(plan_id) + 40) * wide
    panels = (pixels + panel - 1) // panel
    # Where no row of pixels ends in the midst of half a vector, they are read where they lie.
    direct = wide % (lanes // 2) == 0 and pixels % panel == 0
    channels = even(inputs, max(1, DEPTH // tap_count))
    step_most = (channels * tap_count + 1) * PANEL
    block = min(panels, max(1, BLOCK // step_most))

    # This share's part of the scratch: the start of each row of tiles, the matrix, or a table of where its
    # rows are, and the image with its border.
    starts_bytes = outputs * PANEL
    matrix_bytes = rounded(channels * tap_count * 8, VECTOR_BYTES)
    if not direct:
        matrix_bytes = block * step_most + VECTOR_BYTES
    image_bytes = 0
    if bordered:
        image_bytes = rounded(inputs * rows * columns * size, VECTOR_BYTES) + VECTOR_BYTES
    mine = starts_bytes + matrix_bytes + image_bytes
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    starts = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    matrix = starts + starts_bytes
    bordered_image = matrix + matrix_bytes

    if bordered:
        clear(bordered_image, inputs * rows * columns, ZERO, size)

    images = first_length(x_id) * groups
    row_bytes, plane_bytes, weight_row = columns * size, rows * columns * size, inputs * tap_count * size
    if direct:
        block = panels
        for channel in range(channels):
            for tap in range(tap_count):
                place = channel * plane_bytes + word(taps + 8 * tap) * size
                store_word(matrix + (channel * tap_count + tap) * 8, place)
    pitch = row_bytes * down  # of rows of the result
    tall = even(outputs, ROWS)
    unit, last, filled = images * panels * part // parts, images * panels * (part + 1) // parts, -1
    while unit < last:
        image_at = unit // panels
        group = image_at % groups
        q0 = unit - image_at * panels
        q1 = min(panels, q0 + last - unit)
        unit += q1 - q0
        image = data_address(x_id) + image_at * inputs * height * width * size
        c = data_address(c_id) + image_at * outputs * pixels * size
        weight = data_address(weight_id) + group * outputs * weight_row
        if bordered:
            with_border(
                image, inputs, height, width, rows, columns, top, left, across, bordered_image, ZERO, size
            )
            image = bordered_image
        if filled != group:
            for o in range(outputs):
                value = ZERO
                if bias_id != 0:
                    value = load(data_address(bias_id) + (group * outputs + o) * size, ZERO)
                for i in range(panel):
                    store(starts + o * PANEL + i * size, value)
            filled = group
        for c0 in range(0, inputs, channels):
            many = min(channels, inputs - c0)
            depth = many * tap_count
            step = (depth + 1) * PANEL
            low = ZERO if relu and c0 + channels >= inputs else LOWEST
            for q in range(q0, q1, block):
                end = min(pixels, min(q1, q + block) * panel) - q * panel
                whole = end // panel
                for j in range(0, 0 if direct else end, panel):
                    pack_pixels(
                        image + c0 * plane_bytes, many, plane_bytes, taps, tap_count, row_bytes * down, wide,
                        q * panel + j, q * panel + min(end, j + panel), matrix + j // panel * step, PANEL,
                        ZERO, size,
                    )  # fmt: skip
                for i in range(0, outputs, tall):
                    high = min(tall, outputs - i)
                    a = weight + i * weight_row + c0 * tap_count * size
                    z = c + (i * pixels + q * panel) * size
                    start, start_row, start_col = z, pixels * size, size
                    if c0 == 0:
                        start, start_row, start_col = starts + i * PANEL, PANEL, 0
                    if direct:
                        at = q
                        while at < q + whole:
                            pixel, many_panels, following = at * panel, 1, PANEL
                            if panel % wide == 0:
                                many_panels, following = q + whole - at, panel // wide * pitch
                            elif wide % panel == 0:
                                many_panels = min(q + whole - at, (wide - pixel % wide) // panel)
                            b = pixel // wide * pitch + pixel % wide * size
                            pixel += lanes // 2
                            half = pixel // wide * pitch + pixel % wide * size - b
                            pixel += lanes // 2
                            second = pixel // wide * pitch + pixel % wide * size - b
                            pixel += lanes // 2
                            half_second = pixel // wide * pitch + pixel % wide * size - b - second
                            if half == half_second == VECTOR_BYTES // 2:
                                half = 0
                            b += image + c0 * plane_bytes
                            ahead = (at - q) * panel
                            tap_tiles(
                                high, many_panels, a, weight_row, size, b, half, second, half_second,
                                following, matrix, start + ahead * start_col, start_row, panel * start_col,
                                z + ahead * size, pixels * size, depth, low,
                            )  # fmt: skip
                            at += many_panels
                    elif whole:
                        tiles(
                            high, panel, whole, a, weight_row, size, matrix, PANEL, step,
                            start, start_row, panel * start_col, z, pixels * size, depth, low,
                        )  # fmt: skip
                    j = whole * panel
                    while j < end:  # a whole vector, and the part of one that is left
                        few = min(lanes, end - j)
                        b = matrix + whole * step + (j - whole * panel) * size
                        tiles(
                            high, few, 1, a, weight_row, size, b, PANEL, 0,
                            start + j * start_col, start_row, 0, z + j * size, pixels * size, depth, low,
                        )  # fmt: skip
                        j += few
    return 0


_jobs = jobs_of(_correlate, "correlate")
_scratch = Scratch()


def _run(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray, plan: np.ndarray,
    jobs: dict = _jobs,
) -> None:  # fmt: skip
    work = out.size * weight.size // max(1, len(weight))
    start = 0 if bias is None else id(bias)
    run(jobs[x.dtype], _scratch, work, id(x), id(weight), start, id(out), id(plan))


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
    activation: str | None = None,
) -> np.ndarray:
    """x (n, in, h, w) and weight (out, in / groups, kh, kw) -> (n, out, h', w'), of one float type.

    Memory beside the result: an image with its border, and a block of BLOCK bytes, for each thread.
    Cost 2 n out h' w' in / groups kh kw FLOP.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))
    array([[[[4., 4.],
             [4., 4.]]]])
    """
    n, _, *image = x.shape
    outputs, inputs, *window = weight.shape
    height, width = out_size(tuple(image), tuple(window), stride, padding, dilation)
    out = empty((n, outputs, height, width), x.dtype)
    if out.size:
        corner, taps = corner_and_taps(window, padding, dilation)
        shapes = plan(
            tuple(image), (height, width), corner, stride, taps, groups, inputs, outputs // groups,
            activation == "relu",
        )  # fmt: skip
        jobs = depthwise_jobs if inputs == 1 and outputs == groups else _jobs
        _run(ready(x), ready(weight), None if bias is None else ready(bias), out, shapes, jobs)
    return out


@functools.lru_cache(maxsize=1024)
def _met(length: int, window: int, stride: int, before: int, dilation: int, remainder: int) -> tuple:
    """Of an axis: how many pixels leave `remainder`, the taps that meet them, where, and how far before 0."""
    taps = [i for i in range(window) if (remainder + before - i * dilation) % stride == 0]
    where = [(remainder + before - i * dilation) // stride for i in taps]
    least = min(where, default=0)
    return -(-(length - remainder) // stride), taps, tuple(w - least for w in where), -least


def conv2d_grad_input(
    g: np.ndarray,
    weight: np.ndarray,
    size: Pair,
    stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """The gradient of `conv2d` to an x of height and width `size`, from g of the result's shape."""
    n, channels, *image = g.shape
    _, inputs, *window = weight.shape
    outputs = channels // groups
    dtype = g.dtype
    out = empty((n, groups * inputs, *size), dtype)
    if not g.size or not out.size:
        out.fill(0)
        return out
    g = ready(g)
    if inputs == outputs == 1:
        _, taps = corner_and_taps(window, padding, dilation)
        around = tuple(max(t) - sides[0] for t, sides in zip(taps, padding, strict=True))
        shapes = plan(tuple(image), size, around, (1, 1), taps, groups, *stride)
        _run(g, ready(weight[..., ::-1, ::-1]), None, out, shapes, depthwise_jobs)
        return out
    weight = ready(weight)
    down, across = (min(*pair) for pair in zip(stride, size, strict=True))
    alone = down == across == 1
    most = n * groups * inputs * -(-size[0] // down) * -(-size[1] // across)
    parts = out if alone else empty((down * across, most), dtype)
    for a in range(down):
        for b in range(across):
            height, rows, row_places, above = _met(
                size[0], window[0], stride[0], padding[0][0], dilation[0], a
            )
            width, columns, column_places, left = _met(
                size[1], window[1], stride[1], padding[1][0], dilation[1], b
            )
            part = out
            if not alone:
                part = parts[a * across + b, : n * groups * inputs * height * width]
                part = part.reshape(n, groups * inputs, height, width)
            if not rows or not columns:
                part.fill(0)
                continue
            shapes = plan(
                tuple(image), (height, width), (above, left), (1, 1), (row_places, column_places),
                groups, outputs, inputs,
            )  # fmt: skip
            taps = [row * window[1] + column for row in rows for column in columns]
            _run(g, swapped(weight, groups, taps), None, part, shapes)
    if not alone:
        weave(parts, out, (down, across))
    return out
