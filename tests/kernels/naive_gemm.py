"""Matrix products as the definition has them: one outer product for every k, in float64."""

from __future__ import annotations

import numpy as np


def gemm(a, b, bias=None, activation=None):
    c = np.zeros((a.shape[0], b.shape[1]))
    if bias is not None:
        c += bias
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(a.shape[1]):
            for i in range(a.shape[0]):
                c[i] += np.float64(a[i, k]) * b[k].astype(np.float64)
    if activation == "relu":
        c = np.where(c < 0, 0, c)
    return c


def bmm(a, b):
    batch = max(len(a), len(b)) if len(a) and len(b) else 0
    pairs = [(a[i % len(a)], b[i % len(b)]) for i in range(batch)]
    return np.array([gemm(x, y) for x, y in pairs]).reshape(batch, a.shape[1], b.shape[2])
