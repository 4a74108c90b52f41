"""Tensors from data and from a rule, and what is asked of several."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.dtypes import as_dtype, check_device, float32
from tinytorch.tensor import Tensor


def made(array: np.ndarray, requires_grad: bool = False, device: Any = None) -> Tensor:
    """What a creator returns: a leaf around `array`."""
    check_device(device)
    tensor = new_tensor(array)
    return tensor.requires_grad_() if requires_grad else tensor


def sizes(name: str, lengths: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(size=(2, 3))` mean the same; lengths must be whole numbers from 0 on."""
    if size is not None and lengths:
        raise TypeError(f"{name}: expected a shape by position or as size, got {lengths} and {size}")
    size = lengths if size is None else (size,)
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    try:
        lengths = tuple(n.__index__() for n in size)
    except (AttributeError, TypeError):
        raise TypeError(f"{name}: expected whole numbers as lengths, got {size}") from None
    if any(n < 0 for n in lengths):
        raise ValueError(f"{name}: expected lengths from 0 on, got {lengths}")
    return lengths


# --- from data ------------------------------------------------------------------------------------------


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, an ndarray or a tensor.

    Python floats become float32, integers int64; arrays keep their dtype (float16 becomes float32).

    >>> import tinytorch as tt
    >>> tt.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    if isinstance(data, (list, tuple)) and any(isinstance(item, Tensor) for item in data):
        data = _values(data)
    read = Tensor(data, None if dtype is None else as_dtype(dtype))
    array = read._data
    if isinstance(data, (Tensor, np.ndarray)) or not array.flags.owndata:
        array = np.array(array)
    fresh = made(array, requires_grad)
    fresh._cut = read._cut
    return fresh


def _values(data: Any) -> Any:
    """Nested lists with the numbers of the tensors in them."""
    if isinstance(data, Tensor):
        return data._data.tolist()
    return [_values(item) for item in data] if isinstance(data, (list, tuple)) else data


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor that shares its memory where it can; a tensor of that dtype is returned as it is.

    >>> import tinytorch as tt
    >>> tt.as_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    return Tensor(data, None if dtype is None else as_dtype(dtype))


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor around `array`, sharing its memory: what changes one changes the other.

    >>> import numpy as np, tinytorch as tt
    >>> a = np.zeros(2)
    >>> t = tt.from_numpy(a)
    >>> a[0] = 5.0
    >>> t
    tensor([5., 0.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy: expected an ndarray, got {type(array).__name__}. Use tensor() for a copy."
        )
    if array.dtype == np.float16 or not array.dtype.isnative:
        raise TypeError(
            f"from_numpy: dtype {array.dtype} cannot be shared. Use tensor() for a copy in float32."
        )
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of another library's, handed over by the DLPack protocol.

    >>> import numpy as np, tinytorch as tt
    >>> tt.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    return Tensor(np.from_dlpack(source))


# --- from a rule ----------------------------------------------------------------------------------------


def _filled(shape: tuple[int, ...], value: Any, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    dtype = float32 if dtype is None else as_dtype(dtype)
    return made(np.full(shape, value, dtype), requires_grad, device)


def zeros(
    *shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Zeros of a shape, float32 unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.zeros(2, 3).shape
    (2, 3)
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return made(np.zeros(sizes("zeros", shape, size), dtype), requires_grad, device)


def ones(
    *shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Ones of a shape, float32 unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.ones(2)
    tensor([1., 1.])
    """
    return _filled(sizes("ones", shape, size), 1, dtype, requires_grad, device)


def empty(
    *shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A tensor whose elements are whatever was in memory.

    >>> import tinytorch as tt
    >>> tt.empty(2, 3).shape
    (2, 3)
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return made(np.empty(sizes("empty", shape, size), dtype), requires_grad, device)


def full(
    size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """One value everywhere; its own kind decides the dtype unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.full((2,), 7)
    tensor([7, 7])
    """
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    shape = sizes("full", (size,) if isinstance(size, (int, np.integer)) else (tuple(size),))
    return _filled(shape, value, type(value) if dtype is None else dtype, requires_grad, device)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.zeros_like(tt.ones(2))
    tensor([0., 0.])
    """
    dtype = x.dtype if dtype is None else dtype
    return zeros(x.shape, dtype=dtype, requires_grad=requires_grad, device=device)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.ones_like(tt.zeros(2))
    tensor([1., 1.])
    """
    dtype = x.dtype if dtype is None else dtype
    return ones(x.shape, dtype=dtype, requires_grad=requires_grad, device=device)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """An uninitialised tensor of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.empty_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    dtype = x.dtype if dtype is None else dtype
    return empty(x.shape, dtype=dtype, requires_grad=requires_grad, device=device)


def full_like(
    x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """One value everywhere, in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.full_like(tt.zeros(2), 7.0)
    tensor([7., 7.])
    """
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype, requires_grad, device)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers from `start` (default 0) up to, not including, `end`: int64 if all are whole, else float32.

    >>> import tinytorch as tt
    >>> tt.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: expected a step that leads from {start} to {end}, got {step}")
    if dtype is None:
        dtype = float if any(isinstance(v, float) for v in (start, end, step)) else int
    count = math.ceil((end - start) / step)
    return made((start + step * np.arange(count)).astype(as_dtype(dtype)), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """`steps` numbers at even distances from `start` to `end`, both included.

    >>> import tinytorch as tt
    >>> tt.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return made(np.linspace(start, end, steps).astype(dtype), requires_grad, device)


def eye(
    n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix (default: square), zeros elsewhere.

    >>> import tinytorch as tt
    >>> tt.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return made(np.eye(n, m, dtype=float32 if dtype is None else as_dtype(dtype)), requires_grad, device)


def meshgrid(*tensors: Any, indexing: Literal["ij", "xy"] = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: for each of the 1-d tensors one tensor of the shape of the grid.

    >>> import tinytorch as tt
    >>> [grid.tolist() for grid in tt.meshgrid(tt.arange(2), tt.arange(2))]
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    vectors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    arrays = np.meshgrid(*(as_tensor(v)._data for v in vectors), indexing=indexing)
    return tuple(made(np.ascontiguousarray(a)) for a in arrays)


# --- questions ------------------------------------------------------------------------------------------


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor.

    >>> import tinytorch as tt
    >>> tt.is_tensor(tt.ones(2))
    True
    """
    return isinstance(value, Tensor)


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> import tinytorch as tt
    >>> tt.equal(tt.ones(2), tt.zeros(2))
    False
    """
    return a.shape == b.shape and bool(np.array_equal(a._data, b._data))


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `|a - b| <= atol + rtol * |b|` for all elements.

    >>> import tinytorch as tt
    >>> tt.allclose(tt.ones(2), tt.ones(2) + 1e-7)
    True
    """
    return bool(np.allclose(a._data, b._data, rtol, atol, equal_nan))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors stretched to their common shape; views.

    >>> import tinytorch as tt
    >>> [t.shape for t in tt.broadcast_tensors(tt.ones(2, 1), tt.ones(3))]
    [(2, 3), (2, 3)]
    """
    shape = np.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)
