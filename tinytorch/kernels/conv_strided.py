"""What the gradient to the input needs besides convolutions: weights and pixels put in order.

With a stride, pixels of the input that leave different remainders by it meet different taps of the window.
Their gradients are convolutions of their own, of the same g, and are woven together in the end.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.conv_plan import Pair
from tinytorch.kernels.packing import data_address, first_length
from tinytorch.kernels.parallel import ASK, Job, jobs_of
from tinytorch.kernels.plane_tiles import join_vectors
from tinytorch.kernels.simd import VECTOR_BYTES, load, size_of, store, word

PARALLEL_COPY = 1 << 14  # elements from which two threads copy faster than one
ZERO = np.float32(0)  # bound anew for each type


def _swap(weight_id, out_id, taps_id, groups, inputs, outputs, part, parts):
    """out[group, i, o, t] = weight[group, o, i, taps[t]]."""
    if part == ASK:
        return 0
    size = size_of(ZERO)
    taps, count = data_address(taps_id), first_length(taps_id) - 1
    whole = word(taps)
    for row in range(groups * inputs * part // parts, groups * inputs * (part + 1) // parts):
        group, i = row // inputs, row % inputs
        there = data_address(out_id) + row * outputs * count * size
        here = data_address(weight_id) + (group * outputs * inputs + i) * whole * size
        for o in range(outputs):
            for t in range(count):
                value = load(here + (o * inputs * whole + word(taps + 8 + 8 * t)) * size, ZERO)
                store(there + (o * count + t) * size, value)
    return 0


def _weave(parts_id, out_id, down, across, height, width, part, parts):
    """out[plane, i down + a, j across + b] = parts[a, b][plane, i, j]; out has three axes."""
    if part == ASK:
        return 0
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    planes = first_length(out_id)
    most = (height + down - 1) // down * ((width + across - 1) // across)
    for plane in range(planes * part // parts, planes * (part + 1) // parts):
        for row in range(height):
            there = data_address(out_id) + (plane * height + row) * width * size
            a, i = row % down, row // down
            high = (height - a + down - 1) // down
            first = data_address(parts_id) + a * across * planes * most * size
            if across == 2:
                wide, less = (width + 1) // 2, width // 2
                even = first + (plane * high + i) * wide * size
                odd = first + (planes * most + (plane * high + i) * less) * size
                for j in range(0, wide, lanes):
                    join_vectors(width - 2 * j, even + j * size, odd + j * size, there + 2 * j * size, ZERO)
            else:
                for b in range(across):
                    wide = (width - b + across - 1) // across
                    here = first + (b * planes * most + (plane * high + i) * wide) * size
                    for j in range(wide):
                        store(there + (j * across + b) * size, load(here + j * size, ZERO))
    return 0


_swap_jobs, _weave_jobs = jobs_of(_swap, "conv_swap"), jobs_of(_weave, "conv_weave")


def swapped(weight: np.ndarray, groups: int, taps: list[int]) -> np.ndarray:
    """Some `taps` of weight (groups * outputs, inputs, kh, kw): (groups * inputs, outputs * taps)."""
    total, inputs, *window = weight.shape
    outputs = total // groups
    out = np.empty((groups * inputs, outputs * len(taps)), weight.dtype)
    table = np.array([window[0] * window[1], *taps], np.int64)
    _launch(_swap_jobs, out.size, weight.dtype, id(weight), id(out), id(table), groups, inputs, outputs)
    return out


def weave(parts: np.ndarray, out: np.ndarray, stride: Pair) -> None:
    """Fill out (n, channels, h, w) with its parts, those of one remainder behind those of the other."""
    planes = out.reshape(-1, *out.shape[2:])
    _launch(_weave_jobs, out.size, out.dtype, id(parts), id(planes), *stride, *out.shape[2:])


def _launch(jobs: dict[np.dtype, Job], work: int, dtype: np.dtype, *arguments: int) -> None:
    if work < PARALLEL_COPY:
        jobs[dtype].alone(*arguments, 0, 1)
    else:
        jobs[dtype].together(*arguments)
