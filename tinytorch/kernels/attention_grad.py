"""The gradient of attention, with the weights computed again from the log-sum-exp of each row of scores.

One pass over pairs of a panel of queries and a block of keys makes all three gradients: of five products the
first gives the scores again, the second the gradient to the weights; the queries' gradient gathers in a
panel, those of keys and values where they will stay.  So one unit of work is a head of keys and values,
with all the queries that meet it: nothing is shared, and the bits are the same for any number of threads.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels.attention import empty_like_query, flags_of, rows_of
from tinytorch.kernels.attention_parts import (
    ADDED,
    BOOLEAN,
    CAUSAL,
    KEYS,
    Dropout,
    drop,
    fill,
    hide,
    item,
    last_stride,
    multiply,
    number,
    numbers,
    product,
    run,
    shape_of,
    strides_of,
    turn_in,
    turn_out,
)
from tinytorch.kernels.attention_tiles import SCORES_TOGETHER, weigh
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.maps import ready
from tinytorch.kernels.packing import data_address, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, copy_vector, elements, load, size_of

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _share(arrays, flags, limit, seed, first, unused, part, parts):
    """Do the heads of keys that are share `part` of `parts`, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes, wide = VECTOR_BYTES // size, PANEL // size
    q, k, v, mask, out, lse = (
        item(arrays, 0), item(arrays, 1), item(arrays, 2), item(arrays, 3), item(arrays, 4), item(arrays, 5)
    )  # fmt: skip
    numbers_id, g, to_q, to_k, to_v = (
        item(arrays, 6), item(arrays, 7), item(arrays, 8), item(arrays, 9), item(arrays, 10)
    )  # fmt: skip
    scale, keep = number(numbers_id, 0, ZERO), number(numbers_id, 1, ZERO)
    batch, heads, queries, width = shape_of(q)
    _, key_heads, keys, out_width = shape_of(v)
    q_batch, q_head, q_row = strides_of(q)
    k_batch, k_head, k_row = strides_of(k)
    v_batch, v_head, v_row = strides_of(v)
    g_batch, g_head, g_row = strides_of(g)
    out_batch, out_head, out_row = strides_of(out)
    to_q_batch, to_q_head, to_q_row = strides_of(to_q)
    to_k_batch, to_k_head, to_k_row = strides_of(to_k)
    to_v_batch, to_v_head, to_v_row = strides_of(to_v)
    mask_batch = mask_head = mask_row = mask_col = masks = 0
    if flags & (ADDED | BOOLEAN):
        mask_batch, mask_head, mask_row = strides_of(mask)
        mask_col, masks = last_stride(mask), data_address(mask)
    group = heads // key_heads

    # Scratch: a row of zeros, log-sum-exps, means; queries and gradients as rows and turned; the gradient to
    # the queries, turned; scores and the gradient to them.
    deep, deep_out = rounded(width, lanes), rounded(out_width, lanes)
    row_bytes, g_row_bytes = deep * size, deep_out * size
    mine = (3 + 2 * deep + deep_out + 2 * KEYS) * PANEL + wide * (row_bytes + g_row_bytes)
    mine += lanes * VECTOR_BYTES
    missing = 64 + parts * mine - first_length(item(arrays, 11))
    if missing > 0 or part == ASK:
        return max(missing, 0)
    zeros = (data_address(item(arrays, 11)) + 63) // 64 * 64 + part * mine
    off, means = zeros + PANEL, zeros + 2 * PANEL
    turned_q = zeros + 3 * PANEL
    turned_g = turned_q + deep * PANEL
    turned_to_q = turned_g + deep_out * PANEL
    s = turned_to_q + deep * PANEL
    to_s = s + KEYS * PANEL
    rows_q = to_s + KEYS * PANEL
    rows_g = rows_q + wide * row_bytes
    block = rows_g + wide * g_row_bytes
    fill(zeros, wide, ZERO)

    units = batch * key_heads
    for unit in range(units * part // parts, units * (part + 1) // parts):
        b, key_head = unit // key_heads, unit % key_heads
        k_at = data_address(k) + b * k_batch + key_head * k_head
        v_at = data_address(v) + b * v_batch + key_head * v_head
        to_k_at = data_address(to_k) + b * to_k_batch + key_head * to_k_head
        to_v_at = data_address(to_v) + b * to_v_batch + key_head * to_v_head
        for i in range(keys):
            fill(to_k_at + i * to_k_row, width, ZERO)
            fill(to_v_at + i * to_v_row, out_width, ZERO)
        panels = (queries + wide - 1) // wide
        for panel in range(group * panels):
            h, q0 = key_head * group + panel // panels, panel % panels * wide
            many = min(wide, queries - q0)
            vectors = (many + lanes - 1) // lanes
            padded = vectors * lanes
            q_at = data_address(q) + b * q_batch + h * q_head + q0 * q_row
            g_at = data_address(g) + b * g_batch + h * g_head + q0 * g_row
            out_at = data_address(out) + b * out_batch + h * out_head + q0 * out_row
            lse_at = data_address(lse) + ((b * heads + h) * queries + q0) * size
            mask_at = masks + b * mask_batch + h * mask_head + q0 * mask_row
            for i in range(many):
                for j in range(0, width, lanes):
                    copy_vector(
                        width - j, q_at + i * q_row + j * size, rows_q + i * row_bytes + j * size, ZERO
                    )
                for j in range(0, out_width, lanes):
                    copy_vector(
                        out_width - j, g_at + i * g_row + j * size, rows_g + i * g_row_bytes + j * size, ZERO
                    )
                multiply(rows_q + i * row_bytes, deep, scale)
                g_line = elements(g_at + i * g_row, out_width, ZERO)
                out_line = elements(out_at + i * out_row, out_width, ZERO)
                mean = ZERO
                for j in range(out_width):
                    mean += g_line[j] * out_line[j]
                elements(off, wide, ZERO)[i] = load(lse_at + i * size, ZERO)
                elements(means, wide, ZERO)[i] = mean
            turn_in(many, width, rows_q, row_bytes, turned_q, ZERO)
            turn_in(many, out_width, rows_g, g_row_bytes, turned_g, ZERO)
            last = keys
            if flags & CAUSAL:
                last = min(keys, q0 + many)
            for k0 in range(0, last, KEYS):
                there = min(KEYS, last - k0)
                groups = (there + SCORES_TOGETHER - 1) // SCORES_TOGETHER
                k_block, v_block = k_at + k0 * k_row, v_at + k0 * v_row
                row = (b * heads + h) * queries + q0
                product(
                    there, padded, width, k_block, k_row, size, turned_q, PANEL, zeros, 0, s, PANEL, LOWEST
                )
                hide(flags, s, there, many, k0, q0, mask_at + k0 * mask_col, mask_row, mask_col, LOWEST)
                product(
                    there, padded, out_width, v_block, v_row, size, turned_g, PANEL, zeros, 0, to_s, PANEL,
                    LOWEST,
                )  # fmt: skip
                if limit:
                    drop(to_s, there, many, row, k0, keys, first, seed, limit, keep)
                weigh(groups, vectors, s, to_s, off, means, ZERO)
                if limit:
                    drop(s, there, many, row, k0, keys, first, seed, limit, keep)
                to_k_block, to_v_block = to_k_at + k0 * to_k_row, to_v_at + k0 * to_v_row
                product(
                    there, out_width, many, s, PANEL, size, rows_g, g_row_bytes, to_v_block, to_v_row,
                    to_v_block, to_v_row, LOWEST,
                )  # fmt: skip
                product(
                    there, width, many, to_s, PANEL, size, rows_q, row_bytes, to_k_block, to_k_row,
                    to_k_block, to_k_row, LOWEST,
                )  # fmt: skip
                product(
                    width, padded, there, k_block, size, k_row, to_s, PANEL,
                    turned_to_q if k0 else zeros, PANEL if k0 else 0, turned_to_q, PANEL, LOWEST,
                )  # fmt: skip
            multiply(turned_to_q, width * wide, scale)
            to_q_at = data_address(to_q) + b * to_q_batch + h * to_q_head + q0 * to_q_row
            turn_out(many, width, turned_to_q, to_q_at, to_q_row, block, ZERO)
    return 0


_jobs = jobs_of(_share, "attention_grad")
_scratch = Scratch()


def attention_grad(
    g: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None,
    out: np.ndarray,
    lse: np.ndarray,
    causal: bool = False,
    scale: float = 1.0,
    dropout: Dropout = None,
    into: Arrays | None = None,
) -> Arrays:
    """Gradients of `attention` to q, k and v.

    g (b, h, l, f): the gradient of its result.  out, lse: what it gave, from the same arguments.
    into: where to put the gradients, with contiguous last axes, or None: in the memory order of q, k and v.

    Memory beside the gradients: about 4 KEYS + 6 (e + f) vectors a thread.
    Cost 2 l s (3 e + 2 f) FLOP a head.

    >>> from tinytorch.kernels.attention import attention
    >>> x, ones = np.ones((1, 1, 2, 3)), np.ones((1, 1, 2, 3))
    >>> out, lse = attention(x, x, x)
    >>> attention_grad(ones, x, x, x, None, out, lse)[2]
    array([[[[1., 1., 1.],
             [1., 1., 1.]]]])
    """
    b, h, l, e = q.shape
    s, f = v.shape[2:]
    if into is None:
        into = empty_like_query(q, e), empty_like_query(k, e), empty_like_query(v, f)
    if not (f and lse.size and s):
        for gradient in into:
            gradient.fill(0)
        return into
    dtype = q.dtype
    pair, limit, seed, first = numbers(scale, dropout, dtype)
    arrays = (rows_of(q), rows_of(k), rows_of(v), mask, rows_of(out), ready(lse), pair, rows_of(g), *into)
    work = b * h * l * s * (3 * e + 2 * f)
    run(_jobs[dtype], _scratch, work, arrays, flags_of(mask, causal), limit, seed, first, 0)
    return into
