"""Rectifiers: relu and what bends like it. Each gradient is a kernel, and an op with a gradient in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Sample, new_tensor, op
from tinytorch.kernels import activations as kernels
from tinytorch.ops.activation import gradient_samples, naive_sigmoid, sigmoid
from tinytorch.ops.common import Array, as_float, count, elements


def _away_from_zero(s: Any) -> list[Sample]:
    x = s(5, 4)
    at_zero = np.array([-0.0, 0.0, 1.0], x.dtype)
    kinked = (x + 0.2 * np.sign(x)).astype(x.dtype)
    return [Sample(kinked), Sample(s(0, 3)), Sample(s(2, 1, 3) + 3.0), Sample(at_zero, smooth=False)]


@op(
    saves="output",
    cost=count,
    samples=_away_from_zero,
    reference=lambda x: np.maximum(x, 0),
    oracle=lambda t, x: t.relu(x),
)
def relu(x: Array, /) -> Array:
    """`max(x, 0)`, elementwise; the gradient at 0 is 0.

    >>> import tinytorch as tt
    >>> tt.relu(tt.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return kernels.relu(x) if x.dtype.kind == "f" else np.maximum(x, 0, dtype=x.dtype)


@relu.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return relu_grad(g, ctx.output)


@op(saves=1, cost=count, samples=gradient_samples(), reference=lambda g, y: g * (y > 0))
def relu_grad(g: Array, y: Array, /) -> Array:
    """`g` where the output `y` of a ReLU is positive, else 0."""
    return kernels.relu_grad(g, y)


@relu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    return relu_grad(h, ctx[1]), None


def _naive_leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    return np.where(x > 0, x, x * negative_slope)


@op(
    saves=0,
    cost=count,
    samples=lambda s: [*_away_from_zero(s), Sample(s(3, 4) + 2.0, negative_slope=0.2)],
    reference=_naive_leaky_relu,
    oracle=lambda t, x, negative_slope=0.01: t.nn.functional.leaky_relu(x, negative_slope),
)
def leaky_relu(x: Array, /, negative_slope: float = 0.01) -> Array:
    """`x` where it is positive, else `negative_slope * x`. Maas et al. 2013.

    >>> import tinytorch as tt
    >>> tt.leaky_relu(tt.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return kernels.leaky_relu(as_float(x), negative_slope)


@leaky_relu.gradient
def _(ctx: Node, g: Any) -> Any:
    return leaky_relu_grad(g, ctx[0], negative_slope=ctx.params.get("negative_slope", 0.01))


@op(
    saves=1,
    cost=count,
    samples=gradient_samples(negative_slope=0.2),
    reference=lambda g, x, negative_slope: np.where(x > 0, g, g * negative_slope),
)
def leaky_relu_grad(g: Array, x: Array, /, negative_slope: float) -> Array:
    """`g` where `x` is positive, else `negative_slope * g`."""
    return kernels.leaky_relu_grad(g, x, negative_slope)


@leaky_relu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    return leaky_relu_grad(h, ctx[1], **ctx.params), None


def _naive_softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


@op(
    saves=0,
    cost=lambda x, out, **_: 5 * x.size,
    samples=lambda s: [*elements(-3.0, 3.0)(s), Sample(s(3, 4, low=-3.0, high=9.0), beta=2.0, threshold=5.0)],
    reference=_naive_softplus,
    oracle=lambda t, x, beta=1.0, threshold=20.0: t.nn.functional.softplus(x, beta, threshold),
)
def softplus(x: Array, /, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above the threshold.

    >>> import tinytorch as tt
    >>> tt.softplus(tt.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.    ])
    """
    return kernels.softplus(as_float(x), beta, threshold)


@softplus.gradient
def _(ctx: Node, g: Any) -> Any:
    return softplus_grad(g, ctx[0], **{"beta": 1.0, "threshold": 20.0, **ctx.params})


@op(
    saves=(0, 1),
    cost=lambda g, x, out, **_: 5 * g.size,
    samples=gradient_samples(beta=2.0, threshold=1.2),
    reference=lambda g, x, beta, threshold: np.where(x * beta > threshold, g, g * naive_sigmoid(beta * x)),
)
def softplus_grad(g: Array, x: Array, /, beta: float, threshold: float) -> Array:
    """`g * sigmoid(beta * x)`, and `g` itself where `beta * x` is above the threshold."""
    return kernels.softplus_grad(g, x, beta, threshold)


@softplus_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    beta, threshold = ctx.params["beta"], ctx.params["threshold"]
    to_x = None
    if ctx.needs[1]:
        s = sigmoid(ctx[1] * beta)
        straight = new_tensor(np.asarray(ctx[1]._data * beta > threshold))
        to_x = (h * ctx[0] * (s * (1.0 - s) * beta)).masked_fill(straight, 0.0)
    return softplus_grad(h, ctx[1], **ctx.params) if ctx.needs[0] else None, to_x


@op(
    saves=0,
    cost=lambda x, out, **_: 3 * x.size,
    samples=lambda s: [*_away_from_zero(s), Sample(s(3, 4) - 1.5, alpha=0.5)],
    reference=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    oracle=lambda t, x, alpha=1.0: t.nn.functional.elu(x, alpha),
)
def elu(x: Array, /, alpha: float = 1.0) -> Array:
    """`x` where it is positive, else `alpha * (exp(x) - 1)`. Clevert et al. 2015, arXiv:1511.07289.

    >>> import tinytorch as tt
    >>> tt.elu(tt.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    return kernels.elu(as_float(x), alpha)


@elu.gradient
def _(ctx: Node, g: Any) -> Any:
    return elu_grad(g, ctx[0], alpha=ctx.params.get("alpha", 1.0))


@op(
    saves=(0, 1),
    cost=lambda g, x, out, **_: 3 * g.size,
    samples=gradient_samples(alpha=0.5),
    reference=lambda g, x, alpha: np.where(x > 0, g, g * alpha * np.exp(x)),
)
def elu_grad(g: Array, x: Array, /, alpha: float) -> Array:
    """`g` where `x` is positive, else `g * alpha * exp(x)`."""
    return kernels.elu_grad(g, x, alpha)


@elu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    to_x = None
    if ctx.needs[1]:
        positive = new_tensor(np.asarray(ctx[1]._data > 0))
        to_x = (h * ctx[0] * (ctx[1].exp() * ctx.params["alpha"])).masked_fill(positive, 0.0)
    return elu_grad(h, ctx[1], **ctx.params) if ctx.needs[0] else None, to_x
