"""What the kernels of attention share: products into panels, what hides a score, and what drops a weight.

A unit of work is a panel of queries, which are its lanes, against blocks of KEYS keys.  Scores of a block
lie in a row of PANEL bytes for each key, so the left factors of all products are read where they lie: keys
and values element by element.  Only queries are turned (`turn_in`) and results turned back (`turn_out`).
"""

from __future__ import annotations

import functools

import numpy as np

from tinytorch.kernels._jit import JIT, kernel
from tinytorch.kernels.attention_tiles import hide_triangle
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.packing import even
from tinytorch.kernels.parallel import Job
from tinytorch.kernels.random import HALF, signed, threefry
from tinytorch.kernels.simd import (
    PANEL,
    ROWS,
    VECTOR_BYTES,
    copy_whole,
    elements,
    load,
    size_of,
    word,
)
from tinytorch.kernels.tiles import tiles, transpose

KEYS = 64  # in a block: its scores take 8 KiB, keys and values of 32 numbers as much each
PARALLEL_WORK = 150_000  # multiply-adds from which two threads beat one
CAUSAL, ADDED, BOOLEAN = 1, 2, 4  # flags: what hides a key
_HEAD = object.__basicsize__  # of NumPy's array struct, see `packing`
_ITEMS = tuple.__basicsize__  # where the pointers to the items of a tuple begin
_BYTE, _u32 = np.uint8(0), np.uint32

Dropout = tuple[float, int, int] | None  # probability, seed, offset of the random numbers


@kernel(inline=True)
def item(items, i):
    """Id of item `i` of the tuple with this id."""
    return word(items + _ITEMS + 8 * i)


@kernel(inline=True)
def shape_of(array):
    """Lengths of the four axes of the array with this id."""
    at = word(array + _HEAD + 16)
    return word(at), word(at + 8), word(at + 16), word(at + 24)


@kernel(inline=True)
def strides_of(array):
    """Strides of its first three axes, in bytes; the last is contiguous."""
    at = word(array + _HEAD + 24)
    return word(at), word(at + 8), word(at + 16)


@kernel(inline=True)
def last_stride(array):
    """Stride of the last of four axes."""
    return word(word(array + _HEAD + 24) + 24)


@kernel(inline=True)
def fill(address, count, value):
    """Put `value` into `count` numbers."""
    line = elements(address, count, value)
    for i in range(count):
        line[i] = value


@kernel(inline=True)
def multiply(address, count, factor):
    """Multiply `count` numbers by `factor`."""
    line = elements(address, count, factor)
    for i in range(count):
        line[i] *= factor


@kernel(inline=True)
def multiply_lines(address, lines, width, factors, like):
    """Multiply `lines` rows of a panel by the row `factors`."""
    for j in range(lines):
        line, by = elements(address + j * PANEL, width, like), elements(factors, width, like)
        for i in range(width):
            line[i] *= by[i]


@kernel
def product(m, n, k, a, a_row, a_k, b, b_k, start, start_row, c, c_row, low):
    """c = start + a @ b by register tiles, with c (m, n); rows of b are whole panels, or as wide as n."""
    size = size_of(low)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    tall, whole = even(m, ROWS), n // panel
    for i in range(0, m, tall):
        rows = min(tall, m - i)
        from_a, from_start, to_c = a + i * a_row, start + i * start_row, c + i * c_row
        if whole:
            tiles(
                rows, panel, whole, from_a, a_row, a_k, b, b_k, PANEL,
                from_start, start_row, PANEL, to_c, c_row, k, low,
            )  # fmt: skip
        j = whole * panel
        while j < n:
            width = min(lanes, n - j)
            tiles(
                rows, width, 1, from_a, a_row, a_k, b + j * size, b_k, 0,
                from_start + j * size, start_row, 0, to_c + j * size, c_row, k, low,
            )  # fmt: skip
            j += width


@kernel
def turn_in(rows, columns, source, source_row, target, like):
    """Rows of queries (rows, columns) as lanes: target[j, i] = source[i, j], i up to whole vectors."""
    size = size_of(like)
    lanes = VECTOR_BYTES // size
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            transpose(
                min(lanes, rows - i), min(lanes, columns - j), source + i * source_row + j * size, source_row,
                target + j * PANEL + i * size, PANEL, like,
            )  # fmt: skip


