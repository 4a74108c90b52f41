"""Sums, means, variances, products and norms over any axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.kernels import reduce as kernels
from tinytorch.ops.common import (
    Array,
    Axes,
    as_float,
    bad_dim,
    count_input,
    kept,
    normalize_axes,
    normalize_axis,
)


def _axes(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4)),
        Sample(s(3, 4), dim=0),
        Sample(s(3, 4), dim=-1, keepdim=True),
        Sample(s(2, 3, 4), dim=(0, 2)),
        Sample(s(2, 3, 4), dim=1),
        Sample(s(2, 3, 4), dim=(1, 2), keepdim=True),
        Sample(s()),
    ]


def _np_dim(dim: Axes) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _spread(ctx: Node, g: Any, name: str) -> Any:
    """`g` with the reduced axes back, of length 1: it broadcasts against the argument."""
    shape = ctx.shape_of(0)
    return g.reshape(kept(shape, normalize_axes(name, ctx.params.get("dim"), len(shape))))


def _length(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[i] for i in axes)


@op(
    cost=count_input,
    samples=lambda s: [*_axes(s), Sample(s(0, 3), dim=0), Sample(s(0, 3), dim=1)],
    refuses=lambda s: [
        *bad_dim("sum")(s),
        Refusal((s(3, 4),), {"dim": (0, 0)}, ValueError, "names an axis twice"),
    ],
    reference=lambda x, dim=None, keepdim=False: np.sum(x, axis=_np_dim(dim), keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.sum(x, dim, keepdim) if dim is not None else t.sum(x),
)
def sum(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """Sum over `dim` (default: all axes); booleans and integers are added as int64.

    >>> import tinytorch as tt
    >>> tt.sum(tt.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    return kernels.sum(x, normalize_axes("sum", dim, x.ndim), keepdim)


@sum.gradient
def _(ctx: Node, g: Any) -> Any:
    return _spread(ctx, g, "sum").expand(ctx.shape_of(0))


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


def _check_float(name: str, x: Array) -> None:
    if x.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating point tensor, got {x.dtype}. Convert it with .float() first."
        )


def _integers(name: str) -> Any:
    text = rf"{name}: expected a floating point tensor, got int64"
    return lambda s: [*bad_dim(name)(s), Refusal((np.array([1, 2]),), {}, TypeError, text)]


