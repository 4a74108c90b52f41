"""Attention without its scores in memory: a panel of queries meets block after block of keys and values.

The scores of a block are computed, turned into weights with a running maximum and sum for each query, and
multiplied into the panel's result, which is multiplied by what an older maximum was too small.  What lies
above the diagonal of causal attention is never touched.

Dao, Fu, Ermon, Rudra and Re, "FlashAttention", 2022; Rabe and Staats, "Self-attention does not need O(n²)
memory", 2021.

A panel's result depends on nothing but itself, so the bits are the same for any number of threads.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels import attention_decode as decode
from tinytorch.kernels import vecmath
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
    multiply_lines,
    number,
    numbers,
    product,
    run,
    shape_of,
    strides_of,
    turn_in,
    turn_out,
)
from tinytorch.kernels.attention_tiles import SCORES_TOGETHER, online_softmax
from tinytorch.kernels.gemm import Scratch
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, first_length, rounded
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.random import HALF
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES, elements, size_of, store

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _share(arrays, flags, limit, seed, first, unused, part, parts):
    """Do the panels that are part of share `part` of `parts`, or say how much scratch is missing."""
    size = size_of(ZERO)
    lanes, wide = VECTOR_BYTES // size, PANEL // size
    q, k, v, mask, out, lse = (
        item(arrays, 0), item(arrays, 1), item(arrays, 2), item(arrays, 3), item(arrays, 4), item(arrays, 5)
    )  # fmt: skip
    scale, keep, one = (
        number(item(arrays, 6), 0, ZERO),
        number(item(arrays, 6), 1, ZERO),
        number(item(arrays, 6), 2, ZERO),
    )
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

    # Scratch: a row of zeros; tops, sums, factors; the queries, the result and a block of scores, turned.
    deep, deep_out = rounded(width, lanes), rounded(out_width, lanes)
    mine = (4 + deep + deep_out + KEYS) * PANEL + lanes * VECTOR_BYTES
    missing = 64 + parts * mine - first_length(item(arrays, 7))
    if missing > 0 or part == ASK:
        return max(missing, 0)
    zeros = (data_address(item(arrays, 7)) + 63) // 64 * 64 + part * mine
    state = zeros + PANEL
    turned = state + 3 * PANEL
    result = turned + deep * PANEL
    s = result + deep_out * PANEL
    block = s + KEYS * PANEL
    fill(zeros, wide, ZERO)

    panels = (queries + wide - 1) // wide
    units = batch * heads * panels
    rounds = (units + parts - 1) // parts
    for turn in range(rounds):
        # Where causal, late panels are long: each second round is dealt out backwards.
        unit = turn * parts + (part if turn % 2 == 0 else parts - 1 - part)
        if unit >= units:
            continue
        b, h, q0 = unit // panels // heads, unit // panels % heads, unit % panels * wide
        many = min(wide, queries - q0)
        vectors = (many + lanes - 1) // lanes
        padded = vectors * lanes
        q_at = data_address(q) + b * q_batch + h * q_head + q0 * q_row
        k_at = data_address(k) + b * k_batch + h // group * k_head
        v_at = data_address(v) + b * v_batch + h // group * v_head
        mask_at = masks + b * mask_batch + h * mask_head + q0 * mask_row
        turn_in(many, width, q_at, q_row, turned, ZERO)
        multiply(turned, width * wide, scale)
        fill(state, wide, LOWEST)
        fill(state + PANEL, wide, ZERO)
        last = keys
        if flags & CAUSAL:
            last = min(keys, q0 + many)
        for k0 in range(0, last, KEYS):
            there = min(KEYS, last - k0)
            product(
                there, padded, width, k_at + k0 * k_row, k_row, size, turned, PANEL, zeros, 0,
                s, PANEL, LOWEST,
            )  # fmt: skip
            hide(flags, s, there, many, k0, q0, mask_at + k0 * mask_col, mask_row, mask_col, LOWEST)
            groups = (there + SCORES_TOGETHER - 1) // SCORES_TOGETHER
            rest = groups * SCORES_TOGETHER - there
            fill(s + there * PANEL, rest * wide, LOWEST)
            online_softmax(groups, vectors, s, state, ZERO)
            if limit:
                drop(s, there, many, (b * heads + h) * queries + q0, k0, keys, first, seed, limit, keep)
            start, start_row = zeros, 0
            if k0:
                multiply_lines(result, out_width, padded, state + 2 * PANEL, ZERO)
                start, start_row = result, PANEL
            product(
                out_width, padded, there, v_at + k0 * v_row, size, v_row, s, PANEL, start, start_row,
                result, PANEL, LOWEST,
            )  # fmt: skip
        tops, sums = elements(state, many, ZERO), elements(state + PANEL, many, ZERO)
        for i in range(many):
            total = sums[i]
            log_total = -LOWEST  # of a query that meets no key
            if total != 0:
                log_total = tops[i] + vecmath.log(total)
            store(data_address(lse) + ((b * heads + h) * queries + q0 + i) * size, log_total)
            sums[i] = ZERO if total == 0 else one / total
        multiply_lines(result, out_width, padded, state + PANEL, ZERO)
        out_at = data_address(out) + b * out_batch + h * out_head + q0 * out_row
        turn_out(many, out_width, result, out_at, out_row, block, ZERO)
    return 0


_jobs = jobs_of(_share, "attention")
_scratch = Scratch()


def flags_of(mask: np.ndarray | None, causal: bool) -> int:
    """Which keys are hidden, for the kernels."""
    flags = CAUSAL if causal else 0
    return flags if mask is None else flags | (BOOLEAN if mask.dtype == np.bool_ else ADDED)


def rows_of(x: np.ndarray) -> np.ndarray:
    """`x`, or a copy where its last axis is not contiguous."""
    return x if x.strides[3] == x.itemsize else np.array(x, order="C")


def empty_like_query(q: np.ndarray, width: int) -> np.ndarray:
    """(b, h, l, width), with heads inside of rows in memory where q has them there."""
    b, h, l, _ = q.shape
    if q.strides[1] < q.strides[2]:
        return empty((b, l, h, width), q.dtype).swapaxes(1, 2)
    return empty((b, h, l, width), q.dtype)


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    causal: bool = False,
    scale: float = 1.0,
    dropout: Dropout = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """dropout(softmax(scale * q @ k^T + mask)) @ v, and the log-sum-exp of each row of scores.

    q (b, h, l, e), k (b, h', s, e), v (b, h', s, f) of one float type and any strides, where h is a multiple
    of h', and e >= 1; out (b, h, l, f) with a contiguous last axis, in the memory order of q where it is not
    given;    log-sum-exp (b, h, l), infinite where a query meets no key, whose result is 0.
    mask: (b, h, l, s) of any strides, booleans (True takes part) or of q's type (added).
    causal: query i meets keys 0 to i.

    Memory beside the results: about 4 KEYS + 2 (e + f) vectors a thread. Cost 2 l s (e + f) FLOP a head.

    >>> x = np.ones((1, 1, 2, 3))
    >>> attention(x, x, x)[0]
    array([[[[1., 1., 1.],
             [1., 1., 1.]]]])
    """
    b, h, l, e = q.shape
    s, f = v.shape[2:]
    dtype = q.dtype
    if out is None:
        out = empty_like_query(q, f)
    lse = np.empty((b, h, l), dtype)
    if not (f and lse.size and s):
        out.fill(0)
        lse.fill(np.inf)
        return out, lse
    q, k, v = rows_of(q), rows_of(k), rows_of(v)
    pair, limit, seed, first = numbers(scale, dropout, dtype)
    arrays = (q, k, v, mask, out, lse, pair)
    flags, work = flags_of(mask, causal), b * h * l * s * (e + f)
    few = l <= decode.ROWS and not (causal or limit) and decode.serves(h // k.shape[1] * l, e, f, q.itemsize)
    run((decode.jobs if few else _jobs)[dtype], _scratch, work, arrays, flags, limit, seed, first, 0)
    return out, lse


def dropout_blocks(rows: int, keys: int) -> int:
    """Blocks of random numbers that dropping weights of so many rows of scores takes."""
    return -(-rows * ((keys + 1) // 2) // HALF)


def dropout_mask(shape: tuple[int, ...], dtype: np.dtype | type, dropout: Dropout) -> np.ndarray:
    """What `attention` multiplies its weights by: 0 or 1 / (1 - p), of shape (..., h, l, s).

    The values of equal keys are the rows of a unit matrix, so the result shows which of them are kept.
    """
    *lead, rows, keys = shape
    heads = int(np.prod(lead))
    q, k = np.zeros((1, heads, rows, 1)), np.zeros((1, heads, keys, 1))
    out, _ = attention(q, k, np.broadcast_to(np.eye(keys), (1, heads, keys, keys)), dropout=dropout)
    p = 0.0 if dropout is None else dropout[0]
    return ((out > 0) / (1 - p if p < 1 else 1)).reshape(shape).astype(dtype)
