"""A block of GPT on one token, in plain NumPy and float64."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def norm(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    y = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + epsilon) * weight
    return y + bias if bias.size else y


def linear(x: Array, weight: Array, bias: Array) -> Array:
    return x @ weight.T + bias if bias.size else x @ weight.T


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def turned(x: Array, table: Array, place: int) -> Array:
    """x (b, h, d), turned by the angles of `place`."""
    if not table.size:
        return x
    (one, other), (cosine, sine) = np.split(x, 2, axis=2), table[:, place]
    return np.concatenate([one * cosine - other * sine, other * cosine + one * sine], 2)


def block_step(
    x, ln_1, b_1, attn, attn_b, proj, proj_b, ln_2, b_2, fc, fc_b, down, down_b, epsilon, table, start, keys,
    values,
):  # fmt: skip
    """(b, c), keys and values with the new token."""
    b, heads, size = x.shape[0], keys.shape[1], keys.shape[3]
    qkv = linear(norm(x, ln_1, b_1, epsilon), attn, attn_b)
    query, key, value = qkv.reshape(b, 3, heads, size).swapaxes(0, 1)
    keys, values = keys.copy(), values.copy()
    keys[:, :, start], values[:, :, start] = turned(key, table, start), value
    seen = slice(start + 1)
    scores = np.einsum("bhd,bhsd->bhs", turned(query, table, start), keys[:, :, seen]) / np.sqrt(size)
    share = np.exp(scores - scores.max(2, keepdims=True))
    share /= share.sum(2, keepdims=True)
    mixed = np.einsum("bhs,bhsd->bhd", share, values[:, :, seen]).reshape(b, -1)
    x = x + linear(mixed, proj, proj_b)
    return x + linear(gelu(linear(norm(x, ln_2, b_2, epsilon), fc, fc_b)), down, down_b), keys, values
