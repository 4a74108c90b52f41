"""Sums, means and products over any axes; whether any or all elements are true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.dtypes import as_dtype
from tinytorch.kernels import reduce as kernels
from tinytorch.ops.common import (
    Array,
    Axes,
    bad_dim,
    count_input,
    kept,
    normalize_axes,
    normalize_axis,
)
from tinytorch.ops.shape import diagonal


def over_axes(s: Any) -> list[Sample]:
    """Samples for a reduction over any axes."""
    return [
        Sample(s(3, 4)),
        Sample(s(3, 4), dim=0),
        Sample(s(3, 4), dim=-1, keepdim=True),
        Sample(s(2, 3, 4), dim=(0, 2)),
        Sample(s(2, 3, 4), dim=1),
        Sample(s(2, 3, 4), dim=(1, 2), keepdim=True),
        Sample(s()),
    ]


def _converted(s: Any) -> list[Sample]:
    return [Sample(s(3, 4), dim=1, dtype=np.dtype(np.float64))]


def np_dim(dim: Axes) -> Any:
    """`dim` as NumPy takes it."""
    return tuple(dim) if isinstance(dim, list) else dim


def spread(ctx: Node, g: Any, name: str) -> Any:
    """`g` with the reduced axes back, of length 1: it broadcasts against the argument."""
    shape = ctx.shape_of(0)
    return g.reshape(kept(shape, normalize_axes(name, ctx.params.get("dim"), len(shape))))


def length(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape[i] for i in axes)


@op(
    cost=count_input,
    samples=lambda s: [*over_axes(s), Sample(s(0, 3), dim=0), Sample(s(0, 3), dim=1), *_converted(s)],
    refuses=lambda s: [
        *bad_dim("sum")(s),
        Refusal((s(3, 4),), {"dim": (0, 0)}, ValueError, "names an axis twice"),
    ],
    reference=lambda x, dim=None, keepdim=False, dtype=None: np.sum(
        x, axis=np_dim(dim), keepdims=keepdim, dtype=dtype
    ),
    oracle=lambda t, x, dim=None, keepdim=False, dtype=None: t.sum(
        x, () if dim is None else dim, keepdim, dtype=None if dtype is None else getattr(t, dtype.name)
    ),
)
def sum(x: Array, /, dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Sum over `dim` (default: all axes); booleans and integers are added as int64, or all in `dtype`.

    >>> import tinytorch as tt
    >>> tt.sum(tt.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    if dtype is None:
        return kernels.sum(x, normalize_axes("sum", dim, x.ndim), keepdim)
    dtype = as_dtype(dtype)
    total = kernels.sum(x.astype(dtype, copy=False), normalize_axes("sum", dim, x.ndim), keepdim)
    return total.astype(dtype, copy=False)


@sum.gradient
def _(ctx: Node, g: Any) -> Any:
    return spread(ctx, g, "sum").expand(ctx.shape_of(0))


@op(
    cost=lambda g, out, shape: g.size,
    samples=lambda s: [
        Sample(s(2, 3, 4), shape=(3, 1)),
        Sample(s(2, 3), shape=()),
        Sample(s(2, 3), shape=(2, 3)),
    ],
    reference=lambda g, shape: _naive_sum_to(g, shape),
)
def sum_to(g: Array, /, shape: tuple[int, ...]) -> Array:
    """Undo broadcasting: sum `g` over the axes along which a tensor of `shape` was stretched."""
    return g if g.shape == shape else kernels.sum_to(g, shape)


@sum_to.gradient
def _(ctx: Node, h: Any) -> Any:
    return h.expand(ctx.shape_of(0))


def _naive_sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


def trace(x: Any) -> Any:
    """The sum of the diagonal of a matrix.

    >>> import tinytorch as tt
    >>> tt.trace(tt.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if x.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {x.shape}")
    return sum(diagonal(x))


def check_float(name: str, x: Array) -> None:
    """Refuse integers and booleans, whose result would need another dtype."""
    if x.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating point tensor, got {x.dtype}. Convert it with .float() first."
        )


def integers(name: str) -> Any:
    """An axis that is not there and a dtype that is not wanted, and what `name` says to them."""
    text = rf"{name}: expected a floating point tensor, got int64"
    return lambda s: [*bad_dim(name)(s), Refusal((np.array([1, 2]),), {}, TypeError, text)]


