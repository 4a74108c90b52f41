"""Normalisation: of each channel over a batch, and of each row by itself, with the gradients of both.

One pass over the numbers gives their mean and variance, added up in float64 as distances from the first of
them, which keeps the digits that a sum of squares would lose.  A second pass writes the result.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import SERIAL, both, ready
from tinytorch.kernels.memory import empty

BLOCK = 4096  # numbers of short rows that one iteration takes


@kernel(inline=True)
def _moments(shift, sums, squares, count):
    """Mean and (biased) variance from sums of distances to `shift` and of their squares."""
    off = sums / count
    variance = squares / count - off * off
    return np.float64(shift) + off, variance if variance > 0 or variance != variance else 0.0


def _channel_statistics(x, mean, variance):
    """Of x (n, c, s) the mean and the variance of each channel."""
    n, channels, size = x.shape
    for c in prange(channels):  # owns mean[c] and variance[c]
        shift = x[0, c, 0]
        sums, squares = np.float64(0), np.float64(0)
        for i in range(n):
            row = x[i, c]
            for j in range(size):
                d = np.float64(row[j] - shift)
                sums += d
                squares += d * d
        mean[c], variance[c] = _moments(shift, sums, squares, np.float64(n * size))


def _normalize_channels(x, mean, scale, bias, out):
    """out = (x - mean) * scale + bias, each of a channel."""
    n, channels, size = x.shape
    for c in prange(channels):  # owns out[:, c]
        middle, factor, more = mean[c], scale[c], bias[c]
        for i in range(n):
            row, to = x[i, c], out[i, c]
            for j in range(size):
                to[j] = (row[j] - middle) * factor + more


def _channels_grad(g, x, mean, rstd, weight, out, to_weight, to_bias):
    """The gradients of a batch normalisation with the batch's own statistics."""
    n, channels, size = x.shape
    kind = x.dtype.type
    for c in prange(channels):  # owns out[:, c], to_weight[c] and to_bias[c]
        middle, scale = mean[c], rstd[c]
        sums, products = np.float64(0), np.float64(0)
        for i in range(n):
            row, gradient = x[i, c], g[i, c]
            for j in range(size):
                sums += gradient[j]
                products += gradient[j] * ((row[j] - middle) * scale)
        to_weight[c], to_bias[c] = products, sums
        count = np.float64(n * size)
        even, along, factor = kind(sums / count), kind(products / count), weight[c] * scale
        for i in range(n):
            row, gradient, to = x[i, c], g[i, c], out[i, c]
            for j in range(size):
                to[j] = (gradient[j] - even - (row[j] - middle) * scale * along) * factor


def _normalize_rows(x, weight, bias, eps, centred, out, mean, rstd):
    """out[i] = (x[i] - mean) * rstd * weight + bias; mean is 0 where rows are not centred."""
    n, size = x.shape
    kind = x.dtype.type
    block = max(1, BLOCK // max(size, 1))
    for task in prange((n + block - 1) // block):  # owns `block` rows of out, mean and rstd
        for i in range(task * block, min(n, (task + 1) * block)):
            row, to = x[i], out[i]
            shift = row[0] if centred else kind(0)
            sums, squares = np.float64(0), np.float64(0)
            for j in range(size):
                d = np.float64(row[j] - shift)
                sums += d
                squares += d * d
            if centred:
                middle, variance = _moments(shift, sums, squares, np.float64(size))
            else:
                middle, variance = 0.0, squares / size
            mean[i], rstd[i] = middle, 1.0 / np.sqrt(variance + eps)
            off, factor = mean[i], rstd[i]
            if bias.size:
                for j in range(size):
                    to[j] = (row[j] - off) * factor * weight[j] + bias[j]
            else:
                for j in range(size):
                    to[j] = (row[j] - off) * factor * weight[j]


def _rows_grad(g, x, mean, rstd, weight, centred, out):
    """The gradient of `_normalize_rows` to x."""
    n, size = x.shape
    kind = x.dtype.type
    block = max(1, BLOCK // max(size, 1))
    for task in prange((n + block - 1) // block):  # owns `block` rows of out
        for i in range(task * block, min(n, (task + 1) * block)):
            row, gradient, to = x[i], g[i], out[i]
            off, factor = mean[i], rstd[i]
            sums, products = np.float64(0), np.float64(0)
            for j in range(size):
                weighted = gradient[j] * weight[j]
                sums += weighted
                products += weighted * ((row[j] - off) * factor)
            even, along = kind(sums / size if centred else 0.0), kind(products / size)
            for j in range(size):
                to[j] = (gradient[j] * weight[j] - even - (row[j] - off) * factor * along) * factor


_statistics = both(_channel_statistics, "channel_statistics")
_channels = both(_normalize_channels, "normalize_channels")
_channels_back = both(_channels_grad, "batch_norm_grad")
_rows = both(_normalize_rows, "normalize_rows")
_rows_back = both(_rows_grad, "normalize_rows_grad")


def _as_channels(x: np.ndarray) -> np.ndarray:
    """x (n, c, ...) as (n, c, s)."""
    return ready(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def channel_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel of x (n, c, ...), which is not empty.

    >>> channel_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 0.]))
    """
    mean, variance = (np.empty(x.shape[1], x.dtype) for _ in range(2))
    _statistics[x.size > SERIAL](_as_channels(x), mean, variance)
    return mean, variance


def normalize_channels(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(x - mean) * scale + bias for x (n, c, ...) and numbers of each channel (c,), of one dtype."""
    out = empty(x.shape, x.dtype)
    _channels[x.size > SERIAL](_as_channels(x), ready(mean), ready(scale), ready(bias), _as_channels(out))
    return out


def batch_norm_grad(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of (x - mean) * rstd * weight + bias to x, weight and bias, mean and rstd being x's own."""
    out, to_weight, to_bias = empty(x.shape, x.dtype), np.empty_like(mean), np.empty_like(mean)
    _channels_back[x.size > SERIAL](
        _as_channels(g), _as_channels(x), mean, rstd, ready(weight), _as_channels(out), to_weight, to_bias
    )
    return out, to_weight, to_bias


def normalize_rows(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, eps: float, centred: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x - mean) / sqrt(variance + eps) * weight + bias of each row of x (n, d); then each mean and 1 / sqrt.

    centred: False leaves the mean out, and divides by the root of the mean square.

    >>> normalize_rows(np.array([[1.0, 3.0]]), np.ones(2), None, 0.0)[0]
    array([[-1.,  1.]])
    """
    out = empty(x.shape, x.dtype)
    mean, rstd = (np.empty(len(x), x.dtype) for _ in range(2))
    if x.size:
        more = np.empty(0, x.dtype) if bias is None else ready(bias)
        _rows[x.size > SERIAL](ready(x), ready(weight), more, float(eps), centred, out, mean, rstd)
    return out, mean, rstd


def normalize_rows_grad(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray, centred: bool = True
) -> np.ndarray:
    """The gradient of `normalize_rows` to x."""
    out = empty(x.shape, x.dtype)
    if x.size:
        _rows_back[x.size > SERIAL](ready(g), ready(x), mean, rstd, ready(weight), centred, out)
    return out
