"""`Flatten` and `Unflatten`: layers that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinytorch.nn._module import Module


class Flatten(Module):
    """Join the dimensions from `start_dim` to `end_dim`: (n, 1, 28, 28) -> (n, 784). A view, where it can be.

    >>> import tinytorch as tt
    >>> Flatten()(tt.zeros(64, 1, 28, 28)).shape
    (64, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """(..., *joined, ...) -> (..., product, ...)."""
        shape = input.shape
        start, end = _axis("Flatten", self.start_dim, shape), _axis("Flatten", self.end_dim, shape)
        if start > end:
            raise ValueError(
                f"Flatten: start_dim={self.start_dim} lies behind end_dim={self.end_dim} for an input of "
                f"shape {shape}"
            )
        joined = math.prod(shape[start : end + 1])
        return input.reshape((*shape[:start], joined, *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split dimension `dim` into `unflattened_size`, of which one may be -1. A view, where it can be.

    >>> import tinytorch as tt
    >>> Unflatten(1, (1, 28, 28))(tt.zeros(64, 784)).shape
    (64, 1, 28, 28)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        """(..., product, ...) -> (..., *sizes, ...)."""
        shape = input.shape
        at = _axis("Unflatten", self.dim, shape)
        sizes = self.unflattened_size
        known = math.prod(size for size in sizes if size != -1)
        open_ends = sizes.count(-1)
        fits = (
            known == shape[at] if not open_ends else open_ends == 1 and known > 0 and shape[at] % known == 0
        )
        if not fits:
            raise ValueError(
                f"Unflatten: expected sizes whose product is {shape[at]}, the length of dim {self.dim} of "
                f"shape {shape}, got {sizes}"
            )
        return input.reshape((*shape[:at], *sizes, *shape[at + 1 :]))

    def extra_repr(self) -> str:
        """The dimension and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _axis(name: str, dim: int, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= dim < len(shape):
        raise IndexError(f"{name}: dim {dim} is out of range for an input of shape {shape}")
    return dim % len(shape)
