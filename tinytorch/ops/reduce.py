"""Sums, means, extremes and variance over any axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import reduce as kernels

Array = np.ndarray
Axes = int | tuple[int, ...] | list[int] | None


def normalize_axes(name: str, dim: Axes, ndim: int) -> tuple[int, ...]:
    """`dim` as a sorted tuple of axes from 0 to ndim - 1; None means all."""
    if dim is None:
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, (int, np.integer)) else tuple(dim)
    axes = []
    for d in dims:
        if not -ndim <= d < max(ndim, 1):
            raise IndexError(f"{name}: expected dim from {-max(ndim, 1)} to {max(ndim, 1) - 1}, got {d} for a {ndim}-d tensor")
        axes.append(int(d) % max(ndim, 1))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim {dim} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def _axes(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4)),
        Sample(s(3, 4), dim=0),
        Sample(s(3, 4), dim=-1, keepdim=True),
        Sample(s(2, 3, 4), dim=(0, 2)),
        Sample(s(2, 3, 4), dim=1),
        Sample(s()),
    ]


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _np_dim(dim: Axes) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


@op(
    name="sum",
    cost=lambda x, out, **_: x.size,
    samples=lambda s: [*_axes(s), Sample(s(0, 3), dim=0), Sample(s(0, 3), dim=1)],
    refuses=lambda s: [
        Refusal((s(3, 4),), {"dim": 2}, IndexError, r"sum: expected dim from -2 to 1, got 2 for a 2-d tensor"),
        Refusal((s(3, 4),), {"dim": (0, 0)}, ValueError, "names an axis twice"),
    ],
    reference=lambda x, dim=None, keepdim=False: np.sum(x, axis=_np_dim(dim), keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.sum(x, dim, keepdim) if dim is not None else t.sum(x),
)
def sum(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """Sum over `dim` (default: all axes); booleans and integers are added as int64."""
    axes = normalize_axes("sum", dim, x.ndim)
    return kernels.sum(x, axes, keepdim)


@sum.gradient
def _(ctx: Node, g: Any) -> Any:
    shape = ctx.shape_of(0)
    axes = normalize_axes("sum", ctx.params.get("dim"), len(shape))
    return g.reshape(_kept(shape, axes)).expand(shape)


@op(
    cost=lambda g, out, shape: g.size,
    samples=lambda s: [Sample(s(2, 3, 4), shape=(3, 1)), Sample(s(2, 3), shape=()), Sample(s(2, 3), shape=(2, 3))],
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
