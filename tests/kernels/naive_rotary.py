"""Rotary positions, a pair of columns at a time, in the words of their definition."""

from __future__ import annotations

import math

import numpy as np


def rotary(
    x: np.ndarray, positions: np.ndarray, base: float, head: int, columns: int, inverse: bool = False
) -> np.ndarray:
    out = np.array(x, np.float64)
    for place in np.ndindex(x.shape[:-1]):
        for first in range(0, columns, head):
            for i in range(head // 2):
                angle = float(positions[place[-1]]) * base ** (-2 * i / head) * (-1 if inverse else 1)
                a, b = float(x[(*place, first + i)]), float(x[(*place, first + i + head // 2)])
                out[(*place, first + i)] = a * math.cos(angle) - b * math.sin(angle)
                out[(*place, first + i + head // 2)] = b * math.cos(angle) + a * math.sin(angle)
    return out
