"""Other dtypes, copies, and new tensors like this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.dtypes import CPU, as_dtype, check_device
from tinytorch.dtypes import device as Device
from tinytorch.tensor_methods.base import HasData
from tinytorch.tensor_methods.shape import _sizes

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor


class Conversions(HasData):
    """To another dtype, or to memory of its own."""

    def to(
        self,
        *target: Any,
        dtype: Any = None,
        device: Any = None,
        copy: Any = False,
        non_blocking: Any = False,
    ) -> Tensor:
        """The same values in another dtype, or in that of another tensor; itself where nothing changes.

        non_blocking: for PyTorch's sake; there is nothing to wait for.
        """
        for t in target:
            if isinstance(t, HasData):
                dtype = t._data.dtype
            elif isinstance(t, str) and t.partition(":")[0] in ("cpu", "cuda", "mps", "meta"):
                device = t
            else:
                dtype = t
        if device is not None:
            check_device(device)
        if dtype is not None and self._data.dtype != dtype:
            dtype = as_dtype(dtype)
            if self._data.dtype != dtype:
                return ops.cast(self, dtype=dtype)
        return self.clone() if copy else self  # pyright: ignore[reportReturnType]

    def type_as(self, other: Tensor) -> Tensor:
        return self.to(other._data.dtype)

    def float(self) -> Tensor:
        return self.to(np.float32)

    def double(self) -> Tensor:
        return self.to(np.float64)

    def long(self) -> Tensor:
        return self.to(np.int64)

    def int(self) -> Tensor:
        return self.to(np.int32)

    def bool(self) -> Tensor:
        return self.to(np.bool_)

    def cpu(self) -> Tensor:
        return self  # pyright: ignore[reportReturnType]

    @property
    def device(self) -> Device:
        """Where the elements are: always `device("cpu")`."""
        return CPU

    @property
    def is_cuda(self) -> Any:
        """Whether the elements are on a GPU: never."""
        return False

    @property
    def itemsize(self) -> Any:
        """Bytes of one element."""
        return self._data.itemsize

    def is_floating_point(self) -> Any:
        """Whether the elements are floating point numbers."""
        return self._data.dtype.kind == "f"

    def clone(self) -> Tensor:
        """A copy with memory of its own, through which gradients flow."""
        return ops.clone(self)

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
        """A tensor with a copy of `data`, of this tensor's dtype."""
        array = np.array(data, self._data.dtype if dtype is None else as_dtype(dtype))
        return new_tensor(array).requires_grad_(requires_grad)

    def new_zeros(self, *size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
        """Zeros of a shape, in this tensor's dtype."""
        return self.new_full(_sizes(size), 0, dtype, requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
        """Ones of a shape, in this tensor's dtype."""
        return self.new_full(_sizes(size), 1, dtype, requires_grad)

    def new_empty(self, *size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
        """An uninitialised tensor of a shape, in this tensor's dtype."""
        array = np.empty(_sizes(size), self._data.dtype if dtype is None else as_dtype(dtype))
        return new_tensor(array).requires_grad_(requires_grad)

    def new_full(self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
        """One value everywhere, in this tensor's dtype."""
        array = np.full(size, fill_value, self._data.dtype if dtype is None else as_dtype(dtype))
        return new_tensor(array).requires_grad_(requires_grad)
