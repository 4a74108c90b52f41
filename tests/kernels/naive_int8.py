"""int8 arithmetic as its definition says, in Python integers and float64: the reference of the kernels."""

from __future__ import annotations

import numpy as np


def quantize(x, scale, zero, low=0, high=255):
    """round(x / scale) + zero, cut; halves go to the even number, NaN to the lowest code."""
    codes = np.rint(x * (np.float32(1) / np.float32(scale))) + zero
    return np.where(np.isnan(codes), low, np.clip(codes, low, high)).astype(np.int64)


def linear(a, a_scale, a_zero, w, w_scale, bias=None, relu=False):
    m, n = len(a), len(w)
    sums = np.zeros((m, n), np.int64)
    for i in range(m):
        for j in range(n):
            pairs = zip(a[i].tolist(), w[j].tolist(), strict=True)
            zero = int(a_zero[i % len(a_zero)])
            sums[i, j] = sum((code - zero) * weight for code, weight in pairs)
    return finish(sums, a_scale.reshape(-1, 1), w_scale, bias, relu)


def finish(sums, a_scale, w_scale, bias, relu):
    y = sums * (a_scale * w_scale).astype(np.float64)
    if bias is not None:
        y = y + bias
    return np.maximum(y, 0) if relu else y


def conv2d(x, a_scale, a_zero, w, w_scale, bias=None, stride=(1, 1), dilation=(1, 1), relu=False):
    """x: codes (n, h, w, channels filled up) with their border.  w: (out, in, kh, kw)."""
    outputs, inputs, rows, columns = w.shape
    height, width = (
        (x.shape[1 + i] - dilation[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    pixels = x[..., :inputs].astype(np.int64) - int(a_zero[0])
    sums = np.zeros((len(x), height, width, outputs), np.int64)
    for i in range(height):
        for j in range(width):
            top, left = i * stride[0], j * stride[1]
            window = pixels[:, top :: dilation[0], left :: dilation[1]][:, :rows, :columns]
            sums[:, i, j] = np.einsum("nrsc,ocrs->no", window, w.astype(np.int64))
    return finish(sums, a_scale, w_scale, bias, relu).transpose(0, 3, 1, 2)


def bordered(images, padding, fill):
    """(n, c, h, w) -> (n, h + 2 ph, w + 2 pw, c filled up), where border and filling hold `fill`."""
    n, channels, height, width = images.shape
    down, across = padding
    out = np.full((n, height + 2 * down, width + 2 * across, -(-channels // 4) * 4), fill, images.dtype)
    out[:, down : down + height, across : across + width, :channels] = images.transpose(0, 2, 3, 1)
    return out


def max_pool2d(x, window, stride):
    height, width = ((x.shape[1 + i] - window[i]) // stride[i] + 1 for i in (0, 1))
    out = np.empty((len(x), height, width, x.shape[3]), x.dtype)
    for i in range(height):
        for j in range(width):
            top, left = i * stride[0], j * stride[1]
            out[:, i, j] = x[:, top : top + window[0], left : left + window[1]].max(axis=(1, 2))
    return out
