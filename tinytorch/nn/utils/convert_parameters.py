"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinytorch import ops
from tinytorch.tensor import Tensor


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
