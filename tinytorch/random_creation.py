"""Tensors of random numbers, drawn from the generator that `manual_seed` sets, or from one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.creation import as_tensor, made, sizes
from tinytorch.dtypes import as_dtype, float32
from tinytorch.kernels import random as kernels
from tinytorch.random import Generator, default_generator
from tinytorch.tensor import Tensor


def _float(name: str, dtype: Any) -> np.dtype:
    dtype = float32 if dtype is None else as_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype}")
    return dtype


def rand(
    *shape: Any,
    size: Any = None,
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
    numbers = random.uniform(sizes("rand", shape, size), _float("rand", dtype), generator)
    return made(numbers, requires_grad, device)


def randn(
    *shape: Any,
    size: Any = None,
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
    numbers = random.normal(sizes("randn", shape, size), _float("randn", dtype), generator)
    return made(numbers, requires_grad, device)


def rand_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """`rand` in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.rand_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    dtype = x.dtype if dtype is None else dtype
    return rand(x.shape, dtype=dtype, requires_grad=requires_grad, device=device)


def randn_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """`randn` in the shape and dtype of `x`.

    >>> import tinytorch as tt
    >>> tt.randn_like(tt.zeros(2, 3)).shape
    (2, 3)
    """
    dtype = x.dtype if dtype is None else dtype
    return randn(x.shape, dtype=dtype, requires_grad=requires_grad, device=device)


def normal(mean: float, std: float, size: Any, generator: Generator | None = None) -> Tensor:
    """Random numbers from the normal distribution with that mean and standard deviation.

    >>> import tinytorch as tt
    >>> tt.normal(5.0, 0.1, (2, 3)).shape
    (2, 3)
    """
    if std < 0:
        raise ValueError(f"normal: expected a standard deviation not below 0, got {std}")
    return made(
        random.normal(sizes("normal", (size,)), float32, generator) * float32.type(std) + float32.type(mean)
    )


def randint(
    low: Any = None,
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
    elif low is None or high is None:
        low, high = 0, low if high is None else high
    if size is None or isinstance(size, (int, np.integer)):
        raise TypeError(f"randint: expected a shape such as (3,), got {size!r}")
    if high <= low:
        raise ValueError(f"randint: expected high above low, got {low} and {high}")
    source = (generator or default_generator).numpy()
    numbers = source.integers(low, high, sizes("randint", (tuple(size),)))
    return made(np.asarray(numbers, np.int64 if dtype is None else as_dtype(dtype)), device=device)


def randperm(n: int, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order.

    >>> import tinytorch as tt
    >>> sorted(tt.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    order = (generator or default_generator).numpy().permutation(n)
    return made(order.astype(np.int64 if dtype is None else as_dtype(dtype)), device=device)


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
    return made(kernels.bernoulli(chances, seed, offset))


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
        return made(np.array(found, np.int64).reshape(draws.shape))
    if (weights > 0).sum(axis=-1).min() < num_samples:
        raise ValueError(
            f"multinomial: expected {num_samples} numbers above 0 in each row, to draw without replacement"
        )
    with np.errstate(divide="ignore"):
        keys = np.log(source.random(weights.shape)) / weights
    return made(np.argsort(-keys, axis=-1, kind="stable")[..., :num_samples].astype(np.int64))
