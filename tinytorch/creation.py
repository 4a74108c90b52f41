"""Tensors from data, from a rule, and from random numbers."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from tinytorch import random
from tinytorch.autograd.registry import new_tensor
from tinytorch.dtypes import as_dtype, check_device, float32
from tinytorch.kernels import random as kernels
from tinytorch.random import Generator, default_generator
from tinytorch.tensor import Tensor


def _made(array: np.ndarray, requires_grad: bool = False, device: Any = None) -> Tensor:
    check_device(device)
    tensor = new_tensor(array)
    return tensor.requires_grad_() if requires_grad else tensor


def sizes(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same; lengths must be whole numbers from 0 on."""
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
    made = Tensor(data, None if dtype is None else as_dtype(dtype))
    array = made._data
    if isinstance(data, (Tensor, np.ndarray)) or not array.flags.owndata:
        array = np.array(array)
    fresh = _made(array, requires_grad)
    fresh._cut = made._cut
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


def _filled(
    name: str, size: tuple[Any, ...], value: Any, dtype: Any, requires_grad: bool, device: Any
) -> Tensor:
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _made(np.full(sizes(name, size), value, dtype), requires_grad, device)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of a shape, float32 unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.zeros(2, 3).shape
    (2, 3)
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _made(np.zeros(sizes("zeros", size), dtype), requires_grad, device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of a shape, float32 unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.ones(2)
    tensor([1., 1.])
    """
    return _filled("ones", size, 1, dtype, requires_grad, device)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor whose elements are whatever was in memory.

    >>> import tinytorch as tt
    >>> tt.empty(2, 3).shape
    (2, 3)
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _made(np.empty(sizes("empty", size), dtype), requires_grad, device)


def full(
    size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """One value everywhere; its own kind decides the dtype unless said otherwise.

    >>> import tinytorch as tt
    >>> tt.full((2,), 7)
    tensor([7, 7])
    """
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    size = (size,) if isinstance(size, (int, np.integer)) else (tuple(size),)
    return _filled("full", size, value, type(value) if dtype is None else dtype, requires_grad, device)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.zeros_like(tt.ones(2))
    tensor([0., 0.])
    """
    return zeros(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.ones_like(tt.zeros(2))
    tensor([1., 1.])
    """
    return ones(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """An uninitialised tensor of the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.empty_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    return empty(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value everywhere, in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.full_like(tt.zeros(2), 7.0)
    tensor([7., 7.])
    """
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype, requires_grad)


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
    return _made((start + step * np.arange(count)).astype(as_dtype(dtype)), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """`steps` numbers at even distances from `start` to `end`, both included.

    >>> import tinytorch as tt
    >>> tt.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    dtype = float32 if dtype is None else as_dtype(dtype)
    return _made(np.linspace(start, end, steps).astype(dtype), requires_grad, device)


def eye(
    n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix (default: square), zeros elsewhere.

    >>> import tinytorch as tt
    >>> tt.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _made(np.eye(n, m, dtype=float32 if dtype is None else as_dtype(dtype)), requires_grad, device)


def meshgrid(*tensors: Any, indexing: Literal["ij", "xy"] = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: for each of the 1-d tensors one tensor of the shape of the grid.

    >>> import tinytorch as tt
    >>> [grid.tolist() for grid in tt.meshgrid(tt.arange(2), tt.arange(2))]
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    vectors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    arrays = np.meshgrid(*(as_tensor(v)._data for v in vectors), indexing=indexing)
    return tuple(_made(np.ascontiguousarray(a)) for a in arrays)


# --- from random numbers --------------------------------------------------------------------------------


def _float(name: str, dtype: Any) -> np.dtype:
    dtype = float32 if dtype is None else as_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype}")
    return dtype


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Random numbers, evenly from 0 up to, not including, 1.

    >>> import tinytorch as tt
    >>> x = tt.rand(1000)
    >>> 0.0 <= x.min().item() <= x.max().item() < 1.0
    True
    """
    return _made(random.uniform(sizes("rand", size), _float("rand", dtype), generator), requires_grad, device)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Random numbers from the normal distribution with mean 0 and variance 1.

    >>> import tinytorch as tt
    >>> tt.randn(2, 3).shape
    (2, 3)
    """
    return _made(
        random.normal(sizes("randn", size), _float("randn", dtype), generator), requires_grad, device
    )


def rand_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.rand_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    return rand(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def randn_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.randn_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    return randn(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def normal(mean: float, std: float, size: Any, generator: Generator | None = None) -> Tensor:
    """Random numbers from the normal distribution with that mean and standard deviation.

    >>> import tinytorch as tt
    >>> tt.normal(5.0, 0.1, (2, 3)).shape
    (2, 3)
    """
    if std < 0:
        raise ValueError(f"normal: expected a standard deviation not below 0, got {std}")
    return _made(
        random.normal(sizes("normal", (size,)), float32, generator) * float32.type(std) + float32.type(mean)
    )


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Random whole numbers from `low` up to, not including, `high`; `randint(high, size)` begins at 0.

    >>> import tinytorch as tt
    >>> set(tt.randint(1, 3, (100,)).tolist()) == {1, 2}
    True
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None or isinstance(size, (int, np.integer)):
        raise TypeError(f"randint: expected a shape such as (3,), got {size!r}")
    if high <= low:
        raise ValueError(f"randint: expected high above low, got {low} and {high}")
    source = (generator or default_generator).numpy()
    numbers = source.integers(low, high, sizes("randint", (tuple(size),)))
    return _made(np.asarray(numbers, np.int64 if dtype is None else as_dtype(dtype)), device=device)


def randperm(n: int, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order.

    >>> import tinytorch as tt
    >>> sorted(tt.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    order = (generator or default_generator).numpy().permutation(n)
    return _made(order.astype(np.int64 if dtype is None else as_dtype(dtype)), device=device)


def bernoulli(p: Any, generator: Generator | None = None) -> Tensor:
    """1 with probability `p`, else 0, for each element of the tensor `p`.

    >>> import tinytorch as tt
    >>> tt.bernoulli(tt.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    chances = as_tensor(p)._data
    if chances.dtype.kind != "f":
        raise TypeError(f"bernoulli: expected floating point probabilities, got {chances.dtype}")
    if chances.size and not (chances.min() >= 0 and chances.max() <= 1):
        raise ValueError(
            f"bernoulli: expected probabilities from 0 to 1, got {chances.min()} to {chances.max()}"
        )
    seed, offset = (generator or default_generator).take(kernels.blocks(chances.size, chances.dtype))
    return _made(kernels.bernoulli(chances, seed, offset))


def multinomial(
    probabilities: Tensor, num_samples: int, replacement: bool = False, generator: Generator | None = None
) -> Tensor:
    """`num_samples` random places of each row, in proportion to its numbers, which need not add up to 1.

    Source for drawing without replacement: Efraimidis and Spirakis 2006.

    >>> import tinytorch as tt
    >>> tt.multinomial(tt.tensor([0.0, 1.0, 0.0]), 4, replacement=True)
    tensor([1, 1, 1, 1])
    """
    weights = probabilities._data.astype(np.float64)
    if weights.ndim not in (1, 2):
        raise ValueError(f"multinomial: expected 1 or 2 dimensions, got shape {weights.shape}")
    if not np.isfinite(weights).all() or weights.min(initial=0.0) < 0 or not weights.sum(axis=-1).all():
        raise ValueError("multinomial: expected rows of finite numbers not below 0, with one above 0 in each")
    source = (generator or default_generator).numpy()
    if replacement:
        edges = np.cumsum(weights, axis=-1)
        draws = source.random((*weights.shape[:-1], num_samples)) * edges[..., -1:]
        rows, spots = edges.reshape(-1, edges.shape[-1]), draws.reshape(-1, num_samples)
        found = [np.searchsorted(row, spot, side="right") for row, spot in zip(rows, spots, strict=True)]
        return _made(np.array(found, np.int64).reshape(draws.shape))
    if (weights > 0).sum(axis=-1).min() < num_samples:
        raise ValueError(
            f"multinomial: expected {num_samples} numbers above 0 in each row, to draw without replacement"
        )
    with np.errstate(divide="ignore"):
        keys = np.log(source.random(weights.shape)) / weights
    return _made(np.argsort(-keys, axis=-1, kind="stable")[..., :num_samples].astype(np.int64))


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
