"""Softmax and log-softmax along an axis; their gradients are kernels, and ops with gradients in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Sample, op
from tinytorch.kernels import softmax as kernels
from tinytorch.ops.common import Array, as_float, bad_dim, normalize_axis


def _rows(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4), dim=1),
        Sample(s(3, 4), dim=0),
        Sample(s(2, 3, 4), dim=1),
        Sample(s(2, 5) + 300.0, dim=-1),
        Sample(s(5), dim=0),
        Sample(s(0, 4), dim=1),
        Sample(s(3, 1), dim=1),
    ]


def _naive_softmax(x: Array, dim: int) -> Array:
    e = np.exp(x - np.max(x, axis=dim, keepdims=True)) if x.size else x
    return e / e.sum(axis=dim, keepdims=True)


def _naive_log_softmax(x: Array, dim: int) -> Array:
    z = x - np.max(x, axis=dim, keepdims=True) if x.size else x
    return z - np.log(np.exp(z).sum(axis=dim, keepdims=True))


def _run(name: str, kernel: Any, dim: int, *arrays: Array) -> Array:
    axis = normalize_axis(name, dim, arrays[0].ndim)
    if arrays[0].ndim == 0:
        return kernel(*(a.reshape(1) for a in arrays), 0).reshape(())
    return kernel(*arrays, axis)


@op(
    saves="output",
    cost=lambda x, out, dim: 4 * x.size,
    samples=_rows,
    refuses=bad_dim("softmax"),
    reference=_naive_softmax,
    oracle=lambda t, x, dim: t.softmax(x, dim),
)
def softmax(x: Array, /, dim: int) -> Array:
    """`exp(x) / sum(exp(x))` along `dim`: positive numbers that add up to 1.

    >>> import tinytorch as tt
    >>> tt.softmax(tt.tensor([1.0, 1.0, 1.0, 1.0]), 0)
    tensor([0.25, 0.25, 0.25, 0.25])
    """
    return _run("softmax", kernels.softmax, dim, as_float(x))


@softmax.gradient
def _(ctx: Node, g: Any) -> Any:
    return softmax_grad(g, ctx.output, dim=ctx.params["dim"])


@op(
    saves=(0, 1),
    cost=lambda g, y, out, dim: 4 * g.size,
    samples=lambda s: [
        Sample(s(3, 4), s(3, 4, low=0.1), dim=1),
        Sample(s(2, 3, 4), s(2, 3, 4), dim=1),
        Sample(s(0, 4), s(0, 4), dim=1),
    ],
    reference=lambda g, y, dim: y * (g - (g * y).sum(axis=dim, keepdims=True)),
)
def softmax_grad(g: Array, y: Array, /, dim: int) -> Array:
    """`y * (g - sum(g * y))` along `dim`, with the output `y` of a softmax."""
    return _run("softmax_grad", kernels.softmax_grad, dim, g, y)


@softmax_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, y, dim = ctx[0], ctx[1], ctx.params["dim"]
    to_y = None
    if ctx.needs[1]:
        to_y = h * (g - (g * y).sum(dim, keepdim=True)) - g * (h * y).sum(dim, keepdim=True)
    return softmax_grad(h, y, dim=dim) if ctx.needs[0] else None, to_y


@op(
    saves="output",
    cost=lambda x, out, dim: 4 * x.size,
    samples=_rows,
    refuses=bad_dim("log_softmax"),
    reference=_naive_log_softmax,
    oracle=lambda t, x, dim: t.log_softmax(x, dim),
)
def log_softmax(x: Array, /, dim: int) -> Array:
    """`x - log(sum(exp(x)))` along `dim`: the logarithm of a softmax, without its underflow.

    >>> import tinytorch as tt
    >>> tt.log_softmax(tt.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return _run("log_softmax", kernels.log_softmax, dim, as_float(x))


@log_softmax.gradient
def _(ctx: Node, g: Any) -> Any:
    return log_softmax_grad(g, ctx.output, dim=ctx.params["dim"])


@op(
    saves=(0, 1),
    cost=lambda g, y, out, dim: 4 * g.size,
    samples=lambda s: [
        Sample(s(3, 4), s(3, 4), dim=1),
        Sample(s(2, 3, 4), s(2, 3, 4), dim=1),
        Sample(s(0, 4), s(0, 4), dim=1),
    ],
    reference=lambda g, y, dim: g - np.exp(y) * g.sum(axis=dim, keepdims=True),
)
def log_softmax_grad(g: Array, y: Array, /, dim: int) -> Array:
    """`g - exp(y) * sum(g)` along `dim`, with the output `y` of a log-softmax."""
    return _run("log_softmax_grad", kernels.log_softmax_grad, dim, g, y)


@log_softmax_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, dim = ctx[0], ctx.params["dim"]
    weighted = h * ctx[1].exp()
    to_g = h - weighted.sum(dim, keepdim=True).expand(h.shape) if ctx.needs[0] else None
    return to_g, -weighted * g.sum(dim, keepdim=True) if ctx.needs[1] else None
