"""Arithmetic, element by element, with broadcasting and PyTorch's promotion of dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.kernels import elementwise as kernels
from tinytorch.ops.common import (
    Array,
    as_float,
    check_broadcast,
    clash,
    count,
    elements,
    pairs,
    promote,
    zeros_like_argument,
)


def _scaled_pairs(s: Any) -> list[Sample]:
    return [*pairs(s), Sample(s(3, 4), s(4), alpha=0.5), Sample(np.array([1, 2]), np.array(3), alpha=2)]


@op(
    cost=count,
    samples=_scaled_pairs,
    refuses=clash("add"),
    reference=lambda a, b, alpha=1: np.add(a, alpha * b),
    oracle=lambda t, a, b, alpha=1: t.add(a, b, alpha=alpha),
)
def add(a: Array, b: Array, /, alpha: float = 1) -> Array:
    """`a + alpha * b`.

    >>> import tinytorch as tt
    >>> tt.add(tt.ones(2, 1), tt.tensor([1.0, 2.0]))
    tensor([[2., 3.],
            [2., 3.]])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("add", a, b)
    return kernels.add(a, b if alpha == 1 else _scaled("add", b, alpha))


def _scaled(name: str, b: Array, alpha: float) -> Array:
    if isinstance(alpha, float) and b.dtype.kind != "f":
        raise TypeError(f"{name}: expected a whole alpha for tensors of dtype {b.dtype}, got {alpha}")
    return kernels.multiply(b, np.asarray(alpha, b.dtype))


@add.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, g * ctx.params["alpha"] if ctx.params else g


@op(
    cost=count,
    samples=_scaled_pairs,
    refuses=clash("sub"),
    reference=lambda a, b, alpha=1: np.subtract(a, alpha * b),
    oracle=lambda t, a, b, alpha=1: t.sub(a, b, alpha=alpha),
)
def sub(a: Array, b: Array, /, alpha: float = 1) -> Array:
    """`a - alpha * b`.

    >>> import tinytorch as tt
    >>> tt.sub(tt.tensor([3.0, 2.0]), 1.0)
    tensor([2., 1.])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("sub", a, b)
    if a.dtype == np.bool_:
        raise TypeError(
            "sub: booleans cannot be subtracted. Use != for exclusive or, or convert with .int() first."
        )
    return kernels.subtract(a, b if alpha == 1 else _scaled("sub", b, alpha))


@sub.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, (g * -ctx.params["alpha"] if ctx.params else -g) if ctx.needs[1] else None


@op(
    saves=(0, 1),
    cost=count,
    samples=pairs,
    refuses=clash("mul"),
    reference=np.multiply,
    oracle=lambda t, a, b: a * b,
)
def mul(a: Array, b: Array, /) -> Array:
    """`a * b`.

    >>> import tinytorch as tt
    >>> tt.mul(tt.tensor([3.0, 2.0]), 2.0)
    tensor([6., 4.])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("mul", a, b)
    return kernels.multiply(a, b)


@mul.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * ctx[1] if ctx.needs[0] else None, g * ctx[0] if ctx.needs[1] else None


def _quotients(s: Any) -> list[Sample]:
    whole = np.array([7, -7, 6]), np.array(2)
    return [
        *(Sample(p.args[0], s(*p.args[1].shape, low=0.5, high=2.0)) for p in pairs(s)),
        *(Sample(*p.args, rounding_mode=mode) for mode in ("floor", "trunc") for p in _steps(s)),
        *(Sample(*whole, rounding_mode=mode) for mode in ("floor", "trunc")),
    ]


_ROUNDING = {None: np.asarray, "floor": np.floor, "trunc": np.trunc}


