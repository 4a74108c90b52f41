"""Choosing between values: where, clip, masked_fill, nan_to_num, and the triangles of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, new_tensor, op
from tinytorch.kernels import elementwise as kernels
from tinytorch.ops.common import Array, as_float, check_broadcast, count, element, promote
from tinytorch.ops.compare import logical_or, lt
from tinytorch.ops.elementary import clone, isnan
from tinytorch.ops.index import nonzero

_NUMBER = (int, float, np.generic, type(None))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, registry._tensor_class)


@op(
    name="where",
    saves=0,
    cost=count,
    samples=lambda s: [
        Sample(s.mask(3, 4), s(3, 4), s(3, 4)),
        Sample(s.mask(3, 1), s(4), s()),
        Sample(s.mask(4), s(3, 4), s(3, 1)),
        Sample(s.mask(0, 4), s(4), s(1, 4)),
    ],
    refuses=lambda s: [
        Refusal((s(3), s(3), s(3)), {}, TypeError, r"where: expected a condition of dtype bool, got float"),
        Refusal(
            (s.mask(3), s(4), s(4)),
            {},
            ValueError,
            r"where: shapes \(3,\) and \(4,\) and \(4,\) do not broadcast",
        ),
    ],
    reference=np.where,
    oracle=lambda t, c, a, b: t.where(c, a, b),
)
def choose(condition: Array, a: Array, b: Array, /) -> Array:
    """`a` where the condition holds, else `b`."""
    if condition.dtype != np.bool_:
        raise TypeError(
            f"where: expected a condition of dtype bool, got {condition.dtype}. Compare first, as in x > 0."
        )
    a, b = promote(a, b)
    if not condition.shape == a.shape == b.shape:
        check_broadcast("where", condition, a, b)
    return np.asarray(kernels.where(condition, a, b))


@choose.gradient
def _(ctx: Node, g: Any) -> Any:
    zero = np.zeros((), ctx.dtype)
    return (
        None,
        choose(ctx[0], g, zero) if ctx.needs[1] else None,
        choose(ctx[0], zero, g) if ctx.needs[2] else None,
    )


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; alone, the places where it holds, a tensor an axis.

    >>> import tinytorch as tt
    >>> x = tt.tensor([-1.0, 2.0])
    >>> tt.where(x > 0, x, 0.0)
    tensor([0., 2.])
    >>> tt.where(x > 0)
    (tensor([1]),)
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("where: expected two values to choose from, or neither, got one")
    return choose(condition, input, other)


def _clipped(s: Any) -> list[Sample]:
    x = np.array([-3.0, -1.0, 0.5, 2.0, 9.0], s.dtype)
    return [
        Sample(x, min=-2.0, max=1.0),
        Sample(x, min=0.0),
        Sample(x, max=0.0),
        Sample(x, min=-1.0, max=2.0, smooth=False),
        Sample(np.array([1, 5, 9]), min=2, max=6),
        Sample(s(0, 2), min=0.0),
    ]


@op(
    name="clip",
    saves=0,
    cost=count,
    samples=_clipped,
    refuses=lambda s: [Refusal((s(3),), {}, ValueError, "clip: expected min, max or both, got neither")],
    reference=lambda x, min=None, max=None: np.clip(x, min, max),
    oracle=lambda t, x, min=None, max=None: t.clip(x, min, max),
)
def clip_between(x: Array, /, min: float | None = None, max: float | None = None) -> Array:
    """`x`, but not below `min` and not above `max`; the gradient is zero outside of them."""
    if min is None and max is None:
        raise ValueError("clip: expected min, max or both, got neither")
    if isinstance(min, float) or isinstance(max, float):
        x = as_float(x)
    return np.asarray(kernels.clip(x, min, max), x.dtype)


@clip_between.gradient
def _(ctx: Node, g: Any) -> Any:
    x, low, high = ctx[0]._data, ctx.params.get("min"), ctx.params.get("max")
    inside = np.ones(x.shape, np.bool_)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return choose(new_tensor(inside), g, np.zeros((), ctx.dtype))


def clip(input: Any, min: Any = None, max: Any = None) -> Any:
    """`input`, but not below `min` and not above `max`: numbers, or tensors that broadcast.

    The gradient goes to the one that was taken: to the bound outside of it, to `input` inside and at a tie.

    >>> import tinytorch as tt
    >>> tt.clip(tt.tensor([-3.0, 0.5, 9.0]), -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    >>> tt.clip(tt.tensor([-3.0, 0.5, 9.0]), max=tt.tensor([0.0, 1.0, 2.0]))
    tensor([-3. ,  0.5,  2. ])
    """
    if isinstance(min, _NUMBER) and isinstance(max, _NUMBER):
        return clip_between(input, min=min, max=max)
    for bound, outside in ((min, lambda x, low: lt(x, low)), (max, lambda x, high: lt(high, x))):
        if bound is not None:
            x, bound = as_tensors(clip_between, (input, bound))
            input = choose(logical_or(outside(x, bound), isnan(bound)), bound, x)
    return input


@op(
    name="masked_fill",
    saves=1,
    cost=count,
    samples=lambda s: [
        Sample(s(3, 4), s.mask(3, 4), value=2.0),
        Sample(s(3, 4), s.mask(4), value=-np.inf, smooth=False),
        Sample(s(0, 4), s.mask(4), value=0.0),
        Sample(s(4), s.mask(3, 4), value=2.0),
        Sample(np.array([1, 2, 3]), s.mask(3), value=7.0),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3), s(3)), {"value": 0.0}, TypeError, r"masked_fill: expected a mask of dtype bool, got float"
        ),
        Refusal(
            (s(3), s.mask(4)),
            {"value": 0.0},
            ValueError,
            r"masked_fill: shapes \(3,\) and \(4,\) do not broadcast",
        ),
        Refusal(
            (np.array([1, 2]), s.mask(2)),
            {"value": -np.inf},
            ValueError,
            "masked_fill: expected a number from .* for dtype int64, got -inf",
        ),
    ],
    reference=lambda x, mask, value: np.where(mask, np.asarray(value, x.dtype), x),
    oracle=lambda t, x, mask, value: x.masked_fill(mask, value),
)
def fill_where(x: Array, mask: Array, /, value: float) -> Array:
    """`x` with the number `value` where the mask is true."""
    if mask.dtype != np.bool_:
        raise TypeError(f"masked_fill: expected a mask of dtype bool, got {mask.dtype}")
    value = element("masked_fill", value, x.dtype)
    if x.shape != mask.shape:
        check_broadcast("masked_fill", x, mask)
        x = np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))
    out = x.copy()
    np.copyto(out, value, where=mask, casting="unsafe")
    return out


@fill_where.gradient
def _(ctx: Node, g: Any) -> Any:
    return fill_where(g, ctx[1], value=0.0), None


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`input` with `value`, a number or a 0-d tensor, where the mask is true; the two broadcast.

    >>> import tinytorch as tt
    >>> tt.masked_fill(tt.zeros(3), tt.tensor([True, False, True]), 7.0)
    tensor([7., 0., 7.])
    """
    if not _is_tensor(value):
        return fill_where(input, mask, value=value)
    if value.ndim:
        raise ValueError(f"masked_fill: expected a number or a 0-d tensor, got shape {value.shape}")
    if not value.requires_grad:
        return fill_where(input, mask, value=value.item())
    return choose(mask, value.to(input.dtype), input)


def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """`input` with numbers for NaN and the infinities: 0 and the largest and smallest finite ones by default.

    >>> import tinytorch as tt
    >>> tt.nan_to_num(tt.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    if input.dtype.kind != "f":
        return clone(input)
    x, most = input._data, float(np.finfo(input.dtype).max)
    for odd, number in (
        (np.isnan(x), nan),
        (np.isposinf(x), most if posinf is None else posinf),
        (np.isneginf(x), -most if neginf is None else neginf),
    ):
        input = fill_where(input, np.asarray(odd), value=number)
    return input


def _triangle_samples(s: Any) -> list[Sample]:
    return [Sample(s(3, 4)), Sample(s(2, 4, 3), diagonal=1), Sample(s(3, 3), diagonal=-1), Sample(s(0, 3))]


def _not_a_matrix(name: str) -> Any:
    return lambda s: [
        Refusal((s(3),), {}, ValueError, rf"{name}: expected at least 2 dimensions, got shape \(3,\)")
    ]


def _check_matrix(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name}: expected at least 2 dimensions, got shape {x.shape}")


@op(
    cost=count,
    samples=_triangle_samples,
    refuses=_not_a_matrix("tril"),
    reference=lambda x, diagonal=0: np.tril(x, diagonal),
    oracle=lambda t, x, diagonal=0: t.tril(x, diagonal),
)
def tril(x: Array, /, diagonal: int = 0) -> Array:
    """The lower triangle of each matrix, zeros above `diagonal`: a causal mask.

    >>> import tinytorch as tt
    >>> tt.tril(tt.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    _check_matrix("tril", x)
    return np.tril(x, diagonal)


@tril.gradient
def _(ctx: Node, g: Any) -> Any:
    return tril(g, diagonal=ctx.params.get("diagonal", 0))


@op(
    cost=count,
    samples=_triangle_samples,
    refuses=_not_a_matrix("triu"),
    reference=lambda x, diagonal=0: np.triu(x, diagonal),
    oracle=lambda t, x, diagonal=0: t.triu(x, diagonal),
)
def triu(x: Array, /, diagonal: int = 0) -> Array:
    """The upper triangle of each matrix, zeros below `diagonal`.

    >>> import tinytorch as tt
    >>> tt.triu(tt.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    _check_matrix("triu", x)
    return np.triu(x, diagonal)


@triu.gradient
def _(ctx: Node, g: Any) -> Any:
    return triu(g, diagonal=ctx.params.get("diagonal", 0))
