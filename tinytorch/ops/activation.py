"""Smooth activation functions; each gradient is a kernel, and an op of its own with a gradient in turn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Sample, op
from tinytorch.kernels import activations as kernels
from tinytorch.ops.common import Array, as_float, elements

_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def gradient_samples(**params: Any) -> Any:
    """Samples of a gradient: what came in, and the argument or result away from 0."""

    def samples(s: Any) -> list[Sample]:
        x = s(5, 4)
        x = (x + 0.2 * np.sign(x)).astype(x.dtype)
        return [Sample(s(5, 4), x, **params), Sample(s(0, 3), s(0, 3), **params)]

    return samples


def naive_sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`, as the formula says it."""
    return 1.0 / (1.0 + np.exp(-x))


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


@op(
    saves="output",
    cost=lambda x, out: 4 * x.size,
    samples=elements(-3.0, 3.0),
    reference=naive_sigmoid,
    oracle=lambda t, x: t.sigmoid(x),
)
def sigmoid(x: Array, /) -> Array:
    """`1 / (1 + exp(-x))`.

    >>> import tinytorch as tt
    >>> tt.sigmoid(tt.tensor([-100.0, 0.0, 100.0])).round(decimals=4)
    tensor([0. , 0.5, 1. ])
    """
    return kernels.sigmoid(as_float(x))


@sigmoid.gradient
def _(ctx: Node, g: Any) -> Any:
    return sigmoid_grad(g, ctx.output)


@op(
    saves=(0, 1),
    cost=lambda g, y, out: 3 * g.size,
    samples=gradient_samples(),
    reference=lambda g, y: g * y * (1 - y),
)
def sigmoid_grad(g: Array, y: Array, /) -> Array:
    """`g * y * (1 - y)`, with the output `y` of a sigmoid."""
    return kernels.sigmoid_grad(g, y)


@sigmoid_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    y = ctx[1]
    return sigmoid_grad(h, y) if ctx.needs[0] else None, h * ctx[0] * (1.0 - y * 2.0) if ctx.needs[
        1
    ] else None


@op(
    saves="output",
    cost=lambda x, out: 5 * x.size,
    samples=elements(-3.0, 3.0),
    reference=np.tanh,
    oracle=lambda t, x: t.tanh(x),
)
def tanh(x: Array, /) -> Array:
    """Hyperbolic tangent.

    >>> import tinytorch as tt
    >>> tt.tanh(tt.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    return kernels.tanh(as_float(x))


@tanh.gradient
def _(ctx: Node, g: Any) -> Any:
    return tanh_grad(g, ctx.output)


@op(
    saves=(0, 1),
    cost=lambda g, y, out: 3 * g.size,
    samples=gradient_samples(),
    reference=lambda g, y: g * (1 - y * y),
)
def tanh_grad(g: Array, y: Array, /) -> Array:
    """`g * (1 - y * y)`, with the output `y` of a tanh."""
    return kernels.tanh_grad(g, y)


@tanh_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    y = ctx[1]
    return tanh_grad(h, y) if ctx.needs[0] else None, h * ctx[0] * (y * -2.0) if ctx.needs[1] else None


def naive_gelu(x: Array, approximate: str = "none") -> Array:
    """`x * Phi(x)`, or its approximation by a tanh, as the formulas say it."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _naive_gelu_grad(g: Array, x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        t = np.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x**3))
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x))
    return g * (0.5 * (1.0 + _erf(x / math.sqrt(2.0))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def _is_tanh(approximate: str) -> bool:
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    return approximate == "tanh"


def _both_forms(samples: Any) -> Any:
    return lambda s: [Sample(*p.args, approximate=form) for form in ("none", "tanh") for p in samples(s)]


@op(
    saves=0,
    cost=lambda x, out, **_: 8 * x.size,
    samples=_both_forms(elements(-3.0, 3.0)),
    reference=naive_gelu,
    oracle=lambda t, x, approximate="none": t.nn.functional.gelu(x, approximate=approximate),
)
def gelu(x: Array, /, approximate: str = "none") -> Array:
    """`x * Phi(x)`, with the normal distribution function Phi; or its approximation by a tanh.

    Hendrycks and Gimpel 2016, arXiv:1606.08415.

    >>> import tinytorch as tt
    >>> tt.gelu(tt.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    return kernels.gelu(as_float(x), _is_tanh(approximate))


@gelu.gradient
def _(ctx: Node, g: Any) -> Any:
    return gelu_grad(g, ctx[0], approximate=ctx.params.get("approximate", "none"))


@op(
    saves=(0, 1),
    cost=lambda g, x, out, **_: 12 * g.size,
    samples=_both_forms(gradient_samples()),
    reference=_naive_gelu_grad,
)
def gelu_grad(g: Array, x: Array, /, approximate: str = "none") -> Array:
    """`g` times the derivative of GELU at `x`."""
    return kernels.gelu_grad(g, x, _is_tanh(approximate))


@gelu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, x, form = ctx[0], ctx[1], ctx.params.get("approximate", "none")
    to_x = None
    if ctx.needs[1]:
        if _is_tanh(form):
            t = tanh((x + x * x * x * 0.044715) * _SQRT_2_OVER_PI)
            slope, bend = (
                (x * x * (3 * 0.044715) + 1.0) * _SQRT_2_OVER_PI,
                x * (6 * 0.044715 * _SQRT_2_OVER_PI),
            )
            second = (1.0 - t * t) * (slope + x * 0.5 * (bend - t * slope * slope * 2.0))
        else:
            second = (x * x * -0.5).exp() * (2.0 - x * x) * (1.0 / math.sqrt(2.0 * math.pi))
        to_x = h * g * second
    return gelu_grad(h, x, approximate=form) if ctx.needs[0] else None, to_x


@op(
    saves=0,
    cost=lambda x, out: 5 * x.size,
    samples=elements(-3.0, 3.0),
    reference=lambda x: x * naive_sigmoid(x),
    oracle=lambda t, x: t.nn.functional.silu(x),
)
def silu(x: Array, /) -> Array:
    """`x * sigmoid(x)`, also called swish. Elfwing et al. 2017, arXiv:1702.03118.

    >>> import tinytorch as tt
    >>> tt.silu(tt.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return kernels.silu(as_float(x))


@silu.gradient
def _(ctx: Node, g: Any) -> Any:
    return silu_grad(g, ctx[0])


@op(
    saves=(0, 1),
    cost=lambda g, x, out: 8 * g.size,
    samples=gradient_samples(),
    reference=lambda g, x: g * naive_sigmoid(x) * (1 + x * (1 - naive_sigmoid(x))),
)
def silu_grad(g: Array, x: Array, /) -> Array:
    """`g` times the derivative of SiLU at `x`."""
    return kernels.silu_grad(g, x)


@silu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    to_x = None
    if ctx.needs[1]:
        s = sigmoid(ctx[1])
        to_x = h * ctx[0] * (s * (1.0 - s) * (ctx[1] * (1.0 - s * 2.0) + 2.0))
    return silu_grad(h, ctx[1]) if ctx.needs[0] else None, to_x
