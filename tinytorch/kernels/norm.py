"""Normalisation: of each channel over a batch, and of each row by itself, with the gradients of both.

One pass over the numbers gives their mean and variance, added up in float64 as distances from the first of
them, which keeps the digits that a sum of squares would lose.  A second pass writes the result.

A batch is read in the order in which it lies in memory, some images at a time, and each such share has sums
of its own for every channel, merged in order.  Channel by channel, with the strides of an image between its
rows, the kernels took twice as long.

A ReLU behind a batch normalisation costs nothing in its second pass.  Its gradient is zero where the result
was not above zero, which is computed anew from x: reading the result again would take longer.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numba.extending import register_jitable

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import SERIAL, both, ready
from tinytorch.kernels.memory import empty

BLOCK = 4096  # numbers of short rows that one iteration takes
CHUNKS = 64  # of rows, at most, each with sums of its own for the gradients of weight and bias
SHARE = 16384  # numbers of a batch that one iteration takes
# Without fast maths: a gradient and its forward pass agree on what is above zero, and on the sign of a zero.
STRICT = {"fastmath": False, "forceinline": True, "error_model": "numpy"}


@kernel(inline=True)
def _moments(shift, sums, squares, count):
    """Mean and (biased) variance from sums of distances to `shift` and of their squares."""
    off = sums / count
    variance = squares / count - off * off
    return np.float64(shift) + off, variance if variance > 0 or variance != variance else 0.0


@register_jitable(**STRICT)
def _affine(x, middle, factor, more):
    return (x - middle) * factor + more


@register_jitable(**STRICT)
def _affine_grad(g, even, off, along, factor):
    return (g - even - off * along) * factor


@kernel(inline=True)
def _above(y, floor, value):
    """`value` where y is above the floor, or NaN; else 0."""
    return type(value)(0) if y <= floor else value


@kernel(inline=True)
def _merge(parts):
    """All shares' sums, added in order to those of the first."""
    for share in range(1, parts.shape[0]):
        for k in range(parts.shape[1]):
            for c in range(parts.shape[2]):
                parts[0, k, c] += parts[share, k, c]


