"""Attention of few queries to many keys, as when a model writes one token after the other.

There is too little arithmetic for lanes of queries: what counts is that keys and values are read once, where
they lie.  Scores are dot products along the width, and the weights of a block multiply rows of values.  The
queries that share a head of keys take turns on a block while it is in the nearest cache.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels import vecmath
from tinytorch.kernels.attention_parts import (
    ADDED,
    BOOLEAN,
    fill,
    item,
    last_stride,
    multiply,
    number,
    product,
    shape_of,
    strides_of,
)
from tinytorch.kernels.packing import data_address, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, elements, load, size_of, store
from tinytorch.kernels.tiles import DOT_COLUMNS_ALONE, MASKED, dots

KEYS = 256  # in a block
ROWS = 8  # queries that may share a head of keys
_BYTE = np.uint8(0)
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _share(arrays, flags, unused, unused_too, unused_as_well, unused_again, part, parts):
    """Do the heads of keys that are share `part` of `parts`, or say how much scratch is missing."""
    size = size_of(ZERO)
    q, k, v, mask, out, lse = (
        item(arrays, 0), item(arrays, 1), item(arrays, 2), item(arrays, 3), item(arrays, 4), item(arrays, 5)
    )  # fmt: skip
    scale, one = number(item(arrays, 6), 0, ZERO), number(item(arrays, 6), 2, ZERO)
    batch, heads, queries, width = shape_of(q)
    _, key_heads, keys, out_width = shape_of(v)
    q_batch, q_head, q_row = strides_of(q)
    k_batch, k_head, k_row = strides_of(k)
    v_batch, v_head, v_row = strides_of(v)
    out_batch, out_head, out_row = strides_of(out)
    mask_batch = mask_head = mask_row = mask_col = masks = 0
    if flags & (ADDED | BOOLEAN):
        mask_batch, mask_head, mask_row = strides_of(mask)
        mask_col, masks = last_stride(mask), data_address(mask)
    group = heads // key_heads
    rows = group * queries

    # Scratch: a row of zeros, the scores of a block; for each query top, sum, and the result.
    wide_out = rounded(out_width * size, VECTOR_BYTES)
    mine = PANEL + KEYS * size + VECTOR_BYTES + ROWS * (2 * VECTOR_BYTES + wide_out)
    missing = 64 + parts * mine - first_length(item(arrays, 7))
    if missing > 0 or part == ASK:
        return max(missing, 0)
    zeros = (data_address(item(arrays, 7)) + 63) // 64 * 64 + part * mine
    s = zeros + PANEL
    state = s + KEYS * size + VECTOR_BYTES
    results = state + ROWS * 2 * VECTOR_BYTES
    fill(zeros, PANEL // size, ZERO)

    units = batch * key_heads
    for unit in range(units * part // parts, units * (part + 1) // parts):
        b, key_head = unit // key_heads, unit % key_heads
        k_at = data_address(k) + b * k_batch + key_head * k_head
        v_at = data_address(v) + b * v_batch + key_head * v_head
        for row in range(rows):
            store(state + row * 2 * VECTOR_BYTES, LOWEST)
            store(state + row * 2 * VECTOR_BYTES + VECTOR_BYTES, ZERO)
            fill(results + row * wide_out, out_width, ZERO)
        for k0 in range(0, keys, KEYS):
            there = min(KEYS, keys - k0)
            scores = elements(s, there, ZERO)
            for row in range(rows):
                h, query = key_head * group + row // queries, row % queries
                q_at = data_address(q) + b * q_batch + h * q_head + query * q_row
                for i in range(0, there, DOT_COLUMNS_ALONE):
                    dots(
                        1, min(DOT_COLUMNS_ALONE, there - i), q_at, 0, k_at + (k0 + i) * k_row, k_row,
                        zeros, 0, s + i * size, 0, width, LOWEST,
                    )  # fmt: skip
                multiply(s, there, scale)
                mask_at = masks + b * mask_batch + h * mask_head + query * mask_row + k0 * mask_col
                if flags & ADDED:
                    for i in range(there):
                        scores[i] += load(mask_at + i * mask_col, ZERO)
                if flags & BOOLEAN:
                    for i in range(there):
                        if elements(mask_at + i * mask_col, 1, _BYTE)[0] == 0:
                            scores[i] = LOWEST
                at, result = state + row * 2 * VECTOR_BYTES, results + row * wide_out
                before = load(at, ZERO)
                top = before
                for i in range(there):
                    top = vecmath.maximum(top, scores[i])
                safe = ZERO if top == LOWEST else top
                total = ZERO
                for i in range(there):
                    scores[i] = vecmath.exp(scores[i] - safe)
                for i in range(there):
                    total += scores[i]
                if k0:
                    factor = vecmath.exp(before - safe)
                    total += load(at + VECTOR_BYTES, ZERO) * factor
                    multiply(result, out_width, factor)
                store(at, top)
                store(at + VECTOR_BYTES, total)
                product(
                    1, out_width, there, s, 0, size, v_at + k0 * v_row, v_row, result, 0, result, 0, LOWEST
                )
        for row in range(rows):
            h, query = key_head * group + row // queries, row % queries
            at = state + row * 2 * VECTOR_BYTES
            top, total = load(at, ZERO), load(at + VECTOR_BYTES, ZERO)
            log_total, inverse = -LOWEST, ZERO  # of a query that meets no key
            if total != 0:
                log_total, inverse = top + vecmath.log(total), one / total
            store(data_address(lse) + ((b * heads + h) * queries + query) * size, log_total)
            line = elements(
                data_address(out) + b * out_batch + h * out_head + query * out_row, out_width, ZERO
            )
            result_line = elements(results + row * wide_out, out_width, ZERO)
            for i in range(out_width):
                line[i] = result_line[i] * inverse
    return 0


jobs = jobs_of(_share, "attention_decode")


def serves(rows: int, width: int, out_width: int, itemsize: int) -> bool:
    """Whether this is the way, for so many queries to a head of keys."""
    lanes = VECTOR_BYTES // itemsize
    return rows <= ROWS and width >= lanes and (MASKED or out_width % lanes == 0)
