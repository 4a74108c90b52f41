"""The losses row by row and number by number, in float64, and derivatives by central differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def cross_entropy(logits, labels, weight, ignore_index, smoothing, reduction):
    """Losses (n,) or their sum or weighted mean."""
    n, c = logits.shape
    weight = [1.0] * c if weight is None else [float(w) for w in weight]
    losses, label_weights = np.zeros(n), 0.0
    for i in range(n):
        if labels[i] == ignore_index:
            continue
        row = [float(value) for value in logits[i]]
        top = max(row)
        log_total = top + math.log(math.fsum(math.exp(value - top) for value in row))
        nll = [log_total - value for value in row]
        smooth = math.fsum(weight[j] * nll[j] for j in range(c))
        losses[i] = (1 - smoothing) * weight[labels[i]] * nll[labels[i]] + smoothing / c * smooth
        label_weights += weight[labels[i]]
    return reduce(losses, reduction, label_weights)


def bce_with_logits(x, target, weight, pos_weight, reduction):
    one = np.ones(())
    weight = np.broadcast_to(one if weight is None else weight.astype(np.float64), x.shape)
    pos_weight = np.broadcast_to(one if pos_weight is None else pos_weight.astype(np.float64), x.shape)
    losses = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        z, t = float(x[place]), float(target[place])
        log_p = -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))
        log_q = log_p - z
        losses[place] = -weight[place] * (pos_weight[place] * t * log_p + (1 - t) * log_q)
    return reduce(losses, reduction, losses.size)


def mse(x, target, reduction):
    return reduce((x.astype(np.float64) - target) ** 2, reduction, x.size)


def reduce(losses, reduction, count):
    if reduction == "none":
        return losses
    total = math.fsum(losses.ravel())
    return total if reduction == "sum" else total / count if count else math.nan


def slope(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """d sum(g * function(x)) / dx by central differences."""
    x, step = x.astype(np.float64), 1e-5
    out = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[place] += step
        behind[place] -= step
        out[place] = np.sum(g * (function(ahead) - function(behind))) / (2 * step)
    return out
