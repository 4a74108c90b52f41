"""The activations and their derivatives, one number at a time, in the words of their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def each(function: Callable[..., float], *arrays: np.ndarray) -> np.ndarray:
    """`function` of every element, computed in float64."""
    out = np.empty(arrays[0].shape)
    for place in np.ndindex(out.shape):
        out[place] = function(*[float(array[place]) for array in arrays])
    return out


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def relu(x: float) -> float:
    return x if x > 0 or math.isnan(x) else 0.0


def leaky_relu(x: float, slope: float) -> float:
    return x if x > 0 else slope * x


def gelu(x: float) -> float:
    return x * normal_cdf(x)


def gelu_slope(x: float) -> float:
    return normal_cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_slope(x: float) -> float:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + math.tanh(inner)) + 0.5 * x * slope / math.cosh(inner) ** 2


def silu(x: float) -> float:
    return x * sigmoid(x)


def silu_slope(x: float) -> float:
    return sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x))


def softplus(x: float, beta: float, threshold: float) -> float:
    return x if x * beta > threshold else math.log1p(math.exp(x * beta)) / beta


def softplus_slope(x: float, beta: float, threshold: float) -> float:
    return 1.0 if x * beta > threshold else sigmoid(x * beta)


def elu(x: float, alpha: float) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def elu_slope(x: float, alpha: float) -> float:
    return 1.0 if x > 0 else alpha * math.exp(x)
