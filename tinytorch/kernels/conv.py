"""Convolutions of images, and their gradients, as matrix products whose right side is never in memory.

`_correlate` does the work: out[n, o] = sum over channels c and taps t of weight[o, c, t] * x[n, c] moved by
t.  A forward convolution is one with the taps of its window.  The gradient to the input is one too, of the
result's gradient with the window turned around; with a stride, one for each remainder of the pixels by it,
with the taps that meet them.  The gradient to the weights is in `conv_weight`.

Every element of a result is the same chain of multiply-adds however images and pixels are divided among
threads, so the bits do not depend on their number.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, even, first_length, rounded
from tinytorch.kernels.parallel import ASK, Job, jobs_of
from tinytorch.kernels.pixels import pack_pixels, with_border
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, load, size_of, store, store_word, word
from tinytorch.kernels.tiles import tap_tiles, tiles

DEPTH = 288  # rows of the matrix in a block: 32 channels of a 3 x 3 window
BLOCK = 1 << 18  # bytes of the matrix in a block, a quarter of a second-level cache of 1 MiB
PARALLEL_WORK = 250_000  # multiply-adds from which two threads beat one
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]  # of padding: (above, below), (left, right)


@functools.lru_cache(maxsize=1024)
def plan(
    image: Pair, out: Pair, corner: Pair, stride: Pair, taps: tuple[tuple[int, ...], tuple[int, ...]],
    groups: int, inputs: int, outputs: int, relu: bool = False,
) -> np.ndarray:  # fmt: skip
    """What the kernels must know about shapes, and where the taps are: all integers, as `read` reads them.

    image, out: height and width before and after.  corner: how many rows and columns lie above and left of
    the image.  taps: the rows and the columns, from that corner, that pixel (0, 0) of the result meets.
    inputs, outputs: channels of a group.
    """
    rows, columns = taps
    height = (out[0] - 1) * stride[0] + max(rows) + 1
    width = (out[1] - 1) * stride[1] + max(columns) + 1
    inside = corner == (0, 0) and stride[1] == 1 and height <= image[0] and width <= image[1]
    height, width = image if inside else (height, -(-width // stride[1]) * stride[1])
    each = width // stride[1]
    places = [r * width + c % stride[1] * each + c // stride[1] for r in rows for c in columns]
    numbers = [groups, inputs, outputs, *image, *out, height, width, *corner, *stride, not inside, relu]
    return np.array([*numbers, len(places), *places], np.int64)


@kernel(inline=True)
def read(plan):
    """The numbers of a plan, by its id, and the address of its taps."""
    at = data_address(plan)
    return (
        word(at), word(at + 8), word(at + 16), word(at + 24), word(at + 32), word(at + 40), word(at + 48),
        word(at + 56), word(at + 64), word(at + 72), word(at + 80), word(at + 88), word(at + 96),
        word(at + 104), word(at + 112), word(at + 120), at + 128,
    )  # fmt: skip


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
    # Rows of pixels that are panels, or halves or quarters of them, are read where they lie.
    direct = wide % panel == 0 or ((wide == lanes or 2 * wide == lanes) and pixels % panel == 0)
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

    images = first_length(x_id) * groups
    row_bytes, plane_bytes, weight_row = columns * size, rows * columns * size, inputs * tap_count * size
    if direct:
        block = panels
        for channel in range(channels):
            for tap in range(tap_count):
                place = channel * plane_bytes + word(taps + 8 * tap) * size
                store_word(matrix + (channel * tap_count + tap) * 8, place)
    pitch, in_row = row_bytes * down, max(1, wide // panel)  # of rows of the result; panels in one
    half, second, following = 0, VECTOR_BYTES, pitch if in_row == 1 else PANEL
    if wide == lanes:
        second, following = pitch, 2 * pitch
    elif wide < lanes:
        half, second, following = pitch, 2 * pitch, 4 * pitch
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
                            many_panels = q + whole - at
                            if in_row > 1:
                                many_panels = min(many_panels, in_row - at % in_row)
                            pixel = at * panel
                            b = image + c0 * plane_bytes + pixel // wide * pitch + pixel % wide * size
                            ahead = (at - q) * panel
                            tap_tiles(
                                high, many_panels, a, weight_row, size, b, half, second, following, matrix,
                                start + ahead * start_col, start_row, panel * start_col, z + ahead * size,
                                pixels * size, depth, low,
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


def run(job: Job, scratch: Scratch, work: int, *ids: int) -> None:
    """Launch a job of four arrays, scratch and a plan, by their ids, on as many threads as it is worth."""
    *arrays, plan_id = ids
    while True:
        arguments = (*arrays, id(scratch.buffer), plan_id)
        missing = job.alone(*arguments, 0, 1) if work < PARALLEL_WORK else job.together(*arguments)
        if not missing:
            return
        scratch.grow(missing)


def _run(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray, plan: np.ndarray
) -> None:
    work = out.size * weight.size // max(1, len(weight))
    start = 0 if bias is None else id(bias)
    run(_jobs[x.dtype], _scratch, work, id(x), id(weight), start, id(out), id(plan))


def out_size(size: Pair, window: Pair, stride: Pair, padding: Sides, dilation: Pair) -> Pair:
    """Height and width of the result of a convolution or a pooling."""
    height, width = (
        (size[a] + sum(padding[a]) - dilation[a] * (window[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)
    )
    return height, width


def corner_and_taps(window: Sequence[int], padding: Sides, dilation: Pair) -> tuple[Pair, tuple]:
    """Of a forward convolution, for its `plan`."""
    rows, columns = (tuple(range(0, k * d, d)) for k, d in zip(window, dilation, strict=True))
    return (padding[0][0], padding[1][0]), (rows, columns)


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
        _run(ready(x), ready(weight), None if bias is None else ready(bias), out, shapes)
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
    g, turned = ready(g), weight.reshape(groups, outputs, inputs, *window).swapaxes(1, 2)
    for a in range(min(stride[0], size[0])):
        for b in range(min(stride[1], size[1])):
            height, rows, row_places, above = _met(
                size[0], window[0], stride[0], padding[0][0], dilation[0], a
            )
            width, columns, column_places, left = _met(
                size[1], window[1], stride[1], padding[1][0], dilation[1], b
            )
            if not rows or not columns:
                out[:, :, a :: stride[0], b :: stride[1]] = 0
                continue
            taken = turned[:, :, :, rows][..., columns] if stride != (1, 1) else turned
            part = out if stride == (1, 1) else empty((n, groups * inputs, height, width), dtype)
            shapes = plan(
                tuple(image), (height, width), (above, left), (1, 1), (row_places, column_places),
                groups, outputs, inputs,
            )  # fmt: skip
            flat = np.ascontiguousarray(taken).reshape(groups * inputs, -1)
            _run(g, flat, None, part, shapes)
            if part is not out:
                out[:, :, a :: stride[0], b :: stride[1]] = part
    return out
