"""Elementary functions of one argument, rounding, and the cast between dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import elementwise as kernels
from tinytorch.ops.common import Array, as_float, count, elements, zeros_like_argument


@op(saves="output", cost=count, samples=elements(), reference=np.exp, oracle=lambda t, x: t.exp(x))
def exp(x: Array, /) -> Array:
    """`e ** x`.

    >>> import tinytorch as tt
    >>> tt.exp(tt.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return kernels.exp(as_float(x))


@exp.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * ctx.output


@op(saves="output", cost=count, samples=elements(), reference=np.expm1, oracle=lambda t, x: t.expm1(x))
def expm1(x: Array, /) -> Array:
    """`e ** x - 1`, exact where x is close to 0.

    >>> import tinytorch as tt
    >>> tt.expm1(tt.tensor([0.0, 1.0]))
    tensor([0.    , 1.7183])
    """
    return kernels.expm1(as_float(x))


@expm1.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * (ctx.output + 1.0)


@op(saves=0, cost=count, samples=elements(0.2, 3.0), reference=np.log, oracle=lambda t, x: t.log(x))
def log(x: Array, /) -> Array:
    """Natural logarithm; `-inf` at 0 and NaN below.

    >>> import tinytorch as tt
    >>> tt.log(tt.tensor([1.0, 10.0]))
    tensor([0.    , 2.3026])
    """
    return kernels.log(as_float(x))


@log.gradient
def _(ctx: Node, g: Any) -> Any:
    return g / ctx[0]


def _logarithm(base: int, ufunc: np.ufunc) -> Any:
    """The logarithm to a base, exact for its whole powers, which `log(x) / log(base)` is not."""
    name = ufunc.__name__

    def forward(x: Array, /) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(ufunc(as_float(x)))

    forward.__doc__ = f"""Logarithm to base {base}; `-inf` at 0 and NaN below.

    >>> import tinytorch as tt
    >>> tt.{name}(tt.tensor([1.0, {base}.0, {base**3}.0]))
    tensor([0., 1., 3.])
    """
    logarithm = op(
        forward,
        name=name,
        saves=0,
        cost=count,
        samples=elements(0.2, 3.0),
        reference=ufunc,
        oracle=lambda t, x: getattr(t, name)(x),
    )
    logarithm.gradient(lambda ctx, g: g / (ctx[0] * math.log(base)))
    return logarithm


log2 = _logarithm(2, np.log2)
log10 = _logarithm(10, np.log10)


@op(saves=0, cost=count, samples=elements(-0.5, 3.0), reference=np.log1p, oracle=lambda t, x: t.log1p(x))
def log1p(x: Array, /) -> Array:
    """`log(1 + x)`, exact where x is close to 0.

    >>> import tinytorch as tt
    >>> tt.log1p(tt.tensor([0.0, 1.0]))
    tensor([0.    , 0.6931])
    """
    return kernels.log1p(as_float(x))


@log1p.gradient
def _(ctx: Node, g: Any) -> Any:
    return g / (ctx[0] + 1.0)


@op(saves="output", cost=count, samples=elements(0.2, 3.0), reference=np.sqrt, oracle=lambda t, x: t.sqrt(x))
def sqrt(x: Array, /) -> Array:
    """Square root; NaN below 0.

    >>> import tinytorch as tt
    >>> tt.sqrt(tt.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return kernels.sqrt(as_float(x))


@sqrt.gradient
def _(ctx: Node, g: Any) -> Any:
    return g / (ctx.output * 2.0)


@op(saves=0, cost=count, samples=elements(), reference=np.square, oracle=lambda t, x: t.square(x))
def square(x: Array, /) -> Array:
    """`x * x`.

    >>> import tinytorch as tt
    >>> tt.square(tt.tensor([2.0, 3.0]))
    tensor([4., 9.])
    """
    return kernels.square(x)


@square.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * (ctx[0] * 2.0)


@op(
    saves="output",
    cost=count,
    samples=elements(0.4, 3.0),
    reference=lambda x: 1 / x,
    oracle=lambda t, x: t.reciprocal(x),
)
def reciprocal(x: Array, /) -> Array:
    """`1 / x`; infinite at 0.

    >>> import tinytorch as tt
    >>> tt.reciprocal(tt.tensor([2.0, 4.0]))
    tensor([0.5 , 0.25])
    """
    return kernels.reciprocal(as_float(x))


@reciprocal.gradient
def _(ctx: Node, g: Any) -> Any:
    y = ctx.output
    return -g * (y * y)


def rsqrt(x: Any) -> Any:
    """`1 / sqrt(x)`; infinite at 0 and NaN below.

    >>> import tinytorch as tt
    >>> tt.rsqrt(tt.tensor([4.0, 0.25]))
    tensor([0.5, 2. ])
    """
    return reciprocal(sqrt(x))


@op(saves=0, cost=count, samples=elements(-4.0, 4.0), reference=np.sin, oracle=lambda t, x: t.sin(x))
def sin(x: Array, /) -> Array:
    """Sine of an angle in radians.

    >>> import tinytorch as tt
    >>> tt.sin(tt.tensor([0.0, 1.0]))
    tensor([0.    , 0.8415])
    """
    return kernels.sin(as_float(x))


@sin.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * cos(ctx[0])


@op(saves=0, cost=count, samples=elements(-4.0, 4.0), reference=np.cos, oracle=lambda t, x: t.cos(x))
def cos(x: Array, /) -> Array:
    """Cosine of an angle in radians.

    >>> import tinytorch as tt
    >>> tt.cos(tt.tensor([0.0, 1.0]))
    tensor([1.    , 0.5403])
    """
    return kernels.cos(as_float(x))


@cos.gradient
def _(ctx: Node, g: Any) -> Any:
    return -g * sin(ctx[0])


@op(
    saves=0,
    cost=count,
    samples=elements(-2.0, 2.0),
    reference=lambda x: np.vectorize(math.erf, otypes=[x.dtype])(x),
    oracle=lambda t, x: t.erf(x),
)
def erf(x: Array, /) -> Array:
    """The error function, `2 / sqrt(pi)` times the integral of `exp(-t * t)` from 0 to x.

    >>> import tinytorch as tt
    >>> tt.erf(tt.tensor([0.0, 1.0]))
    tensor([0.    , 0.8427])
    """
    return kernels.erf(as_float(x))


@erf.gradient
def _(ctx: Node, g: Any) -> Any:
    x = ctx[0]
    return g * (exp(-x * x) * (2.0 / math.sqrt(math.pi)))


def _off_the_steps(s: Any) -> list[Sample]:
    whole = np.rint(s(3, 4, low=-5.0, high=5.0))
    return [
        Sample(whole + s(3, 4, low=0.1, high=0.4)),
        Sample(whole - s(3, 4, low=0.1, high=0.4)),
        Sample(np.array([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5], s.dtype), smooth=False),
        Sample(s(0, 2)),
    ]


def _step(ctx: Node, g: Any) -> Any:
    return zeros_like_argument(ctx, 0)


@op(cost=count, samples=_off_the_steps, reference=np.sign, oracle=lambda t, x: t.sign(x))
def sign(x: Array, /) -> Array:
    """-1, 0 or 1; its gradient is zero.

    >>> import tinytorch as tt
    >>> tt.sign(tt.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return kernels.sign(x)


@op(cost=count, samples=_off_the_steps, reference=np.floor, oracle=lambda t, x: t.floor(x))
def floor(x: Array, /) -> Array:
    """The largest whole number that is not above x; its gradient is zero.

    >>> import tinytorch as tt
    >>> tt.floor(tt.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return np.asarray(np.floor(x)) if x.dtype.kind == "f" else x.copy()


@op(cost=count, samples=_off_the_steps, reference=np.ceil, oracle=lambda t, x: t.ceil(x))
def ceil(x: Array, /) -> Array:
    """The smallest whole number that is not below x; its gradient is zero.

    >>> import tinytorch as tt
    >>> tt.ceil(tt.tensor([-1.5, 1.5]))
    tensor([-1.,  2.])
    """
    return np.asarray(np.ceil(x)) if x.dtype.kind == "f" else x.copy()


@op(
    cost=count,
    samples=lambda s: [*_off_the_steps(s), Sample(s(3, 4), decimals=1, smooth=False)],
    reference=lambda x, decimals=0: np.round(x, decimals),
    oracle=lambda t, x, decimals=0: t.round(x, decimals=decimals),
)
def round(x: Array, /, decimals: int = 0) -> Array:
    """The nearest number with so many decimals, halves to the even one; its gradient is zero.

    >>> import tinytorch as tt
    >>> tt.round(tt.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    return np.asarray(np.round(x, decimals))


for _function in (sign, floor, ceil, round):
    _function.gradient(_step)


@op(
    samples=lambda s: [
        Sample(s(3, 4), dtype=np.dtype(np.float64)),
        Sample(s(0, 2), dtype=np.dtype(np.float32)),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3),), {"dtype": np.dtype(np.float16)}, TypeError, r"expected dtype .*float32.*, got float16"
        ),
    ],
    reference=lambda x, dtype: x.astype(dtype),
    oracle=lambda t, x, dtype: x.to(getattr(t, np.dtype(dtype).name)),
)
def cast(x: Array, /, dtype: np.dtype) -> Array:
    """The same values in another dtype; the gradient comes back in the first."""
    if dtype.kind not in "fiub" or dtype == np.float16:
        raise TypeError(f"to: expected dtype float32, float64, an integer or bool, got {dtype}")
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@cast.gradient
def _(ctx: Node, g: Any) -> Any:
    return g  # the backward pass casts it


