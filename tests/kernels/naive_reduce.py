"""Reductions one slice at a time, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def over(function: Callable[[list[float]], float], x: np.ndarray, axis: tuple[int, ...], keepdims: bool):
    """`function` of the list of elements of every slice along `axis`."""
    axis = tuple(a % x.ndim for a in axis) if x.ndim else ()
    kept = [1 if a in axis else length for a, length in enumerate(x.shape)]
    out = np.empty(kept)
    for place in np.ndindex(*kept):
        slices = tuple(slice(None) if a in axis else place[a] for a in range(x.ndim))
        out[place] = function([float(value) for value in np.asarray(x[slices]).ravel()])
    return out if keepdims else out.reshape([length for a, length in enumerate(x.shape) if a not in axis])


def total(values: list[float]) -> float:
    return math.fsum(values)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def variance(values: list[float], correction: float = 1) -> float:
    squares = math.fsum((value - mean(values)) ** 2 for value in values)
    freedom = max(0, len(values) - correction)
    return squares / freedom if freedom else math.nan if squares == 0 else math.inf


def place_of_largest(values: list[float]) -> int:
    """The first place of the largest; of the first NaN if there is one."""
    best = 0
    for place, value in enumerate(values):
        if math.isnan(values[best]):
            return best
        if value > values[best] or math.isnan(value):
            best = place
    return best


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / math.fsum(powers) for power in powers]
