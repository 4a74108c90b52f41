"""Convolutions by their definition, one pixel and one tap at a time, in float64."""

from __future__ import annotations

import numpy as np


def taps(x, weight, stride, padding, dilation, groups, shape):
    """Every (out channel, weight index, pixel of the result, value of the padded input) that meet."""
    outputs, inputs, kh, kw = weight
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *padding))
    for o in range(outputs):
        for c in range(inputs):
            channel = o // (outputs // groups) * inputs + c
            for a in range(kh):
                for b in range(kw):
                    for i in range(shape[0]):
                        for j in range(shape[1]):
                            row, column = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
                            yield (o, c, a, b), (i, j), (channel, row, column), x


def conv2d(x, weight, bias, stride, padding, dilation, groups, shape):
    out = np.zeros((len(x), len(weight), *shape))
    for at, pixel, (channel, row, column), padded in taps(
        x, weight.shape, stride, padding, dilation, groups, shape
    ):
        out[:, at[0], *pixel] += weight[at] * padded[:, channel, row, column]
    return out if bias is None else out + bias.reshape(-1, 1, 1)


def grad_input(g, weight, size, stride, padding, dilation, groups):
    x = np.zeros((len(g), weight.shape[1] * groups, *size))
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    for at, pixel, (channel, row, column), _ in taps(
        x, weight.shape, stride, padding, dilation, groups, g.shape[2:]
    ):
        padded[:, channel, row, column] += weight[at] * g[:, at[0], *pixel]
    (above, _), (left, _) = padding
    return padded[:, :, above : above + size[0], left : left + size[1]]


def grad_weight(x, g, shape, stride, padding, dilation, groups):
    weight = np.zeros(shape)
    for at, pixel, (channel, row, column), padded in taps(
        x, shape, stride, padding, dilation, groups, g.shape[2:]
    ):
        weight[at] += (padded[:, channel, row, column] * g[:, at[0], *pixel]).sum()
    return weight