@op(
    saves=(0, 1),
    cost=count,
    samples=_quotients,
    refuses=lambda s: [
        *clash("div")(s),
        Refusal((s(3), s(3)), {"rounding_mode": "up"}, ValueError, "div: expected rounding_mode .* got 'up'"),
        Refusal(
            (np.array([1]), np.array([0])), {"rounding_mode": "trunc"}, ZeroDivisionError, "div: .* by 0"
        ),
    ],
    reference=lambda a, b, rounding_mode=None: _ROUNDING[rounding_mode](np.divide(a, b)).astype(
        np.result_type(a, b) if rounding_mode else None
    ),
    oracle=lambda t, a, b, rounding_mode=None: t.div(a, b, rounding_mode=rounding_mode),
)
def div(a: Array, b: Array, /, rounding_mode: str | None = None) -> Array:
    """`a / b`; integers are divided as float32. Division by 0 gives inf or NaN.

    rounding_mode: "floor" is `a // b`, "trunc" rounds towards 0. Integers stay so, and the gradient is zero.

    >>> import tinytorch as tt
    >>> tt.div(tt.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    """
    if rounding_mode is not None:
        return _rounded_quotient(a, b, rounding_mode)
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("div", a, b)
    return kernels.divide(as_float(a), as_float(b))


def _rounded_quotient(a: Array, b: Array, rounding_mode: str) -> Array:
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")
    a, b = _check_divisor("div", a, b)
    with np.errstate(all="ignore"):
        if rounding_mode == "trunc" and a.dtype.kind == "f":
            return np.asarray(np.trunc(a / b))
        whole = np.asarray(np.floor_divide(a, b))
        return whole if rounding_mode == "floor" else whole + ((whole < 0) & (whole * b != a))


@div.gradient
def _(ctx: Node, g: Any) -> Any:
    if ctx.params.get("rounding_mode") is not None:
        return tuple(zeros_like_argument(ctx, i) if ctx.needs[i] else None for i in range(2))
    over = g / ctx[1]
    return over, -over * ctx[0] / ctx[1] if ctx.needs[1] else None


def _check_divisor(name: str, a: Array, b: Array) -> tuple[Array, Array]:
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast(name, a, b)
    if b.dtype.kind != "f" and not b.all():
        raise ZeroDivisionError(
            f"{name}: an integer tensor was divided by 0. Expected a divisor without zeros."
        )
    return a, b


def _steps(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4, low=-5.0, high=5.0), s(3, 4, low=0.6, high=2.0)),
        Sample(s(3, 4, low=-5.0, high=5.0), s(4, low=-2.0, high=-0.6)),
        Sample(s(0, 4), s(4, low=1.0, high=2.0)),
    ]


def _zero_divisor(name: str) -> Any:
    return lambda s: [
        *clash(name)(s),
        Refusal(
            (np.array([1, 2]), np.array([1, 0])), {}, ZeroDivisionError, rf"{name}: an integer tensor .* by 0"
        ),
    ]


