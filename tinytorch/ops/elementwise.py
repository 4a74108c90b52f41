"""Arithmetic and elementary functions, element by element, with broadcasting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import elementwise as kernels

Array = np.ndarray


def _promote(a: Array, b: Array) -> tuple[Array, Array]:
    """Bring two operands to one dtype by PyTorch's rule: floating point wins over integers, whatever the width."""
    if a.dtype is b.dtype or a.dtype == b.dtype:
        return a, b
    if (a.dtype.kind == "f") != (b.dtype.kind == "f"):
        dtype = a.dtype if a.dtype.kind == "f" else b.dtype
    elif a.dtype.kind == "f" and (a.ndim == 0) != (b.ndim == 0):
        dtype = b.dtype if a.ndim == 0 else a.dtype
    else:
        dtype = np.promote_types(a.dtype, b.dtype)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def _as_float(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _check_broadcast(name: str, a: Array, b: Array) -> None:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"{name}: shapes {a.shape} and {b.shape} do not broadcast. Expected each pair of dimensions, "
            "counted from the right, to be equal or to contain a 1."
        ) from None


def _pairs(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4), s(3, 4)),
        Sample(s(3, 4), s(4)),
        Sample(s(2, 3, 4), s(3, 1)),
        Sample(s(3, 4), s()),
        Sample(s(3, 1), s(1, 4)),
        Sample(s(0, 4), s(4)),
        Sample(s(), s()),
    ]


def _clash(name: str) -> Any:
    return lambda s: [Refusal((s(3, 4), s(5)), {}, ValueError, rf"{name}: shapes \(3, 4\) and \(5,\) do not broadcast")]


def _count(*arrays: Any, out: Array, **_: Any) -> float:
    return out.size


@op(name="add", cost=_count, samples=_pairs, refuses=_clash("add"), reference=np.add, oracle=lambda t, a, b: a + b)
def add(a: Array, b: Array, /) -> Array:
    """`a + b`."""
    a, b = _promote(a, b)
    if a.shape != b.shape:
        _check_broadcast("add", a, b)
    return kernels.add(a, b)


@add.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, g


@op(name="sub", cost=_count, samples=_pairs, refuses=_clash("sub"), reference=np.subtract, oracle=lambda t, a, b: a - b)
def sub(a: Array, b: Array, /) -> Array:
    """`a - b`."""
    a, b = _promote(a, b)
    if a.shape != b.shape:
        _check_broadcast("sub", a, b)
    return kernels.subtract(a, b)


@sub.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, -g if ctx.needs[1] else None


@op(
    name="mul", saves=(0, 1), cost=_count, samples=_pairs, refuses=_clash("mul"),
    reference=np.multiply, oracle=lambda t, a, b: a * b,
)  # fmt: skip
def mul(a: Array, b: Array, /) -> Array:
    """`a * b`."""
    a, b = _promote(a, b)
    if a.shape != b.shape:
        _check_broadcast("mul", a, b)
    return kernels.multiply(a, b)


@mul.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * ctx[1] if ctx.needs[0] else None, g * ctx[0] if ctx.needs[1] else None


def _quotients(s: Any) -> list[Sample]:
    return [Sample(a.args[0], s(*a.args[1].shape, low=0.5, high=2.0)) for a in _pairs(s)]


@op(
    name="div", saves=(0, 1), cost=_count, samples=_quotients, refuses=_clash("div"),
    reference=np.divide, oracle=lambda t, a, b: a / b,
)  # fmt: skip
def div(a: Array, b: Array, /) -> Array:
    """`a / b`; integers are divided as float32."""
    a, b = _promote(a, b)
    if a.shape != b.shape:
        _check_broadcast("div", a, b)
    return kernels.divide(_as_float(a), _as_float(b))


@div.gradient
def _(ctx: Node, g: Any) -> Any:
    over = g / ctx[1]
    return over, -over * ctx[0] / ctx[1] if ctx.needs[1] else None


@op(name="neg", cost=_count, samples=lambda s: [Sample(s(3, 4)), Sample(s(0,)), Sample(s())], reference=np.negative,
    oracle=lambda t, x: -x)  # fmt: skip
def neg(x: Array, /) -> Array:
    """`-x`."""
    return kernels.neg(x)


@neg.gradient
def _(ctx: Node, g: Any) -> Any:
    return -g


@op(name="exp", saves="output", cost=_count, samples=lambda s: [Sample(s(3, 4)), Sample(s(0, 2)), Sample(s())],
    reference=np.exp, oracle=lambda t, x: t.exp(x))  # fmt: skip
def exp(x: Array, /) -> Array:
    """`e ** x`."""
    return kernels.exp(_as_float(x))


@exp.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * ctx.output


@op(name="log", saves=0, cost=_count, samples=lambda s: [Sample(s(3, 4, low=0.2, high=3.0)), Sample(s(0, 2))],
    reference=np.log, oracle=lambda t, x: t.log(x))  # fmt: skip
def log(x: Array, /) -> Array:
    """Natural logarithm; `-inf` at 0 and NaN below."""
    return kernels.log(_as_float(x))


@log.gradient
def _(ctx: Node, g: Any) -> Any:
    return g / ctx[0]


@op(name="sqrt", saves="output", cost=_count, samples=lambda s: [Sample(s(3, 4, low=0.2, high=3.0))],
    reference=np.sqrt, oracle=lambda t, x: t.sqrt(x))  # fmt: skip
def sqrt(x: Array, /) -> Array:
    """Square root; NaN below 0."""
    return kernels.sqrt(_as_float(x))


@sqrt.gradient
def _(ctx: Node, g: Any) -> Any:
    return g / (ctx.output * 2.0)


@op(
    samples=lambda s: [Sample(s(3, 4), dtype=np.dtype(np.float64))],
    reference=lambda x, dtype: x.astype(dtype),
)
def cast(x: Array, /, dtype: np.dtype) -> Array:
    """The same values in another dtype; the gradient comes back in the first."""
    return x.astype(dtype)


@cast.gradient
def _(ctx: Node, g: Any) -> Any:
    return g  # the backward pass casts it
