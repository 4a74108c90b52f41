"""The largest and the smallest: of two, of all, along an axis; and in order: sort, argsort, topk, median."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.kernels import elementwise
from tinytorch.kernels import reduce as kernels
from tinytorch.ops.common import (
    Array,
    Axes,
    bad_dim,
    check_broadcast,
    clash,
    count,
    count_input,
    kept,
    normalize_axes,
    normalize_axis,
    pairs,
    promote,
)
from tinytorch.ops.gather import gather


class ValuesIndices(NamedTuple):
    """What `max`, `min`, `sort` and `topk` along an axis return."""

    values: Any
    indices: Any


def _extremes(s: Any) -> list[Sample]:
    ties = np.array([1.0, 2.0, 3.0], s.dtype), np.array([1.0, 3.0, 2.0], s.dtype)
    return [*pairs(s), Sample(*ties, smooth=False)]


@op(
    saves=(0, 1),
    cost=count,
    samples=_extremes,
    refuses=clash("maximum"),
    reference=np.maximum,
    oracle=lambda t, a, b: t.maximum(a, b),
)
def maximum(a: Array, b: Array, /) -> Array:
    """The larger of `a` and `b`, NaN where either is; a tie shares its gradient equally.

    >>> import tinytorch as tt
    >>> tt.maximum(tt.tensor([1.0, 5.0]), tt.tensor([3.0, 2.0]))
    tensor([3., 5.])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("maximum", a, b)
    return elementwise.maximum(a, b)


@maximum.gradient
def _(ctx: Node, g: Any) -> Any:
    a, b = ctx[0]._data, ctx[1]._data
    return _share(ctx, g, (a > b) + 0.5 * (a == b))


