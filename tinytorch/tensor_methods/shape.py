"""Views, rearrangements, and access by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops
from tinytorch.tensor_methods.base import HasData

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor


def _sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


class Shapes(HasData):
    """The same elements in another order."""

    # --- shape ----------------------------------------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        return self._data.shape if dim is None else self._data.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        return self._data.size

    nelement = numel

    def dim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    ndimension = dim

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._data.nbytes

    @property
    def T(self) -> Tensor:
        """The axes in reverse order; a view."""
        return ops.permute(self, dims=tuple(range(self._data.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """Each matrix transposed: the last two axes exchanged; a view."""
        if self._data.ndim < 2:
            raise ValueError(f"mT: expected at least 2 dimensions, got shape {self._data.shape}")
        return ops.transpose(self, -2, -1)

    def t(self) -> Tensor:
        """A matrix transposed; a view."""
        return ops.t(self)

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, shape=_sizes(shape))

    def view(self, *shape: Any) -> Tensor:
        """`reshape` without a copy: an error where the layout does not allow it."""
        sizes = _sizes(shape)
        viewed = ops.reshape(self, shape=sizes)
        if viewed._data.size and not np.may_share_memory(viewed._data, self._data):
            raise RuntimeError(
                f"view: shape {self._data.shape} with strides {self._data.strides} cannot be seen as "
                f"{viewed._data.shape} without a copy. Use .reshape(), or .contiguous() first."
            )
        return viewed

    def view_as(self, other: Tensor) -> Tensor:
        return self.view(other._data.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        return ops.reshape(self, shape=other._data.shape)

    def permute(self, *order: Any, dims: Sequence[int] | None = None) -> Tensor:
        return ops.permute(self, dims=_sizes(order) if dims is None else tuple(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return ops.transpose(self, dim0, dim1)

    def movedim(self, source: Any, destination: Any) -> Tensor:
        return ops.movedim(self, source, destination)

    def expand(self, *shape: Any) -> Tensor:
        return ops.expand(self, shape=_sizes(shape))

    def expand_as(self, other: Tensor) -> Tensor:
        return ops.expand(self, shape=other._data.shape)

    def squeeze(self, dim: Any = None) -> Tensor:
        return ops.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        return ops.unsqueeze(self, dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return ops.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        return ops.reshape(self, shape=(-1,))

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> Tensor:
        return ops.unflatten(self, dim, sizes)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        return ops.diagonal(self, offset=offset, dim1=dim1, dim2=dim2)

    def diag(self, diagonal: int = 0) -> Tensor:
        return ops.diag(self, diagonal)

    def trace(self) -> Tensor:
        return ops.trace(self)

    def flip(self, *dims: Any) -> Tensor:
        return ops.flip(self, dims=_sizes(dims))

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        return ops.roll(self, shifts=shifts, dims=dims)

    def repeat(self, *sizes: Any) -> Tensor:
        return ops.repeat(self, _sizes(sizes))

    def tile(self, *dims: Any) -> Tensor:
        return ops.tile(self, _sizes(dims))

    def repeat_interleave(self, repeats: int, dim: int | None = None) -> Tensor:
        return ops.repeat_interleave(self, repeats, dim)

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        return ops.narrow(self, dim, start, length)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        return ops.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return ops.chunk(self, chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        return ops.unbind(self, dim)

    def contiguous(self) -> Tensor:
        """Itself where the elements lie in row-major order, else a copy that does."""
        return self if self._data.flags.c_contiguous else self.clone()  # pyright: ignore[reportReturnType]

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return self._data.flags.c_contiguous

    def stride(self, dim: int | None = None) -> Any:
        """Elements between neighbours along each axis, or along one."""
        strides = tuple(n // self._data.itemsize for n in self._data.strides)
        return strides if dim is None else strides[dim]

    # --- by index -------------------------------------------------------------------------------------------

    def gather(self, dim: int, index: Any) -> Tensor:
        return ops.gather(self, dim, index)

    def scatter(self, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Tensor:
        return ops.scatter(self, dim, index, src, value=value)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        return ops.scatter_add(self, dim, index, src)

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
        return ops.index_add(self, dim, index, source, alpha=alpha)

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Tensor:
        return ops.take_along_dim(self, indices, dim)

    def index_select(self, dim: int, index: Any) -> Tensor:
        return ops.index_select(self, dim, index)

    def masked_select(self, mask: Any) -> Tensor:
        return ops.masked_select(self, mask)

    def bincount(self, weights: Any = None, minlength: int = 0) -> Tensor:
        return ops.bincount(self, weights, minlength)

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        return ops.unique(self, sorted, return_inverse, return_counts, dim)

    def nonzero(self, as_tuple: bool = False) -> Any:
        return ops.nonzero(self, as_tuple)
