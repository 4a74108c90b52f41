"""What checks compare with: definitions written out, in loops where a loop is the definition, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray


def slopes(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """Central differences of a number by every element of an array."""
    x = np.array(at, np.float64)
    found = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        kept = x[place]
        x[place] = kept + step
        above = function(x)
        x[place] = kept - step
        found[place] = (above - function(x)) / (2 * step)
        x[place] = kept
    return found


def numbers(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, the same every time."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def matmul(a: Array, b: Array) -> Array:
    """Three loops."""
    found = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                found[i, j] += a[i, k] * b[k, j]
    return found


def gelu(x: float) -> float:
    """With tanh, as GPT-2 has it."""
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x: Array) -> Array:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits: Array, labels: Array) -> float:
    """Mean of -log softmax of the right class."""
    return float(np.mean([-math.log(softmax(row)[label]) for row, label in zip(logits, labels, strict=True)]))


def conv2d(x: Array, weight: Array, bias: Array, padding: int = 0) -> Array:
    """A window at every place; it is not turned round."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, _, h, w = x.shape
    oc, _, kh, kw = weight.shape
    found = np.empty((n, oc, h - kh + 1, w - kw + 1))
    for i, o, row, column in np.ndindex(*found.shape):
        window = x[i, :, row : row + kh, column : column + kw]
        found[i, o, row, column] = (window * weight[o]).sum() + bias[o]
    return found


def max_pool2d(x: Array, size: int) -> Array:
    """The largest of each square."""
    n, c, h, w = x.shape
    found = np.empty((n, c, h // size, w // size))
    for i, j, row, column in np.ndindex(*found.shape):
        found[i, j, row, column] = x[
            i, j, row * size : (row + 1) * size, column * size : (column + 1) * size
        ].max()
    return found


def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Over the last axis, by the variance that divides by n."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def attention(
    x: Array, in_weight: Array, in_bias: Array, out_weight: Array, out_bias: Array, heads: int, causal: bool
) -> Array:
    """Self-attention, one example, one head and one query at a time."""
    n, t, width = x.shape
    size = width // heads
    mixed = np.empty((n, t, width))
    for i in range(n):
        q, k, v = np.split(x[i] @ in_weight.T + in_bias, 3, axis=1)
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            for query in range(t):
                seen = query + 1 if causal else t
                scores = k[:seen, part] @ q[query, part] / math.sqrt(size)
                mixed[i, query, part] = softmax(scores) @ v[:seen, part]
    return mixed @ out_weight.T + out_bias
