"""The operators and methods of `Tensor`: one line each, spelled as in PyTorch, carried out by `tinytorch.ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops
from tinytorch.ops.reduce import Axes

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor


class TensorMethods:
    """Sugar over the ops; `Tensor` adds the data and the graph."""

    _data: np.ndarray

    # --- arithmetic -------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    # --- elementwise ------------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        return ops.exp(self)

    def log(self) -> Tensor:
        return ops.log(self)

    def sqrt(self) -> Tensor:
        return ops.sqrt(self)

    def relu(self) -> Tensor:
        return ops.relu(self)

    # --- reductions -------------------------------------------------------------------------------------

    def sum(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return ops.sum(self, dim=dim, keepdim=keepdim)

    def sum_to(self, shape: tuple[int, ...]) -> Tensor:
        """Sum over the axes along which a tensor of `shape` would be broadcast to this one."""
        return ops.sum_to(self, shape=shape)

    # --- shape ------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, shape=_sizes(shape))

    def permute(self, *dims: Any) -> Tensor:
        return ops.permute(self, dims=_sizes(dims))

    def expand(self, *shape: Any) -> Tensor:
        return ops.expand(self, shape=_sizes(shape))

    # --- dtype ------------------------------------------------------------------------------------------

    def to(self, dtype: Any) -> Tensor:
        """The same values in `dtype`; itself where it has that already."""
        return self if self._data.dtype == dtype else ops.cast(self, dtype=np.dtype(dtype))


def _sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