@op(
    cost=count_input,
    samples=lambda s: [*over_axes(s), *_converted(s), Sample(np.array([1, 2]), dtype=np.dtype(np.float64))],
    refuses=lambda s: [
        *integers("mean")(s),
        Refusal((s(0, 3),), {}, ValueError, r"mean: .* shape \(0, 3\) .* no elements"),
    ],
    reference=lambda x, dim=None, keepdim=False, dtype=None: np.mean(
        x, axis=np_dim(dim), keepdims=keepdim, dtype=dtype
    ),
    oracle=lambda t, x, dim=None, keepdim=False, dtype=None: t.mean(
        x, () if dim is None else dim, keepdim, dtype=None if dtype is None else getattr(t, dtype.name)
    ),
)
def mean(x: Array, /, dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Average over `dim` (default: all axes), computed in `dtype`.

    >>> import tinytorch as tt
    >>> tt.mean(tt.tensor([[1.0, 2.0], [3.0, 5.0]]), dim=0)
    tensor([2. , 3.5])
    """
    if dtype is not None:
        x = x.astype(as_dtype(dtype), copy=False)
    check_float("mean", x)
    axes = normalize_axes("mean", dim, x.ndim)
    if not x.size and not length(x.shape, axes):
        raise ValueError(f"mean: a tensor of shape {x.shape} has no elements along dim {dim} to average over")
    return kernels.mean(x, axes, keepdim)


@mean.gradient
def _(ctx: Node, g: Any) -> Any:
    shape = ctx.shape_of(0)
    share = 1.0 / length(shape, normalize_axes("mean", ctx.params.get("dim"), len(shape)))
    return spread(ctx, g * share, "mean").expand(shape)


def _products(s: Any) -> list[Sample]:
    x = s(3, 4, low=0.5, high=1.5)
    one, two = x.copy(), x.copy()
    one[1, 2] = 0.0
    two[1, 2] = two[1, 0] = 0.0
    return [
        Sample(x),
        Sample(x, dim=0),
        Sample(one, dim=1),
        Sample(two, dim=1, keepdim=True),
        Sample(one),
        Sample(s(0)),
    ]


@op(
    saves=("output", 0),
    cost=count_input,
    samples=_products,
    refuses=bad_dim("prod"),
    reference=lambda x, dim=None, keepdim=False: np.prod(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.prod(x) if dim is None else t.prod(x, dim, keepdim),
)
def prod(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """Product over one axis (default: of all elements).

    >>> import tinytorch as tt
    >>> tt.prod(tt.tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    axes = normalize_axes("prod", dim, x.ndim)
    dtype = x.dtype if x.dtype.kind == "f" else np.int64
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdim, dtype=dtype))


@prod.gradient
def _(ctx: Node, g: Any) -> Any:
    x, dim = ctx[0], ctx.params.get("dim")
    if x._data.all():
        return spread(ctx, g * ctx.output, "prod") / x
    if dim is None:
        return (g * _product_of_others(x.reshape(-1))).reshape(x.shape)
    last = x.movedim(dim, -1)
    return spread(ctx, g, "prod") * _product_of_others(last).movedim(-1, dim)


def _product_of_others(x: Any) -> Any:
    """For each element the product of the others in its row, where a 1 takes its place: zeros do no harm."""
    n = x.shape[-1]
    own = new_tensor(np.eye(n, dtype=np.bool_))
    return prod(x.unsqueeze(-2).expand((*x.shape[:-1], n, n)).masked_fill(own, 1.0), dim=-1)


@op(
    cost=count_input,
    samples=lambda s: [
        Sample(s(3, 4), dim=0),
        Sample(s(2, 3, 4), dim=-1),
        Sample(s(0, 3), dim=0),
        Sample(s(5), dim=0),
    ],
    refuses=bad_dim("cumsum"),
    reference=lambda x, dim: np.cumsum(x, axis=dim),
    oracle=lambda t, x, dim: t.cumsum(x, dim),
)
def cumsum(x: Array, /, dim: int) -> Array:
    """Running sum along `dim`.

    >>> import tinytorch as tt
    >>> tt.cumsum(tt.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    axis = normalize_axis("cumsum", dim, x.ndim)
    if x.ndim == 0 or x.dtype.kind != "f":
        return np.cumsum(
            x, axis=axis if x.ndim else None, dtype=None if x.dtype.kind == "f" else np.int64
        ).reshape(x.shape)
    return kernels.cumsum(x, axis)


@cumsum.gradient
def _(ctx: Node, g: Any) -> Any:
    dim = ctx.params["dim"]
    return cumsum(g.flip(dim), dim=dim).flip(dim)


def _truths(s: Any) -> list[Sample]:
    return [
        Sample(s.mask(3, 4)),
        Sample(s.mask(3, 4), dim=1),
        Sample(s.mask(3, 4), dim=0, keepdim=True),
        Sample(s.mask(0, 4)),
    ]


@op(
    differentiable=False,
    cost=count_input,
    samples=_truths,
    refuses=bad_dim("any"),
    reference=lambda x, dim=None, keepdim=False: np.any(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.any(x) if dim is None else t.any(x, dim, keepdim),
)
def any(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """Whether at least one element over `dim` is true (not zero).

    >>> import tinytorch as tt
    >>> tt.any(tt.tensor([[True, False], [False, False]]), dim=1)
    tensor([ True, False])
    """
    return np.asarray(np.any(x, axis=normalize_axes("any", dim, x.ndim), keepdims=keepdim))


@op(
    differentiable=False,
    cost=count_input,
    samples=_truths,
    refuses=bad_dim("all"),
    reference=lambda x, dim=None, keepdim=False: np.all(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.all(x) if dim is None else t.all(x, dim, keepdim),
)
def all(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """Whether all elements over `dim` are true (not zero).

    >>> import tinytorch as tt
    >>> tt.all(tt.tensor([[True, True], [True, False]]), dim=1)
    tensor([ True, False])
    """
    return np.asarray(np.all(x, axis=normalize_axes("all", dim, x.ndim), keepdims=keepdim))
