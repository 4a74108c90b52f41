"""Variance and standard deviation, and the logarithm of a sum of exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.kernels import reduce as kernels
from tinytorch.ops.common import Array, Axes, as_float, bad_dim, normalize_axes
from tinytorch.ops.reduce import check_float, integers, length, np_dim, over_axes, spread


def _variances(s: Any) -> list[Sample]:
    return [
        *[p for p in over_axes(s) if p.args[0].ndim],
        Sample(s(3, 4), correction=0),
        Sample(s(2, 3, 4), dim=(0, 2), correction=0),
        Sample(s(3, 4) + 100.0, dim=0),
    ]


def _too_few(name: str) -> Any:
    text = rf"{name}: expected more than 1 element along dim 1 .* correction 1.*, got 1"
    return lambda s: [*integers(name)(s), Refusal((s(3, 1),), {"dim": 1}, ValueError, text)]


def _check_variance(name: str, x: Array, dim: Axes, correction: float) -> tuple[int, ...]:
    check_float(name, x)
    axes = normalize_axes(name, dim, x.ndim)
    n = length(x.shape, axes)
    if n <= correction:
        raise ValueError(
            f"{name}: expected more than {correction} element along dim {dim} with correction {correction}, "
            f"got {n}. Use correction=0 for the variance of the population."
        )
    return axes


@op(
    saves=0,
    cost=lambda x, out, **_: 4 * x.size,
    samples=_variances,
    refuses=_too_few("var"),
    reference=lambda x, dim=None, correction=1, keepdim=False: np.var(
        x, axis=np_dim(dim), ddof=correction, keepdims=keepdim
    ),
    oracle=lambda t, x, dim=None, correction=1, keepdim=False: t.var(
        x, dim, correction=correction, keepdim=keepdim
    ),
)
def var(x: Array, /, dim: Axes = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Variance over `dim`: the squared distance to the mean, divided by n - correction.

    >>> import tinytorch as tt
    >>> tt.var(tt.tensor([1.0, 3.0]))
    tensor(2.)
    """
    axes = _check_variance("var", x, dim, correction)
    return kernels.var(x, axes, correction, keepdim)


@var.gradient
def _(ctx: Node, g: Any) -> Any:
    return spread(ctx, g, "var") * _deviation(ctx, "var")


def _deviation(ctx: Node, name: str) -> Any:
    """Derivative of the variance: 2 * (x - mean) / (n - correction)."""
    x, dim = ctx[0], ctx.params.get("dim")
    n = length(x.shape, normalize_axes(name, dim, x.ndim))
    return (x - x.mean(dim, keepdim=True)) * (2.0 / (n - ctx.params.get("correction", 1)))


@op(
    saves=("output", 0),
    cost=lambda x, out, **_: 4 * x.size,
    samples=_variances,
    refuses=_too_few("std"),
    reference=lambda x, dim=None, correction=1, keepdim=False: np.std(
        x, axis=np_dim(dim), ddof=correction, keepdims=keepdim
    ),
    oracle=lambda t, x, dim=None, correction=1, keepdim=False: t.std(
        x, dim, correction=correction, keepdim=keepdim
    ),
)
def std(x: Array, /, dim: Axes = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Standard deviation over `dim`: the square root of `var`; the gradient where it is 0 is 0.

    >>> import tinytorch as tt
    >>> tt.std(tt.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    axes = _check_variance("std", x, dim, correction)
    return np.asarray(np.sqrt(kernels.var(x, axes, correction, keepdim)))


@std.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    flat = new_tensor(np.asarray(y._data == 0))
    slope = (g / (y.masked_fill(flat, 1.0) * 2.0)).masked_fill(flat, 0.0)
    return spread(ctx, slope, "std") * _deviation(ctx, "std")


def _naive_logsumexp(x: Array, dim: Axes, keepdim: bool = False) -> Array:
    return np.log(np.sum(np.exp(x), axis=np_dim(dim), keepdims=keepdim))


@op(
    saves=("output", 0),
    cost=lambda x, out, **_: 3 * x.size,
    samples=lambda s: [
        Sample(s(3, 4), dim=1),
        Sample(s(3, 4), dim=0, keepdim=True),
        Sample(s(2, 3, 4), dim=(0, 2)),
        Sample(s(2, 3) + 30.0, dim=-1),
    ],
    refuses=bad_dim("logsumexp"),
    reference=_naive_logsumexp,
    oracle=lambda t, x, dim, keepdim=False: t.logsumexp(x, dim, keepdim),
)
def logsumexp(x: Array, /, dim: Axes, keepdim: bool = False) -> Array:
    """`log(sum(exp(x)))` over `dim`, without overflow.

    >>> import tinytorch as tt
    >>> tt.logsumexp(tt.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    x = as_float(x)
    axes = normalize_axes("logsumexp", dim, x.ndim)
    if not length(x.shape, axes):
        return np.full(np.sum(x, axis=axes, keepdims=keepdim).shape, -np.inf, x.dtype)
    most = np.max(x, axis=axes, keepdims=True)
    most[~np.isfinite(most)] = 0.0
    with np.errstate(all="ignore"):
        out = np.log(np.sum(np.exp(x - most), axis=axes, keepdims=True)) + most
    return out if keepdim else out.reshape(np.delete(out.shape, axes).astype(int))


@logsumexp.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    y = spread(ctx, y.masked_fill(new_tensor(np.isneginf(y._data)), 0.0), "logsumexp")
    return spread(ctx, g, "logsumexp") * (ctx[0] - y).exp()