@op(
    saves=(0, 1),
    cost=count,
    samples=_extremes,
    refuses=clash("minimum"),
    reference=np.minimum,
    oracle=lambda t, a, b: t.minimum(a, b),
)
def minimum(a: Array, b: Array, /) -> Array:
    """The smaller of `a` and `b`, NaN where either is; a tie shares its gradient equally.

    >>> import tinytorch as tt
    >>> tt.minimum(tt.tensor([1.0, 5.0]), tt.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("minimum", a, b)
    return elementwise.minimum(a, b)


@minimum.gradient
def _(ctx: Node, g: Any) -> Any:
    a, b = ctx[0]._data, ctx[1]._data
    return _share(ctx, g, (a < b) + 0.5 * (a == b))


def _share(ctx: Node, g: Any, to_a: Array) -> Any:
    """Gradients of (a, b): all to the one that won, half to each at a tie."""
    to_a = np.asarray(to_a, ctx.dtype)
    return (
        g * new_tensor(to_a) if ctx.needs[0] else None,
        g * new_tensor(np.asarray(1 - to_a)) if ctx.needs[1] else None,
    )


def _samples(s: Any) -> list[Sample]:
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], s.dtype)
    return [
        Sample(s(3, 4)),
        Sample(s(3, 4), dim=0),
        Sample(s(2, 3, 4), dim=-1, keepdim=True),
        Sample(s(5)),
        Sample(ties, dim=1, smooth=False),
        Sample(np.array([1.0, np.nan, 3.0], s.dtype), smooth=False),
        Sample(np.array([3, 1, 2])),
    ]


def _several(s: Any) -> list[Sample]:
    return [*_samples(s), Sample(s(2, 3, 4), dim=(0, 2)), Sample(s(0, 3), dim=1)]


def _empty(name: str) -> Any:
    text = rf"{name}: a tensor of shape \(0, 3\) has no elements along dim 0"
    return lambda s: [*bad_dim(name)(s), Refusal((s(0, 3),), {"dim": 0}, ValueError, text)]


def _check(name: str, x: Array, dim: Axes) -> tuple[int, ...]:
    axes = normalize_axes(name, dim, x.ndim)
    if not x.size and not math.prod(x.shape[i] for i in axes):
        raise ValueError(f"{name}: a tensor of shape {x.shape} has no elements along dim {dim}")
    return axes


@op(
    saves=("output", 0),
    cost=count_input,
    samples=_several,
    refuses=_empty("amax"),
    reference=lambda x, dim=None, keepdim=False: np.max(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.amax(x, () if dim is None else dim, keepdim),
)
def amax(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """The largest value over `dim` (default: all axes), NaN if one is; ties share the gradient equally.

    >>> import tinytorch as tt
    >>> tt.amax(tt.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    tensor([7., 5.])
    """
    return kernels.amax(x, _check("amax", x, dim), keepdim)


@op(
    saves=("output", 0),
    cost=count_input,
    samples=_several,
    refuses=_empty("amin"),
    reference=lambda x, dim=None, keepdim=False: np.min(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.amin(x, () if dim is None else dim, keepdim),
)
def amin(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """The smallest value over `dim` (default: all axes), NaN if one is; ties share the gradient equally.

    >>> import tinytorch as tt
    >>> tt.amin(tt.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    tensor([1., 2.])
    """
    return kernels.amin(x, _check("amin", x, dim), keepdim)


def _to_the_winners(ctx: Node, g: Any) -> Any:
    x = ctx[0]._data
    axes = normalize_axes(ctx.op.name, ctx.params.get("dim"), x.ndim)
    shape = kept(x.shape, axes)
    won = x == ctx.output._data.reshape(shape)
    with np.errstate(invalid="ignore"):
        share = won / won.sum(axis=axes, keepdims=True, dtype=x.dtype)
    return g.reshape(shape) * new_tensor(np.asarray(share, x.dtype))


amax.gradient(_to_the_winners)
amin.gradient(_to_the_winners)


@op(
    differentiable=False,
    cost=count_input,
    samples=_samples,
    refuses=_empty("argmax"),
    reference=lambda x, dim=None, keepdim=False: np.argmax(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.argmax(x, dim, keepdim),
)
def argmax(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index of the largest value along `dim`, or of all in row-major order; the first of equals.

    >>> import tinytorch as tt
    >>> tt.argmax(tt.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _index_of("argmax", kernels.argmax, x, dim, keepdim)


@op(
    differentiable=False,
    cost=count_input,
    samples=_samples,
    refuses=_empty("argmin"),
    reference=lambda x, dim=None, keepdim=False: np.argmin(x, axis=dim, keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.argmin(x, dim, keepdim),
)
def argmin(x: Array, /, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index of the smallest value along `dim`, or of all in row-major order; the first of equals.

    >>> import tinytorch as tt
    >>> tt.argmin(tt.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return _index_of("argmin", kernels.argmin, x, dim, keepdim)


def _index_of(name: str, kernel: Any, x: Array, dim: int | None, keepdim: bool) -> Array:
    axes = _check(name, x, dim)
    if dim is not None and not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{name}: expected one dim, got {dim}")
    if dim is not None and x.ndim:
        return np.asarray(kernel(x, axes[0], keepdim))
    found = np.asarray(kernel(x.reshape(-1), 0, False))
    return found.reshape((1,) * x.ndim) if keepdim else found


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along `dim`, the largest values and their indices; with a tensor, `maximum`.

    Along an axis the gradient goes to the element whose index is returned, the first of equals.

    >>> import tinytorch as tt
    >>> x = tt.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> tt.max(x)
    tensor(7.)
    >>> tt.max(x, dim=1).indices
    tensor([1, 0])
    """
    if dim is None:
        return amax(x)
    if not isinstance(dim, (int, np.integer)):
        return maximum(x, dim)
    return _pick(x, argmax(x, dim=dim, keepdim=True), int(dim), keepdim)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along `dim`, the smallest values and their indices; with a tensor, `minimum`.

    >>> import tinytorch as tt
    >>> tt.min(tt.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1).values
    tensor([1., 2.])
    """
    if dim is None:
        return amin(x)
    if not isinstance(dim, (int, np.integer)):
        return minimum(x, dim)
    return _pick(x, argmin(x, dim=dim, keepdim=True), int(dim), keepdim)


def _pick(x: Any, indices: Any, dim: int, keepdim: bool) -> ValuesIndices:
    values = gather(x, dim, indices)
    return (
        ValuesIndices(values, indices)
        if keepdim
        else ValuesIndices(values.squeeze(dim), indices.squeeze(dim))
    )


@op(
    differentiable=False,
    cost=lambda x, out, **_: x.size * np.log2(np.maximum(x.size, 2)),
    samples=lambda s: [
        Sample(s(3, 4)),
        Sample(s(3, 4), dim=0, descending=True),
        Sample(np.array([3, 1, 3, 1, 2])),
        Sample(np.array([3, 1, 3, 1, 2]), descending=True),
        Sample(s(0, 3)),
    ],
    refuses=bad_dim("argsort"),
    reference=lambda x, dim=-1, descending=False: _naive_argsort(x, dim, descending),
    oracle=lambda t, x, dim=-1, descending=False: t.argsort(x, dim=dim, descending=descending, stable=True),
)
def argsort(x: Array, /, dim: int = -1, descending: bool = False) -> Array:
    """Indices that put each row along `dim` in order; equals keep theirs, NaN counts as the largest.

    >>> import tinytorch as tt
    >>> tt.argsort(tt.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    axis = normalize_axis("argsort", dim, x.ndim)
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def _naive_argsort(x: Array, dim: int, descending: bool) -> Array:
    def order(row: Array) -> Array:
        return np.array(sorted(range(len(row)), key=lambda i: -row[i] if descending else row[i]), np.int64)

    return np.apply_along_axis(order, dim, x) if x.size else np.zeros(x.shape, np.int64)


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesIndices:
    """The elements in order along `dim`, and where each was. The gradient goes back to where it came from.

    stable: equals keep their order, which they do in any case.

    >>> import tinytorch as tt
    >>> tt.sort(tt.tensor([3.0, 1.0, 2.0])).values
    tensor([1., 2., 3.])
    """
    indices = argsort(x, dim=dim, descending=descending)
    return ValuesIndices(gather(x, dim, indices), indices)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The `k` largest (or smallest) elements along `dim` and their indices, in order even if not `sorted`.

    >>> import tinytorch as tt
    >>> tt.topk(tt.tensor([3.0, 1.0, 2.0]), 2).indices
    tensor([0, 2])
    """
    length = x.shape[normalize_axis("topk", dim, x.ndim)] if x.ndim else 1
    if not 0 <= k <= length:
        raise ValueError(f"topk: expected k from 0 to {length}, the length of dim {dim}, got {k}")
    indices = argsort(x, dim=dim, descending=largest)
    indices = indices.narrow(dim, 0, k) if x.ndim else indices
    return ValuesIndices(gather(x, dim, indices), indices)


def median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, of an even number the lower one; NaN if one is. Along `dim`, also its index.

    The gradient goes to that element.

    >>> import tinytorch as tt
    >>> tt.median(tt.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return median(x.reshape(-1), 0).values
    axis = _check("median", x._data, dim)
    if not x.ndim:
        return ValuesIndices(x, argmin(x))
    order, nan = argsort(x, dim=dim), np.isnan(x._data).any(axis, keepdims=True)
    n = x.shape[axis[0]]
    place = np.where(nan, n - 1, (n - 1) // 2)  # NaN counts as the largest
    return _pick(x, gather(order, dim, place), dim, keepdim)
