"""What convolutions agree on: how shapes and taps reach a kernel, and how it is launched."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.packing import data_address
from tinytorch.kernels.parallel import Job
from tinytorch.kernels.simd import word

PARALLEL_WORK = 250_000  # multiply-adds from which two threads beat one

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]  # of padding: (above, below), (left, right)


@functools.lru_cache(maxsize=1024)
def plan(
    image: Pair, out: Pair, corner: Pair, stride: Pair, taps: tuple[tuple[int, ...], tuple[int, ...]],
    groups: int, inputs: int, outputs: int, relu: bool = False, sort: bool = True,
) -> np.ndarray:  # fmt: skip
    """What the kernels must know about shapes, and where the taps are: all integers, as `read` reads them.

    image, out: height and width before and after.  corner: how many rows and columns lie above and left of
    the image.  taps: the rows and the columns, from that corner, that pixel (0, 0) of the result meets.
    inputs, outputs: channels of a group.  sort: columns by their remainder by the stride.
    """
    rows, columns = taps
    height = (out[0] - 1) * stride[0] + max(rows) + 1
    width = (out[1] - 1) * stride[1] + max(columns) + 1
    kinds = stride[1] if sort else 1
    inside = corner == (0, 0) and kinds == 1 and height <= image[0] and width <= image[1]
    height, width = image if inside else (height, -(-width // kinds) * kinds)
    each = width // kinds
    places = [r * width + c % kinds * each + c // kinds for r in rows for c in columns]
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


def run(job: Job, scratch: Scratch, work: int, *ids: int) -> None:
    """Launch a job of four arrays, scratch and a plan, by their ids, on as many threads as it is worth."""
    *arrays, plan_id = ids
    while True:
        arguments = (*arrays, id(scratch.buffer), plan_id)
        missing = job.alone(*arguments, 0, 1) if work < PARALLEL_WORK else job.together(*arguments)
        if not missing:
            return
        scratch.grow(missing)


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
