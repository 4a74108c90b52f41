"""Depthwise convolutions, in which every channel has one window of its own, and their gradients.

There is no matrix product in them: each plane of the input is copied into a border of zeros and met with its
few taps while it is in the first-level cache.  The gradient to the input is the same with the window turned
around; with a stride, of a gradient spread out with zeros in between.  The gradient to a window is summed up
over the images in order, by whoever owns the channel.  So the bits do not depend on the number of threads.

The plans are those of `conv`, with how far the pixels of the input are to be spread in the place of channels.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.conv_plan import read
from tinytorch.kernels.packing import data_address, even, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.pixels import clear, spread_out, with_border
from tinytorch.kernels.plane_tiles import LINE_TAPS, REACH, TAP_ROWS, plane_dots, plane_taps
from tinytorch.kernels.simd import VECTOR_BYTES, elements, load, size_of, store, store_word, word

ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _correlate(x_id, weight_id, bias_id, c_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all planes, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    (
        groups, spread_down, spread_across, height, width, high, wide, rows, columns, top, left, down, across,
        _, relu, tap_count, taps,
    ) = read(plan_id)  # fmt: skip
    table_bytes = rounded(tap_count * 8, VECTOR_BYTES)
    mine = table_bytes + rounded((rows * columns + lanes) * size, VECTOR_BYTES) + VECTOR_BYTES
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    table = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    plane = table + table_bytes
    for tap in range(tap_count):
        store_word(table + tap * 8, word(taps + tap * 8) * size)
    clear(plane, rows * columns + lanes, ZERO, size)

    tall = even(high, TAP_ROWS)
    blocks, pitch = high // tall, columns * size * down
    low = ZERO if relu else LOWEST
    reach, third = 1, tap_count // REACH  # three rows of taps, one below the other, share what they load
    if tap_count % REACH == 0:
        below = word(table + third * 8) - word(table)
        if below == pitch and word(table + 2 * third * 8) - word(table) == 2 * pitch:
            reach = REACH
    planes = first_length(x_id) * groups
    for at in range(planes * part // parts, planes * (part + 1) // parts):
        channel = at % groups
        x = data_address(x_id) + at * height * width * size
        if spread_down > 1 or spread_across > 1:
            spread_out(
                x, height, width, rows, columns, top, left, spread_down, spread_across, plane, ZERO, size
            )
        else:
            with_border(x, 1, height, width, rows, columns, top, left, across, plane, ZERO, size)
        weight = data_address(weight_id) + channel * tap_count * size
        start = ZERO
        if bias_id != 0:
            start = load(data_address(bias_id) + channel * size, ZERO)
        c = data_address(c_id) + at * high * wide * size
        for j in range(0, wide, lanes):
            few = min(lanes, wide - j)
            here, there = plane + j * size, c + j * size
            for row in range(0, high, blocks * tall):  # all blocks, and the rows that are left
                plane_taps(
                    min(tall, high - row), reach, few, blocks if row == 0 else 1, here + row * pitch, pitch,
                    weight, tap_count // reach * size, table, tap_count // reach, there + row * wide * size,
                    wide * size, start, low,
                )  # fmt: skip
    return 0


def _grad_weight(x_id, g_id, unused, weight_id, scratch_id, plan_id, part, parts):
    """Do share `part` of `parts` of all channels, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    (
        groups, _, _, height, width, high, wide, rows, columns, top, left, down, across, _, _, tap_count,
        taps,
    ) = read(plan_id)  # fmt: skip
    table_bytes, sums_row = rounded(tap_count * 8, VECTOR_BYTES), tap_count * VECTOR_BYTES
    sums_bytes = (groups + parts - 1) // parts * sums_row
    mine = table_bytes + sums_bytes + rounded((rows * columns + lanes) * size, VECTOR_BYTES) + VECTOR_BYTES
    missing = 64 + parts * mine - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    table = (data_address(scratch_id) + 63) // 64 * 64 + part * mine
    sums = table + table_bytes
    plane = sums + sums_bytes
    for tap in range(tap_count):
        store_word(table + tap * 8, word(taps + tap * 8) * size)
    clear(plane, rows * columns + lanes, ZERO, size)

    pitch, few = columns * size * down, even(tap_count, LINE_TAPS)
    first, last = groups * part // parts, groups * (part + 1) // parts
    clear(sums, (last - first) * tap_count * lanes, ZERO, size)
    for n in range(first_length(x_id)):  # outside, so that memory is read in its order
        for channel in range(first, last):
            at = n * groups + channel
            x = data_address(x_id) + at * height * width * size
            with_border(x, 1, height, width, rows, columns, top, left, across, plane, ZERO, size)
            g = data_address(g_id) + at * high * wide * size
            mine = sums + (channel - first) * sums_row
            for tap in range(0, tap_count, few):
                plane_dots(
                    1, min(few, tap_count - tap), g, 0, plane, table + tap * 8, mine + tap * VECTOR_BYTES,
                    high, wide * size, pitch, wide, ZERO,
                )  # fmt: skip
    for i in range((last - first) * tap_count):
        total = ZERO
        for value in elements(sums + i * VECTOR_BYTES, lanes, ZERO):
            total += value
        store(data_address(weight_id) + (first * tap_count + i) * size, total)
    return 0


correlate_jobs = jobs_of(_correlate, "depthwise")
grad_weight_jobs = jobs_of(_grad_weight, "depthwise_weight")
