"""The operators: `a + b`, `-a`, `a == b`, `a[index]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.tensor_methods.base import HasData

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor


_OPERATORS = {
    np.add: ops.add,
    np.subtract: ops.sub,
    np.multiply: ops.mul,
    np.divide: ops.div,
    np.floor_divide: ops.floor_divide,
    np.remainder: ops.remainder,
    np.power: ops.pow,
    np.matmul: ops.matmul,
    np.equal: ops.eq,
    np.not_equal: ops.ne,
    np.less: ops.lt,
    np.less_equal: ops.le,
    np.greater: ops.gt,
    np.greater_equal: ops.ge,
}


class Operators(HasData):
    """What Python writes with signs."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's hook: `ndarray + tensor` is left to the tensor, `np.sqrt(tensor)` works on its values."""
        if ufunc in _OPERATORS and method == "__call__" and not options:
            return _OPERATORS[ufunc](*inputs)
        arrays = [x.numpy() if isinstance(x, HasData) else x for x in inputs]
        result = getattr(ufunc, method)(*arrays, **options)
        if "out" in options or result is None:
            return result
        return tuple(map(new_tensor, result)) if isinstance(result, tuple) else new_tensor(np.asarray(result))

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

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __pos__(self) -> Tensor:
        return self  # pyright: ignore[reportReturnType]

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __eq__(self, other: object) -> Any:
        return False if other is None or isinstance(other, str) else ops.eq(self, other)

    def __ne__(self, other: object) -> Any:
        return True if other is None or isinstance(other, str) else ops.ne(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    def __and__(self, other: Any) -> Tensor:
        return _bitwise("&", np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return _bitwise("|", np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return _bitwise("^", np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Tensor:
        return new_tensor(np.asarray(np.invert(_whole("~", self._data))))

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == (value._data if isinstance(value, HasData) else value)).any())


def _whole(sign: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f":
        raise TypeError(
            f"{sign}: expected booleans or integers, got {array.dtype}. Compare first, as in x > 0."
        )
    return array


def _bitwise(sign: str, ufunc: np.ufunc, a: Any, b: Any) -> Any:
    other = b._data if isinstance(b, HasData) else np.asarray(b)
    return new_tensor(np.asarray(ufunc(_whole(sign, a._data), _whole(sign, other))))