def _channel_statistics(x, images, width, mean, variance):
    """Of x (n, c, s) the mean and the variance of each channel."""
    n, channels, size = x.shape
    parts = np.empty((max(1, (n + images - 1) // images), 2, channels))
    blocks = (channels + width - 1) // width
    for task in prange(parts.shape[0] * blocks):  # owns parts[share, :, block of channels]
        share, block = task // blocks, task % blocks
        for c in range(block * width, min(channels, (block + 1) * width)):
            parts[share, 0, c] = parts[share, 1, c] = 0
        for i in range(share * images, min(n, (share + 1) * images)):
            for c in range(block * width, min(channels, (block + 1) * width)):
                row, shift = x[i, c], x[0, c, 0]
                sums, squares = np.float64(0), np.float64(0)
                for j in range(size):
                    d = np.float64(row[j] - shift)
                    sums += d
                    squares += d * d
                parts[share, 0, c] += sums
                parts[share, 1, c] += squares
    _merge(parts)
    for c in range(channels):
        mean[c], variance[c] = _moments(x[0, c, 0], parts[0, 0, c], parts[0, 1, c], np.float64(n * size))


def _normalize_channels(x, mean, scale, bias, floor, images, width, out):
    """out = (x - mean) * scale + bias, each of a channel, and 0 where that is not above the floor."""
    n, channels, size = x.shape
    blocks = (channels + width - 1) // width
    for task in prange((n + images - 1) // images * blocks):  # owns a block of channels of some images of out
        share, block = task // blocks, task % blocks
        for i in range(share * images, min(n, (share + 1) * images)):
            for c in range(block * width, min(channels, (block + 1) * width)):
                row, to = x[i, c], out[i, c]
                middle, factor, more = mean[c], scale[c], bias[c]
                for j in range(size):
                    y = _affine(row[j], middle, factor, more)
                    to[j] = _above(y, floor, y)


def _channels_grad(g, x, mean, rstd, scale, bias, floor, count, images, width, out, to_weight, to_bias):
    """The gradients of a batch normalisation; count: numbers of a channel, infinite for fixed statistics."""
    n, channels, size = x.shape
    kind = x.dtype.type
    parts = np.empty((max(1, (n + images - 1) // images), 2, channels))
    blocks = (channels + width - 1) // width
    for task in prange(parts.shape[0] * blocks):  # owns parts[share, :, block of channels]
        share, block = task // blocks, task % blocks
        for c in range(block * width, min(channels, (block + 1) * width)):
            parts[share, 0, c] = parts[share, 1, c] = 0
        for i in range(share * images, min(n, (share + 1) * images)):
            for c in range(block * width, min(channels, (block + 1) * width)):
                row, gradient = x[i, c], g[i, c]
                middle, factor, more = mean[c], scale[c], bias[c]
                sums, products = np.float64(0), np.float64(0)
                for j in range(size):
                    # Both chosen after g is used: before, it becomes a masked load, which took twice as long.
                    y = _affine(row[j], middle, factor, more)
                    sums += _above(y, floor, np.float64(gradient[j]))
                    products += _above(y, floor, np.float64(gradient[j] * (row[j] - middle)))
                parts[share, 0, c] += sums
                parts[share, 1, c] += products
    _merge(parts)
    for c in range(channels):
        to_bias[c], to_weight[c] = parts[0, 0, c], parts[0, 1, c] * rstd[c]
    for task in prange(parts.shape[0] * blocks):  # owns a block of channels of some images of out
        share, block = task // blocks, task % blocks
        for i in range(share * images, min(n, (share + 1) * images)):
            for c in range(block * width, min(channels, (block + 1) * width)):
                row, gradient, to = x[i, c], g[i, c], out[i, c]
                middle, factor, more = mean[c], scale[c], bias[c]
                even = kind(parts[0, 0, c] / count)
                along = kind(parts[0, 1, c] / count * rstd[c] * rstd[c])
                for j in range(size):
                    given = _above(_affine(row[j], middle, factor, more), floor, gradient[j])
                    to[j] = _affine_grad(given, even, row[j] - middle, along, factor)


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


def _rows_grad(g, x, mean, rstd, weight, centred, rows, out, to_weight, to_bias):
    """The gradients of `_normalize_rows` to x, weight and bias, of all in one pass; `rows` make a chunk."""
    n, size = x.shape
    kind = x.dtype.type
    parts = np.zeros((max(1, (n + rows - 1) // rows), 2, size))
    for chunk in prange(parts.shape[0]):  # owns parts[chunk] and `rows` rows of out
        by_weight, by_bias = parts[chunk, 0], parts[chunk, 1]
        for i in range(chunk * rows, min(n, (chunk + 1) * rows)):
            row, gradient, to = x[i], g[i], out[i]
            off, factor = mean[i], rstd[i]
            sums, products = np.float64(0), np.float64(0)
            for j in range(size):
                hat = (row[j] - off) * factor
                weighted = gradient[j] * weight[j]
                sums += weighted
                products += weighted * hat
                by_weight[j] += gradient[j] * hat
                by_bias[j] += gradient[j]
            even, along = kind(sums / size if centred else 0.0), kind(products / size)
            for j in range(size):
                to[j] = (gradient[j] * weight[j] - even - (row[j] - off) * factor * along) * factor
    _merge(parts)
    for j in range(size):
        to_weight[j], to_bias[j] = parts[0, 0, j], parts[0, 1, j]


_statistics = both(_channel_statistics, "channel_statistics")
_channels = both(_normalize_channels, "normalize_channels")
_channels_back = both(_channels_grad, "batch_norm_grad")
_rows = both(_normalize_rows, "normalize_rows")
_rows_back = both(_rows_grad, "normalize_rows_grad")


def _as_channels(x: np.ndarray) -> np.ndarray:
    """x (n, c, ...) as (n, c, s)."""
    return ready(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _floor(x: np.ndarray, activation: str | None) -> np.generic:
    """What a result must be above to stay: nothing is below NaN."""
    return x.dtype.type(0 if activation == "relu" else np.nan)


def _shares(x: np.ndarray) -> tuple[int, int]:
    """How many images and channels of x (n, c, s) one iteration takes."""
    _, channels, size = x.shape
    return max(1, SHARE // max(1, channels * size)), max(1, min(channels, SHARE // max(1, size)))


def channel_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel of x (n, c, ...), which is not empty.

    >>> channel_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 0.]))
    """
    rows = _as_channels(x)
    mean, variance = (np.empty(x.shape[1], x.dtype) for _ in range(2))
    _statistics[x.size > SERIAL](rows, *_shares(rows), mean, variance)
    return mean, variance


def normalize_channels(
    x: np.ndarray, mean: np.ndarray, scale: np.ndarray, bias: np.ndarray, activation: str | None = None
) -> np.ndarray:
    """(x - mean) * scale + bias for x (n, c, ...) and numbers of each channel (c,), of one dtype.

    activation: "relu" leaves zero in place of what is negative.
    """
    rows, out = _as_channels(x), empty(x.shape, x.dtype)
    floor = _floor(x, activation)
    _channels[x.size > SERIAL](
        rows, ready(mean), ready(scale), ready(bias), floor, *_shares(rows), _as_channels(out)
    )
    return out


def batch_norm_grad(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, weight: np.ndarray, bias: np.ndarray,
    fixed: bool = False, activation: str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Gradients of activation((x - mean) * (rstd * weight) + bias) to x, weight and bias.

    fixed: mean and rstd are constants; otherwise they are x's own.
    """
    rows, out = _as_channels(x), empty(x.shape, x.dtype)
    to_weight, to_bias = np.empty_like(mean), np.empty_like(mean)
    count = math.inf if fixed else x.size / max(1, x.shape[1])
    _channels_back[x.size > SERIAL](
        _as_channels(g), rows, ready(mean), rstd, rstd * weight, ready(bias), _floor(x, activation), count,
        *_shares(rows), _as_channels(out), to_weight, to_bias,
    )  # fmt: skip
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `normalize_rows` to x, weight and bias.

    >>> x, one = np.array([[1.0, 3.0]]), np.ones(2)
    >>> _, mean, rstd = normalize_rows(x, one, None, 0.0)
    >>> normalize_rows_grad(np.array([[2.0, 4.0]]), x, mean, rstd, one)
    (array([[0., 0.]]), array([-2.,  4.]), array([2., 4.]))
    """
    n, size = x.shape
    out = empty(x.shape, x.dtype)
    to_weight, to_bias = np.empty(size, x.dtype), np.empty(size, x.dtype)
    rows = max(1, BLOCK // max(size, 1), -(-n // CHUNKS))
    _rows_back[x.size > SERIAL](
        ready(g), ready(x), mean, rstd, ready(weight), centred, rows, out, to_weight, to_bias
    )
    return out, to_weight, to_bias
