"""Activation functions; each gradient is a kernel, and an op of its own with a gradient in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Sample, op
from tinytorch.kernels import activations as kernels

Array = np.ndarray


def _away_from_zero(s: Any) -> list[Sample]:
    x = s(5, 4)
    return [Sample(x + 0.2 * np.sign(x)), Sample(s(0, 3)), Sample(s(2, 1, 3) + 3.0)]


@op(saves="output", cost=lambda x, out: x.size, samples=_away_from_zero, reference=lambda x: np.maximum(x, 0),
    oracle=lambda t, x: t.relu(x))  # fmt: skip
def relu(x: Array, /) -> Array:
    """`max(x, 0)`, elementwise; the gradient at 0 is 0."""
    return kernels.relu(x)


@relu.gradient
def _(ctx: Node, g: Any) -> Any:
    return relu_grad(g, ctx.output)


@op(
    saves=1,
    cost=lambda g, y, out: g.size,
    samples=lambda s: [Sample(s(5, 4), s(5, 4) + np.array(0.5))],
    reference=lambda g, y: g * (y > 0),
)
def relu_grad(g: Array, y: Array, /) -> Array:
    """`g` where the output `y` of a ReLU is positive, else 0."""
    return kernels.relu_grad(g, y)


@relu_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    return relu_grad(h, ctx[1]), None
