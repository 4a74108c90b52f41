"""The norm of all gradients together, and clipping by it or by value."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels.optim import grad_norm
from tinytorch.tensor import Tensor


def _list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray]:
    return [p.grad._data for p in _list(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of `tensors` together, of their dtype.

    norm_type: 2, any other number, `math.inf` for the largest absolute value, or 0, which as in PyTorch
    counts the tensors that are not all zero.
    error_if_nonfinite: raise RuntimeError when the norm is NaN or infinite.
    foreach: of no effect.
    """
    arrays = [t._data for t in _list(tensors)]
    return _of_dtype(arrays, _norm("get_total_norm", arrays, norm_type, error_if_nonfinite))


def _of_dtype(arrays: list[np.ndarray], total: float) -> Tensor:
    return new_tensor(np.asarray(total, np.result_type(*arrays) if arrays else np.float32))


def _norm(name: str, arrays: list[np.ndarray], norm_type: float, error_if_nonfinite: bool) -> float:
    total = _euclidean(arrays) if norm_type == 2.0 else _other_norm(arrays, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"{name}: the norm of the gradients is {total}. Look for the operation that made it with `with "
            "detect_anomaly():`, or pass error_if_nonfinite=False."
        )
    return total


def _euclidean(arrays: list[np.ndarray]) -> float:
    by_dtype: dict[np.dtype, list[np.ndarray]] = {}
    for array in arrays:
        by_dtype.setdefault(array.dtype, []).append(np.ascontiguousarray(array))
    return math.hypot(*(grad_norm(same) for same in by_dtype.values()))


def _other_norm(arrays: list[np.ndarray], norm_type: float) -> float:
    norms = [np.linalg.norm(a.astype(np.float64).ravel(), norm_type) for a in arrays if a.size]
    return float(np.linalg.norm(norms, norm_type)) if norms else 0.0


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients, in place, so that their norm together is at most `max_norm`. Returns the norm
    before.

    norm_type, foreach: as `get_total_norm`.
    error_if_nonfinite: raise RuntimeError when the norm is NaN or infinite; otherwise the gradients become so
    too.

    The gradients are multiplied by max_norm / (norm + 1e-6) when that is less than 1, as in PyTorch.
    """
    gradients = _gradients(parameters)
    total = _norm("clip_grad_norm_", gradients, norm_type, error_if_nonfinite)
    scale = max_norm / (total + 1e-6)
    if not scale >= 1.0:  # NaN too
        for g in gradients:
            g *= g.dtype.type(scale)
    return _of_dtype(gradients, total)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Bring every element of every gradient, in place, into ±clip_value. foreach: of no effect."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)
