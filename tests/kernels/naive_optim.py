"""The optimisers' formulas on whole NumPy arrays, one parameter at a time."""

from __future__ import annotations

import numpy as np


def sgd(
    p, g, state, step, *, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False
):
    g = (-g if maximize else g) + weight_decay * p
    if momentum:
        buffer = g if step == 1 else momentum * state["buffer"] + (1 - dampening) * g
        state["buffer"] = buffer
        g = g + momentum * buffer if nesterov else buffer
    return p - lr * g


def adam(
    p,
    g,
    state,
    step,
    *,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay=0.0,
    decoupled=False,
    amsgrad=False,
    maximize=False,
):
    g = -g if maximize else g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    if amsgrad:
        v = state["largest"] = np.maximum(state.get("largest", 0), v)
    return p - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)


def rmsprop(
    p, g, state, step, *, lr, alpha, eps, weight_decay=0.0, momentum=0.0, centered=False, maximize=False
):
    g = (-g if maximize else g) + weight_decay * p
    v = state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g * g
    if centered:
        m = state["m"] = alpha * state.get("m", 0) + (1 - alpha) * g
        v = v - m * m
    direction = g / (np.sqrt(v) + eps)
    if momentum:
        direction = state["buffer"] = momentum * state.get("buffer", 0) + direction
    return p - lr * direction
