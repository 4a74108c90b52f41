"""The recurrences number by number, in float64, and their derivatives by central differences."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def product(weight, h, bias=None):
    """What the state (n,) gives each gate."""
    return [
        (0.0 if bias is None else float(bias[k]))
        + math.fsum(float(w) * v for w, v in zip(row, h, strict=True))
        for k, row in enumerate(weight)
    ]


def rnn(x, h0, weight, nonlinearity="tanh"):
    """h (t + 1, n, h), the initial state first."""
    states = np.array([h0, *np.zeros((len(x), *h0.shape))], np.float64)
    for t, i in np.ndindex(*x.shape[:2]):
        for j, value in enumerate(product(weight, states[t, i])):
            value += float(x[t, i, j])
            states[t + 1, i, j] = math.tanh(value) if nonlinearity == "tanh" else max(value, 0.0)
    return states


def lstm(x, h0, c0, weight):
    """h of all steps and c of the last, (t + 1, n, h)."""
    size, states, cells = h0.shape[1], [h0.astype(np.float64)], c0.astype(np.float64)
    for row in x:
        h = np.zeros(h0.shape)
        for i in range(len(h)):
            y = product(weight, states[-1][i])
            for j in range(size):
                i_, f, g, o = (float(row[i, k * size + j]) + y[k * size + j] for k in range(4))
                cells[i, j] = sigmoid(f) * cells[i, j] + sigmoid(i_) * math.tanh(g)
                h[i, j] = sigmoid(o) * math.tanh(cells[i, j])
        states.append(h)
    return np.stack([*states[1:], cells])


def gru(x, h0, weight, bias):
    """h (t + 1, n, h), the initial state first."""
    size, states = h0.shape[1], np.array([h0, *np.zeros((len(x), *h0.shape))], np.float64)
    for t, i in np.ndindex(*x.shape[:2]):
        y = product(weight, states[t, i], bias)
        for j in range(size):
            x_r, x_z, x_n = (float(x[t, i, k * size + j]) for k in range(3))
            z = sigmoid(x_z + y[size + j])
            n = math.tanh(x_n + sigmoid(x_r + y[j]) * y[2 * size + j])
            states[t + 1, i, j] = (1 - z) * n + z * states[t, i, j]
    return states


def gradient(function, x, step=1e-5):
    """Of the number `function(x)` to each number of x, which is changed in place and put back."""
    out = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + step
        above = function(x)
        x[place] = kept - step
        out[place] = (above - function(x)) / (2 * step)
        x[place] = kept
    return out