@op(
    cost=count_input,
    samples=_axes,
    refuses=lambda s: [
        *_integers("mean")(s),
        Refusal((s(0, 3),), {}, ValueError, r"mean: .* shape \(0, 3\) .* no elements"),
    ],
    reference=lambda x, dim=None, keepdim=False: np.mean(x, axis=_np_dim(dim), keepdims=keepdim),
    oracle=lambda t, x, dim=None, keepdim=False: t.mean(x, dim, keepdim) if dim is not None else t.mean(x),
)
def mean(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """Average over `dim` (default: all axes).

    >>> import tinytorch as tt
    >>> tt.mean(tt.tensor([[1.0, 2.0], [3.0, 5.0]]), dim=0)
    tensor([2. , 3.5])
    """
    _check_float("mean", x)
    axes = normalize_axes("mean", dim, x.ndim)
    if not x.size and not _length(x.shape, axes):
        raise ValueError(f"mean: a tensor of shape {x.shape} has no elements along dim {dim} to average over")
    return kernels.mean(x, axes, keepdim)


@mean.gradient
def _(ctx: Node, g: Any) -> Any:
    shape = ctx.shape_of(0)
    share = 1.0 / _length(shape, normalize_axes("mean", ctx.params.get("dim"), len(shape)))
    return _spread(ctx, g * share, "mean").expand(shape)


def _variances(s: Any) -> list[Sample]:
    return [
        *[p for p in _axes(s) if p.args[0].ndim],
        Sample(s(3, 4), correction=0),
        Sample(s(2, 3, 4), dim=(0, 2), correction=0),
        Sample(s(3, 4) + 100.0, dim=0),
    ]


def _too_few(name: str) -> Any:
    text = rf"{name}: expected more than 1 element along dim 1 .* correction 1.*, got 1"
    return lambda s: [*_integers(name)(s), Refusal((s(3, 1),), {"dim": 1}, ValueError, text)]


def _check_variance(name: str, x: Array, dim: Axes, correction: float) -> tuple[int, ...]:
    _check_float(name, x)
    axes = normalize_axes(name, dim, x.ndim)
    n = _length(x.shape, axes)
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
        x, axis=_np_dim(dim), ddof=correction, keepdims=keepdim
    ),
    oracle=lambda t, x, dim=None, correction=1, keepdim=False: t.var(
        x, dim, correction=correction, keepdim=keepdim
    ),
)
def var(x: Array, /, dim: Axes = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Variance over `dim`: the squared distance to the mean, divided by n - correction."""
    axes = _check_variance("var", x, dim, correction)
    return kernels.var(x, axes, correction, keepdim)


@var.gradient
def _(ctx: Node, g: Any) -> Any:
    return _spread(ctx, g, "var") * _deviation(ctx, "var")


def _deviation(ctx: Node, name: str) -> Any:
    """Derivative of the variance: 2 * (x - mean) / (n - correction)."""
    x, dim = ctx[0], ctx.params.get("dim")
    n = _length(x.shape, normalize_axes(name, dim, x.ndim))
    return (x - x.mean(dim, keepdim=True)) * (2.0 / (n - ctx.params.get("correction", 1)))


@op(
    saves=("output", 0),
    cost=lambda x, out, **_: 4 * x.size,
    samples=_variances,
    refuses=_too_few("std"),
    reference=lambda x, dim=None, correction=1, keepdim=False: np.std(
        x, axis=_np_dim(dim), ddof=correction, keepdims=keepdim
    ),
    oracle=lambda t, x, dim=None, correction=1, keepdim=False: t.std(
        x, dim, correction=correction, keepdim=keepdim
    ),
)
def std(x: Array, /, dim: Axes = None, correction: float = 1, keepdim: bool = False) -> Array:
    """Standard deviation over `dim`: the square root of `var`; the gradient where it is 0 is 0."""
    axes = _check_variance("std", x, dim, correction)
    return np.asarray(np.sqrt(kernels.var(x, axes, correction, keepdim)))


@std.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    flat = new_tensor(np.asarray(y._data == 0))
    slope = (g / (y.masked_fill(flat, 1.0) * 2.0)).masked_fill(flat, 0.0)
    return _spread(ctx, slope, "std") * _deviation(ctx, "std")


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
    """Product over one axis (default: of all elements)."""
    axes = normalize_axes("prod", dim, x.ndim)
    dtype = x.dtype if x.dtype.kind == "f" else np.int64
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdim, dtype=dtype))


@prod.gradient
def _(ctx: Node, g: Any) -> Any:
    x, dim = ctx[0], ctx.params.get("dim")
    if x._data.all():
        return _spread(ctx, g * ctx.output, "prod") / x
    if dim is None:
        return (g * _product_of_others(x.reshape(-1))).reshape(x.shape)
    last = x.movedim(dim, -1)
    return _spread(ctx, g, "prod") * _product_of_others(last).movedim(-1, dim)


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
    """Running sum along `dim`."""
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


def _naive_logsumexp(x: Array, dim: Axes, keepdim: bool = False) -> Array:
    return np.log(np.sum(np.exp(x), axis=_np_dim(dim), keepdims=keepdim))


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
    if not _length(x.shape, axes):
        return np.full(np.sum(x, axis=axes, keepdims=keepdim).shape, -np.inf, x.dtype)
    most = np.max(x, axis=axes, keepdims=True)
    most[~np.isfinite(most)] = 0.0
    with np.errstate(all="ignore"):
        out = np.log(np.sum(np.exp(x - most), axis=axes, keepdims=True)) + most
    return out if keepdim else out.reshape(np.delete(out.shape, axes).astype(int))


@logsumexp.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    y = _spread(ctx, y.masked_fill(new_tensor(np.isneginf(y._data)), 0.0), "logsumexp")
    return _spread(ctx, g, "logsumexp") * (ctx[0] - y).exp()


@op(
    saves=("output", 0),
    cost=lambda x, out, **_: 2 * x.size,
    samples=lambda s: [p for p in _axes(s) if p.args[0].ndim],
    refuses=_integers("norm"),
    reference=lambda x, dim=None, keepdim=False: np.sqrt(np.sum(x * x, axis=_np_dim(dim), keepdims=keepdim)),
    oracle=lambda t, x, dim=None, keepdim=False: t.linalg.vector_norm(x, 2, dim, keepdim),
)
def euclidean_norm(x: Array, /, dim: Axes = None, keepdim: bool = False) -> Array:
    """`sqrt(sum(x * x))` over `dim` (default: all axes); the gradient at 0 is 0."""
    _check_float("norm", x)
    axes = normalize_axes("norm", dim, x.ndim)
    return np.asarray(np.sqrt(kernels.sum(x * x, axes, keepdim)))


@euclidean_norm.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    flat = new_tensor(np.asarray(y._data == 0))
    slope = (g / y.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)
    return ctx[0] * _spread(ctx, slope, "norm")


def norm(x: Any, p: float = 2, dim: Axes = None, keepdim: bool = False) -> Any:
    """`sum(|x| ** p) ** (1 / p)` over `dim` (default: all axes); p may be infinite.

    >>> import tinytorch as tt
    >>> tt.norm(tt.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == 2:
        return euclidean_norm(x, dim=dim, keepdim=keepdim)
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
    """Whether at least one element over `dim` is true (not zero)."""
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
    """Whether all elements over `dim` are true (not zero)."""
    return np.asarray(np.all(x, axis=normalize_axes("all", dim, x.ndim), keepdims=keepdim))