@op(
    cost=count,
    samples=_steps,
    refuses=_zero_divisor("floor_divide"),
    reference=np.floor_divide,
    oracle=lambda t, a, b: a // b,
)
def floor_divide(a: Array, b: Array, /) -> Array:
    """`a // b`: the quotient rounded towards minus infinity; its gradient is zero.

    >>> import tinytorch as tt
    >>> tt.floor_divide(tt.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    a, b = _check_divisor("floor_divide", a, b)
    with np.errstate(all="ignore"):
        return np.asarray(np.floor_divide(a, b))


@floor_divide.gradient
def _(ctx: Node, g: Any) -> Any:
    return tuple(zeros_like_argument(ctx, i) if ctx.needs[i] else None for i in range(2))


@op(
    saves=(0, 1),
    cost=count,
    samples=_steps,
    refuses=_zero_divisor("remainder"),
    reference=np.remainder,
    oracle=lambda t, a, b: a % b,
)
def remainder(a: Array, b: Array, /) -> Array:
    """`a % b`, with the sign of `b`: what `a // b` leaves.

    >>> import tinytorch as tt
    >>> tt.remainder(tt.tensor([7, -7]), 3)
    tensor([1, 2])
    """
    a, b = _check_divisor("remainder", a, b)
    with np.errstate(all="ignore"):
        return np.asarray(np.remainder(a, b))


@remainder.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, -g * (ctx[0] // ctx[1]) if ctx.needs[1] else None


def _powers(s: Any) -> list[Sample]:
    positive = {"low": 0.3, "high": 2.0}
    at_zero = np.array([0.0, 1.0, 2.0], s.dtype)
    return [
        Sample(s(3, 4), 2.0),
        Sample(s(3, 4, low=-2.0, high=-0.5), 3.0),
        Sample(s(3, 4, **positive), np.asarray(-1.0, s.dtype)),
        Sample(s(3, 4, **positive), np.asarray(0.5, s.dtype)),
        Sample(s(3, 4, **positive), s(3, 4, high=3.0)),
        Sample(s(3, 1, **positive), s(4)),
        Sample(s(0, 4), s(4)),
        Sample(at_zero, np.asarray(0.0, s.dtype), smooth=False),
        Sample(at_zero, np.asarray(1.0, s.dtype), smooth=False),
        Sample(at_zero, np.array([0.0, 2.0, 0.0], s.dtype), smooth=False),
    ]


@op(
    saves=("output", 0, 1),
    cost=count,
    samples=_powers,
    refuses=lambda s: [
        *clash("pow")(s),
        Refusal((np.array([1, 2]), np.array(-1)), {}, ValueError, r"pow: integers .* negative .* got -1"),
    ],
    reference=np.power,
    oracle=lambda t, a, b: a**b,
)
def pow(a: Array, b: Array, /) -> Array:
    """`a ** b`; NaN for a negative number to a power that is not whole.

    The gradient to `a` is `b * a ** (b - 1)`, and 0 where `b` is 0; the one to `b` is `a ** b * log(a)`,
    and 0 where `a` is 0 and `b` is not negative.

    >>> import tinytorch as tt
    >>> tt.pow(tt.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    a, b = promote(a, b)
    if a.shape != b.shape:
        check_broadcast("pow", a, b)
    if b.dtype.kind == "i" and a.dtype.kind != "f" and b.size and b.min() < 0:
        raise ValueError(
            f"pow: integers cannot be raised to a negative power, got {b.min()}. "
            "Convert the base with .float() first."
        )
    return kernels.power(a, b)


@pow.gradient
def _(ctx: Node, g: Any) -> Any:
    a, b = ctx[0], ctx[1]
    if a._data.dtype.kind != "f":  # integers have no power below 0, and their logarithm is float32
        a = a.to(ctx.dtype)
    to_a = to_b = None
    if ctx.needs[0]:
        if not ctx.needs[1] and b.ndim == 0:
            to_a = _power_gradient(g, a, b.item())
        else:
            to_a = (g * (b * a ** (b - 1.0))).masked_fill(new_tensor(b._data == 0), 0.0)
    if ctx.needs[1]:
        flat = (a._data == 0) & (b._data >= 0)
        safe = a.masked_fill(new_tensor(np.asarray(a._data == 0)), 1.0) if flat.any() else a
        to_b = (g * (ctx.output * safe.log())).masked_fill(new_tensor(flat), 0.0)
    return to_a, to_b


def _power_gradient(g: Any, a: Any, exponent: float) -> Any:
    """`g * exponent * a ** (exponent - 1)` for one number, without a power where a product will do."""
    if exponent == 0.0:
        return g * 0.0
    if exponent == 1.0:
        return g
    if exponent == 2.0:
        return g * (a * 2.0)
    return g * (a ** (exponent - 1.0) * exponent)


@op(cost=count, samples=elements(), reference=np.negative, oracle=lambda t, x: -x)
def neg(x: Array, /) -> Array:
    """`-x`.

    >>> import tinytorch as tt
    >>> tt.neg(tt.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return kernels.neg(x)


@neg.gradient
def _(ctx: Node, g: Any) -> Any:
    return -g


@op(saves=0, cost=count, samples=elements(0.1, 1.0), reference=np.abs, oracle=lambda t, x: x.abs())
def abs(x: Array, /) -> Array:
    """`|x|`; the gradient at 0 is 0.

    >>> import tinytorch as tt
    >>> tt.abs(tt.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return kernels.abs(x)


@abs.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * new_tensor(kernels.sign(ctx[0]._data))
