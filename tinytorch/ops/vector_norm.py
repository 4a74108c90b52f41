"""Norms of vectors: the length of a tensor's elements taken together, or of those along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, new_tensor, op
from tinytorch.kernels import reduce as kernels
from tinytorch.ops.common import Array, Axes, normalize_axes
from tinytorch.ops.reduce import check_float, integers, np_dim, over_axes, spread, sum


@op(
    saves=("output", 0),
    cost=lambda x, out, **_: 2 * x.size,
    samples=lambda s: [p for p in over_axes(s) if p.args[0].ndim],
    refuses=integers("norm"),
    reference=lambda x, dim=None, keepdim=False: np.sqrt(np.sum(x * x, axis=np_dim(dim), keepdims=keepdim)),
    oracle=lambda t, x, dim=None, keepdim=False: t.linalg.vector_norm(x, 2, dim, keepdim),
)
def euclidean_norm(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """`sqrt(sum(x * x))` over `dim` (default: all axes); the gradient at 0 is 0."""
    check_float("norm", x)
    axes = normalize_axes("norm", dim, x.ndim)
    return np.asarray(np.sqrt(kernels.sum(x * x, axes, keepdim)))


@euclidean_norm.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    flat = new_tensor(np.asarray(y._data == 0))
    slope = (g / y.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)
    return ctx[0] * spread(ctx, slope, "norm")


def norm(x: Any, p: float | str = 2, dim: Axes = None, keepdim: bool = False) -> Any:
    """`sum(|x| ** p) ** (1 / p)` over `dim` (default: all axes); p may be infinite, and "fro" means 2.

    >>> import tinytorch as tt
    >>> tt.norm(tt.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == 2 or p == "fro":
        return euclidean_norm(x, dim=dim, keepdim=keepdim)
    if isinstance(p, str):
        raise ValueError(f"norm: expected a number or 'fro' as p, got {p!r}")
    x = x.abs()
    if p == math.inf:
        return x.amax(dim, keepdim)
    if p == -math.inf:
        return x.amin(dim, keepdim)
    if p == 1:
        return sum(x, dim=dim, keepdim=keepdim)
    if p == 0:
        return sum((x != 0).to(x.dtype), dim=dim, keepdim=keepdim)
    return sum(x**p, dim=dim, keepdim=keepdim) ** (1.0 / p)
