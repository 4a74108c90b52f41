"""Gradient clipping, and parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels.optim import grad_norm
from tinytorch.tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> Iterator[np.ndarray]:
    for p in [parameters] if isinstance(parameters, Tensor) else parameters:
        if p.grad is not None:
            yield p.grad._data


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of `tensors` together; `norm_type` may be `math.inf`."""
    return new_tensor(np.asarray(_norm([t._data for t in tensors], float(norm_type)), np.float32))


def _norm(arrays: list[np.ndarray], norm_type: float) -> float:
    if norm_type == math.inf:
        return max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)
    if norm_type == 2.0:
        by_dtype: dict[np.dtype, list[np.ndarray]] = {}
        for array in arrays:
            by_dtype.setdefault(array.dtype, []).append(np.ascontiguousarray(array))
        return math.hypot(*(grad_norm(same) for same in by_dtype.values()))
    return math.fsum(float((np.abs(a.astype(np.float64)) ** norm_type).sum()) for a in arrays) ** (
        1.0 / norm_type
    )


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients, in place, so that their norm together is at most `max_norm`. Returns the norm
    before.

    norm_type: 2, any other number above 0, or `math.inf` for the largest absolute value.
    error_if_nonfinite: raise RuntimeError when the norm is NaN or infinite; otherwise the gradients become so
    too.

    The gradients are multiplied by max_norm / (norm + 1e-6) when that is less than 1, as in PyTorch.
    """
    gradients = list(_gradients(parameters))
    total = _norm(gradients, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {total}. Look for the operation that made it "
            "with `with detect_anomaly():`, or pass error_if_nonfinite=False."
        )
    scale = max_norm / (total + 1e-6)
    if not scale >= 1.0:  # NaN too
        for g in gradients:
            g *= g.dtype.type(scale)
    dtype = gradients[0].dtype if gradients else np.float32
    return new_tensor(np.asarray(total, dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of every gradient, in place, into ±clip_value."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened and joined; gradients flow back through it."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in order.

    Raises ValueError when the vector is not as long as the parameters together.
    """
    params = list(parameters)
    expected = sum(p._data.size for p in params)
    if vec.ndim != 1 or vec._data.size != expected:
        raise ValueError(
            f"vector_to_parameters: expected a vector of {expected} elements, got shape {vec.shape}"
        )
    start = 0
    for p in params:
        part = vec._data[start : start + p._data.size].reshape(p._data.shape)
        p._write(lambda data, part=part: np.copyto(data, part))
        start += part.size