@kernel
def turn_out(rows, columns, source, target, target_row, block, like):
    """Lanes as rows: target[i, j] = source[j, i], with `block` for lanes x lanes numbers in between."""
    size = size_of(like)
    lanes = VECTOR_BYTES // size
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            many = min(lanes, columns - j)
            there = target + i * target_row + j * size
            transpose(many, lanes, source + j * PANEL + i * size, PANEL, block, VECTOR_BYTES, like)
            for row in range(min(lanes, rows - i)):
                if many == lanes:
                    copy_whole(block + row * VECTOR_BYTES, there + row * target_row, like)
                else:
                    line = elements(there + row * target_row, many, like)
                    line[:] = elements(block + row * VECTOR_BYTES, many, like)


@kernel
def hide(flags, s, keys, queries, first_key, first_query, mask, mask_row, mask_col, low):
    """Add the mask to a block of scores, and put -inf (`low`) where a key takes no part.

    `mask` is the address of the block's first element.
    """
    if flags & CAUSAL and first_key + keys > first_query + 1:
        before = max(0, first_query + 1 - first_key)  # keys that all queries may meet
        hide_triangle(keys - before, s + before * PANEL, first_key + before - first_query, low)
    if flags & ADDED:
        for key in range(keys):
            line, here = elements(s + key * PANEL, queries, low), mask + key * mask_col
            if mask_row == 0:
                more = load(here, low)
                for query in range(queries):
                    line[query] += more
            else:
                for query in range(queries):
                    line[query] += load(here + query * mask_row, low)
    if flags & BOOLEAN:
        for key in range(keys):
            line, here = elements(s + key * PANEL, queries, low), mask + key * mask_col
            if mask_row == 0:
                if elements(here, 1, _BYTE)[0] == 0:
                    fill(s + key * PANEL, queries, low)
            else:
                for query in range(queries):
                    if elements(here + query * mask_row, 1, _BYTE)[0] == 0:
                        line[query] = low


@kernel
def drop(x, keys, queries, row, first_key, all_keys, first, seed, limit, keep):
    """Multiply a block by `keep` where its random word is at least `limit`, and by 0 elsewhere.

    row: number of the first query of all. Two keys side by side share a counter.
    """
    key_low, key_high = _u32(seed & 0xFFFFFFFF), _u32((seed >> 32) & 0xFFFFFFFF)
    none = keep - keep
    for key in range(0, keys, 2):
        even_keys = elements(x + key * PANEL, queries, keep)
        odd_keys = elements(x + (key + 1) * PANEL, queries, keep)
        counter = first * HALF + row * ((all_keys + 1) // 2) + (first_key + key) // 2
        for query in range(queries):
            at = counter + query * ((all_keys + 1) // 2)
            one, other = threefry(_u32(at & 0xFFFFFFFF), _u32((at >> 32) & 0xFFFFFFFF), key_low, key_high)
            even_keys[query] *= keep if np.int64(one) >= limit else none
            odd_keys[query] *= keep if np.int64(other) >= limit else none


@functools.lru_cache(maxsize=256)
def numbers(scale: float, dropout: Dropout, dtype: np.dtype) -> tuple[np.ndarray, int, int, int]:
    """For a kernel: [scale, what a weight that stays is multiplied by, 1]; limit, seed and offset."""
    p, seed, offset = (0.0, 0, 0) if dropout is None else dropout
    keep = 1 / (1 - p) if p < 1 else 0.0
    return np.array([scale, keep, 1.0], dtype), round(p * 2**32), signed(seed), offset


@kernel(inline=True)
def number(array, i, like):
    """Item `i` of the flat array with this id."""
    return load(word(array + _HEAD) + i * size_of(like), like)


def run(job: Job, scratch: Scratch, work: int, arrays: tuple, *integers: int) -> None:
    """Launch a job on a tuple of arrays, with scratch at its end, on as many threads as it is worth."""
    while True:
        together = (*arrays, scratch.buffer)
        if work < PARALLEL_WORK:
            missing = job.alone(id(together), *integers, 0, 1)
        else:
            missing = job.together(id(together), *integers)
        if not missing:
            return
        scratch.grow(missing)


if not JIT:
    run = np.errstate(all="ignore")(run)  # lanes that nobody reads may overflow
