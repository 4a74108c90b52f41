"""One new token through a block of a transformer, in one launch.

Written for it: with one row, the products of a block are dot products, each weight is used once for each row,
and what takes the time is reading the weights and starting operations. Ten launches and their Python would
cost more than the arithmetic.

The block is GPT's: `x + attention(norm(x))`, then `x + mlp(norm(x))`, tanh-GELU inside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import both

ROWS = 32  # of a weight that one iteration takes
ALONE = 100_000  # numbers in `attn` (180 columns) up to which waking other threads costs more than it gains


@kernel(inline=True)
def _normalize(x, weight, bias, epsilon, out):
    """Layer norm of each row."""
    for b in range(x.shape[0]):
        row, to = x[b], out[b]
        mean = row.sum() / row.size
        variance = np.float64(0)
        for j in range(row.size):
            variance += (row[j] - mean) * (row[j] - mean)
        scale = 1 / np.sqrt(variance / row.size + epsilon)
        for j in range(row.size):
            y = weight[j] * x.dtype.type((row[j] - mean) * scale)
            to[j] = y + bias[j] if bias.size else y


@kernel(inline=True)
def _dot(a, b):
    total = a.dtype.type(0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@kernel(inline=True)
def _rows(task, weight, bias, x, out, add, gelu):
    """Rows `task` of `x @ weight.T + bias`, added to out or put there, through GELU or not."""
    real = x.dtype.type
    half, root, cubic = real(0.5), real(0.7978845608028654), real(0.044715)
    for i in range(task * ROWS, min(weight.shape[0], (task + 1) * ROWS)):
        for b in range(x.shape[0]):
            y = _dot(weight[i], x[b])
            if bias.size:
                y += bias[i]
            if gelu:
                y = half * y * (real(1) + vecmath.tanh(root * (y + cubic * y * y * y)))
            out[b, i] = out[b, i] + y if add else y


@kernel(inline=True)
def _attend(query, key, value, table, start, keys, values, out):
    """Put a new key and value of one head into the cache, and mix all the values for the query.

    The query is changed: it is turned, and scaled.
    """
    size, half = query.size, query.size // 2
    if table.size:
        cosines, sines = table[0, start], table[1, start]
        for pair in (query, key):
            for j in range(half):
                one, other = pair[j], pair[j + half]
                pair[j] = one * cosines[j] - other * sines[j]
                pair[j + half] = other * cosines[j] + one * sines[j]
    scale = query.dtype.type(1 / np.sqrt(size))
    for j in range(size):
        query[j] *= scale
        keys[start, j], values[start, j] = key[j], value[j]
    scores = np.empty(start + 1, query.dtype)
    top = query.dtype.type(-np.inf)
    for s in range(start + 1):
        scores[s] = _dot(query, keys[s])
        top = max(top, scores[s])
    total = query.dtype.type(0)
    for s in range(start + 1):
        scores[s] = vecmath.exp(scores[s] - top)
    for s in range(start + 1):
        total += scores[s]
    out[:] = 0
    for s in range(start + 1):
        share = scores[s] / total
        for j in range(size):
            out[j] += share * values[s, j]


def block_template(
    x, ln_1, ln_1_bias, attn, attn_bias, proj, proj_bias, ln_2, ln_2_bias, fc, fc_bias, down, down_bias,
    inside, epsilon, table, start, keys, values,
):  # fmt: skip
    """What `block_step` does, with the weights as `_rows` takes them; `inside`: the MLP's inner width."""
    batch, width = x.shape
    heads, size = keys.shape[1], keys.shape[3]
    across = heads * size
    normed, mixed = np.empty((batch, width), x.dtype), np.empty((batch, across), x.dtype)
    qkv, inner = np.empty((batch, 3 * across), x.dtype), np.empty((batch, inside), x.dtype)
    _normalize(x, ln_1, ln_1_bias, epsilon, normed)
    for task in prange((3 * across + ROWS - 1) // ROWS):  # owns ROWS columns of qkv
        _rows(task, attn, attn_bias, normed, qkv, False, False)
    for task in prange(batch * heads):  # owns a head of mixed, and of the cache
        b, h = task // heads, task % heads
        at = h * size
        _attend(
            qkv[b, at : at + size], qkv[b, across + at : across + at + size],
            qkv[b, 2 * across + at : 2 * across + at + size], table, start, keys[b, h], values[b, h],
            mixed[b, at : at + size],
        )  # fmt: skip
    for task in prange((width + ROWS - 1) // ROWS):  # owns ROWS columns of x
        _rows(task, proj, proj_bias, mixed, x, True, False)
    _normalize(x, ln_2, ln_2_bias, epsilon, normed)
    for task in prange((inside + ROWS - 1) // ROWS):  # owns ROWS columns of inner
        _rows(task, fc, fc_bias, normed, inner, False, True)
    for task in prange((width + ROWS - 1) // ROWS):  # owns ROWS columns of x
        _rows(task, down, down_bias, inner, x, True, False)


_serial, _parallel = both(block_template, "block_step")


def block_step(
    x: np.ndarray, weights: Sequence[np.ndarray], epsilon: float, table: np.ndarray, start: int,
    keys: np.ndarray, values: np.ndarray,
) -> None:  # fmt: skip
    """Carry one token of each sequence through a block, in place.

    x: (b, c). weights: weight and bias of the first norm, of the layers that give queries, keys and values
    and that mix the heads, of the second norm, and of the two layers of the MLP; as in `nn.Linear`, (out,
    in). A bias without elements is none. table: cosines and sines (2, context, d / 2) for rotary positions,
    or nothing. start: tokens in the cache before. keys, values: (b, h, context, d), which get one more.
    All arrays are C-contiguous and of one dtype.
    """
    run = _serial if weights[2].size <= ALONE else _parallel
    run(x, *weights, len(weights[8]), epsilon, table, start, keys, values)


@kernel
def _final(x, weight, bias, epsilon, out):
    _normalize(x, weight, bias, epsilon, out)


def final_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
    """Layer norm of each row of x (b, c), after the last block; a bias without elements is none."""
    out = np.empty_like(x)
    _final(x, weight, bias, epsilon, out)
    return out
