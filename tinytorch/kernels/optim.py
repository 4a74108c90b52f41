"""Optimiser steps: one launch for all parameters of a group.

The parameters of a group lie one behind another in a flat buffer, and so does each state.  Gradients come
from the backward pass as arrays of their own, so a step takes their ids, as the matrix products do: parameter
p is `param[offsets[p]:offsets[p + 1]]`, its gradient is the array with the id `gradients[p]` (`ids` makes the
table; 0 says that there is no gradient, and the parameter and its state stay as they are).  The caller keeps
the gradient arrays alive during the call.

Work is split into chunks of CHUNK elements of the flat buffer, whatever parameters they cross.  Formulas and
their order are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import prange

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import both, f
from tinytorch.kernels.packing import data_address
from tinytorch.kernels.simd import elements, size_of

CHUNK = 4096
_SERIAL = 16384
_ABSENT = {np.dtype(kind): np.empty(0, kind) for kind in (np.float32, np.float64)}


@kernel(inline=True)
def _holder(offsets, position):
    """The parameter that the flat position lies in."""
    low, high = 0, offsets.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if offsets[middle] <= position:
            low = middle
        else:
            high = middle
    return low


def _step(param, gradients, offsets, first, second, third, numbers):
    """f on every stretch of one parameter in one chunk, with the same stretch of each state."""
    like = param.dtype.type(0)
    for chunk in prange((param.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of param and of each state
        start, stop = chunk * CHUNK, min(param.size, (chunk + 1) * CHUNK)
        p = _holder(offsets, start)
        while start < stop:
            end = min(stop, offsets[p + 1])
            if gradients[p] != 0 and end > start:
                address = data_address(gradients[p]) + (start - offsets[p]) * size_of(like)
                gradient = elements(address, end - start, like)
                f(param[start:end], gradient, first[start:end], second[start:end], third[start:end], numbers)
            start = end
            p += 1


@kernel(inline=True)
def _sgd(param, g, buffer, _second, _third, numbers):
    lr, momentum, dampening, decay, nesterov, sign = numbers
    kind = param.dtype.type
    rate, decay, sign = kind(lr), kind(decay), kind(sign)
    keep, take, nesterov = kind(momentum), kind(1.0 - dampening), kind(nesterov)
    if buffer.size == 0:
        for i in range(param.size):
            param[i] -= rate * (sign * g[i] + decay * param[i])
    elif nesterov != 0:
        for i in range(param.size):
            gradient = sign * g[i] + decay * param[i]
            buffer[i] = keep * buffer[i] + take * gradient
            param[i] -= rate * (gradient + keep * buffer[i])
    else:
        for i in range(param.size):
            buffer[i] = keep * buffer[i] + take * (sign * g[i] + decay * param[i])
            param[i] -= rate * buffer[i]


@kernel(inline=True)
def _adam(param, g, mean, square, largest, numbers):
    lr, beta1, beta2, eps, decay, correction1, correction2, decoupled, sign = numbers
    kind = param.dtype.type
    shrink = kind(1.0 - lr * decay if decoupled != 0.0 else 1.0)
    decay = kind(0.0 if decoupled != 0.0 else decay)
    rate, root, eps, sign = kind(lr / correction1), kind(np.sqrt(correction2)), kind(eps), kind(sign)
    new1, keep2, new2 = kind(1.0 - beta1), kind(beta2), kind(1.0 - beta2)
    if largest.size == 0:
        for i in range(param.size):
            gradient = sign * g[i] + decay * param[i]
            m = mean[i] + new1 * (gradient - mean[i])
            v = keep2 * square[i] + new2 * gradient * gradient
            mean[i] = m
            square[i] = v
            param[i] = shrink * param[i] - rate * m / (np.sqrt(v) / root + eps)
    else:
        for i in range(param.size):
            gradient = sign * g[i] + decay * param[i]
            mean[i] += new1 * (gradient - mean[i])
            square[i] = keep2 * square[i] + new2 * gradient * gradient
        for i in range(param.size):
            largest[i] = max(largest[i], square[i])
            param[i] = shrink * param[i] - rate * mean[i] / (np.sqrt(largest[i]) / root + eps)


@kernel(inline=True)
def _rmsprop(param, g, square, buffer, mean, numbers):
    lr, alpha, eps, decay, momentum, sign = numbers
    kind = param.dtype.type
    rate, keep, new, eps = kind(lr), kind(alpha), kind(1.0 - alpha), kind(eps)
    decay, momentum, sign = kind(decay), kind(momentum), kind(sign)
    direction = np.empty(param.size, param.dtype)
    for i in range(param.size):
        gradient = sign * g[i] + decay * param[i]
        square[i] = keep * square[i] + new * gradient * gradient
        direction[i] = gradient
    if mean.size:
        for i in range(param.size):
            mean[i] += new * (direction[i] - mean[i])
            direction[i] /= np.sqrt(square[i] - mean[i] * mean[i]) + eps
    else:
        for i in range(param.size):
            direction[i] /= np.sqrt(square[i]) + eps
    if buffer.size:
        for i in range(param.size):
            buffer[i] = momentum * buffer[i] + direction[i]
            param[i] -= rate * buffer[i]
    else:
        for i in range(param.size):
            param[i] -= rate * direction[i]


def _sum_squares(gradients, offsets, like):
    """The sum of squares of all gradients, chunk by chunk, in float64."""
    size = offsets[-1]
    chunks = (size + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):  # owns partial[chunk]
        start, stop = chunk * CHUNK, min(size, (chunk + 1) * CHUNK)
        p = _holder(offsets, start)
        total = np.float64(0)
        while start < stop:
            end = min(stop, offsets[p + 1])
            if gradients[p] != 0 and end > start:
                g = elements(
                    data_address(gradients[p]) + (start - offsets[p]) * size_of(like), end - start, like
                )
                for i in range(g.size):
                    total += np.float64(g[i]) * np.float64(g[i])
            start = end
            p += 1
        partial[chunk] = total
    total = np.float64(0)
    for chunk in range(chunks):
        total += partial[chunk]
    return total


_sgd_step = both(_step, "sgd_step", f=_sgd)
_adam_step = both(_step, "adam_step", f=_adam)
_rmsprop_step = both(_step, "rmsprop_step", f=_rmsprop)
_square_sums = both(_sum_squares, "sum_squares")


def ids(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    """The arrays' ids, int64, 0 for None: the table that a step takes.

    Each array must be C-contiguous and have the dtype of the parameters.
    """
    return np.array([0 if array is None else id(array) for array in arrays], np.int64)


def sgd_step(
    param: np.ndarray,
    gradients: np.ndarray,
    offsets: np.ndarray,
    momentum_buffer: np.ndarray | None,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    first: bool = False,
) -> None:
    """p -= lr * b with b = momentum * b + (1 - dampening) * (g + weight_decay * p), in place.

    Without a momentum buffer p -= lr * (g + weight_decay * p); with nesterov p -= lr * (g + momentum * b).
    The buffer starts at zero; `first` leaves the dampening out, as PyTorch does at a parameter's first step.
    """
    dampening, sign = 0.0 if first else dampening, -1.0 if maximize else 1.0
    # Floats, whatever was given: a tuple with an integer in it would compile another kernel.
    numbers = (float(lr), float(momentum), float(dampening), float(weight_decay), float(nesterov), sign)
    absent = _ABSENT[param.dtype]
    buffer = absent if momentum_buffer is None else momentum_buffer
    _sgd_step[param.size > _SERIAL](param, gradients, offsets, buffer, absent, absent, numbers)


def adam_step(
    param: np.ndarray,
    gradients: np.ndarray,
    offsets: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    bias_correction1: float,
    bias_correction2: float,
    decoupled: bool = False,
    max_exp_avg_sq: np.ndarray | None = None,
    maximize: bool = False,
) -> None:
    """One step of Adam (Kingma and Ba, 2015), in place; `decoupled`: AdamW (Loshchilov and Hutter, 2019).

    m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g**2
    p -= lr / bias_correction1 * m / (sqrt(v) / sqrt(bias_correction2) + eps)

    where bias_correctionK = 1 - betaK ** step.  Weight decay is added to g, or with `decoupled` taken off p:
    p *= 1 - lr * weight_decay.  With `max_exp_avg_sq` (AMSGrad) the largest v so far stands in for v.
    """
    numbers = (
        float(lr), float(beta1), float(beta2), float(eps), float(weight_decay), float(bias_correction1),
        float(bias_correction2), float(decoupled), -1.0 if maximize else 1.0,
    )  # fmt: skip
    largest = _ABSENT[param.dtype] if max_exp_avg_sq is None else max_exp_avg_sq
    _adam_step[param.size > _SERIAL](param, gradients, offsets, exp_avg, exp_avg_sq, largest, numbers)


def rmsprop_step(
    param: np.ndarray,
    gradients: np.ndarray,
    offsets: np.ndarray,
    square_avg: np.ndarray,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    momentum_buffer: np.ndarray | None = None,
    grad_avg: np.ndarray | None = None,
    maximize: bool = False,
) -> None:
    """One step of RMSprop (Hinton's lecture 6e), in place.

    s = alpha * s + (1 - alpha) * g**2;  p -= lr * g / (sqrt(s) + eps)

    With `grad_avg` (centred) the square of the running mean of g is taken off s; with `momentum_buffer` the
    quotient is accumulated in it and p moves by lr times the buffer.
    """
    sign = -1.0 if maximize else 1.0
    numbers = (float(lr), float(alpha), float(eps), float(weight_decay), float(momentum), sign)
    absent = _ABSENT[param.dtype]
    buffer = absent if momentum_buffer is None else momentum_buffer
    mean = absent if grad_avg is None else grad_avg
    _rmsprop_step[param.size > _SERIAL](param, gradients, offsets, square_avg, buffer, mean, numbers)


def grad_norm(arrays: Sequence[np.ndarray]) -> float:
    """The Euclidean norm of all elements of all arrays (C-contiguous, of one dtype) taken together."""
    if not arrays:
        return 0.0
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([array.size for array in arrays], out=offsets[1:])
    total = _square_sums[int(offsets[-1] > _SERIAL)](ids(arrays), offsets, arrays[0].dtype.type(0))
    return math.sqrt(total)


def scale_(arrays: Sequence[np.ndarray], factor: float) -> None:
    """Multiply every array by `factor`, in place: what clipping a norm does."""
    for array in arrays:
        np.multiply(array, array.dtype.type(factor), out=array)