@op(
    samples=lambda s: [Sample(s(3, 4)), Sample(s(0, 2)), Sample(s())],
    reference=np.array,
    oracle=lambda t, x: x.clone(),
)
def clone(x: Array, /) -> Array:
    """The same values in memory of their own, in row-major order.

    >>> import tinytorch as tt
    >>> tt.clone(tt.tensor([1, 2]))
    tensor([1, 2])
    """
    return x.copy()


@clone.gradient
def _(ctx: Node, g: Any) -> Any:
    return g


def _predicate(name: str, ufunc: np.ufunc, text: str, example: str) -> Any:
    """An op without a gradient that says, for every element, whether something holds."""

    def samples(s: Any) -> list[Sample]:
        odd = np.array([0.0, np.nan, np.inf, -np.inf], s.dtype)
        return [Sample(s(3, 4)), Sample(odd), Sample(np.array([1, 2])), Sample(s(0, 2))]

    def forward(x: Array, /) -> Array:
        return np.asarray(ufunc(x))

    forward.__doc__ = f"""{text}

    >>> import tinytorch as tt
    >>> tt.{name}(tt.tensor([1.0, float("nan"), float("inf")])).tolist()
    {example}
    """
    return op(
        forward,
        name=name,
        differentiable=False,
        cost=count,
        samples=samples,
        reference=ufunc,
        oracle=lambda t, x: getattr(t, name)(x),
    )


isnan = _predicate("isnan", np.isnan, "Where x is NaN.", "[False, True, False]")
isinf = _predicate("isinf", np.isinf, "Where x is infinite.", "[False, False, True]")
isfinite = _predicate("isfinite", np.isfinite, "Where x is neither NaN nor infinite.", "[True, False, False]")
