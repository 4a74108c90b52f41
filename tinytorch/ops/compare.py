"""Comparisons and logic: boolean results, without a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Sample, op
from tinytorch.ops.common import Array, check_broadcast, clash, count, pairs, promote


def _comparison(name: str, ufunc: np.ufunc, sign: str, example: str) -> Any:
    def samples(s: Any) -> list[Sample]:
        ties = np.array([1.0, np.nan, 3.0], s.dtype), np.array([1.0, np.nan, 2.0], s.dtype)
        return [*pairs(s), Sample(*ties), Sample(np.array([1, 2, 3]), np.array(2))]

    def forward(a: Array, b: Array, /) -> Array:
        if a.dtype.kind not in "iu" or b.dtype.kind not in "iu":  # NumPy compares integers of all widths
            a, b = promote(a, b)
        if a.shape != b.shape:
            check_broadcast(name, a, b)
        return np.asarray(ufunc(a, b))

    forward.__doc__ = f"""`a {sign} b`, element by element, as booleans.

    >>> import tinytorch as tt
    >>> tt.{name}(tt.tensor([1, 2, 3]), 2).tolist()
    {example}
    """
    return op(
        forward,
        name=name,
        differentiable=False,
        cost=count,
        samples=samples,
        refuses=clash(name),
        reference=ufunc,
        oracle=lambda t, a, b: getattr(t, name)(a, b),
    )


eq = _comparison("eq", np.equal, "==", "[False, True, False]")
ne = _comparison("ne", np.not_equal, "!=", "[True, False, True]")
lt = _comparison("lt", np.less, "<", "[True, False, False]")
le = _comparison("le", np.less_equal, "<=", "[True, True, False]")
gt = _comparison("gt", np.greater, ">", "[False, False, True]")
ge = _comparison("ge", np.greater_equal, ">=", "[False, True, True]")


def _logic(name: str, ufunc: np.ufunc, text: str, example: str) -> Any:
    def samples(s: Any) -> list[Sample]:
        return [
            Sample(s.mask(3, 4), s.mask(3, 4)),
            Sample(s.mask(3, 4), s.mask(4)),
            Sample(np.array([0, 1, 2]), np.array([0, 0, 1])),
            Sample(s.mask(0, 4), s.mask(4)),
        ]

    def forward(a: Array, b: Array, /) -> Array:
        if a.shape != b.shape:
            check_broadcast(name, a, b)
        return np.asarray(ufunc(a, b))

    forward.__doc__ = f"""{text}

    >>> import tinytorch as tt
    >>> tt.{name}(tt.tensor([True, True, False]), tt.tensor([True, False, False])).tolist()
    {example}
    """
    return op(
        forward,
        name=name,
        differentiable=False,
        cost=count,
        samples=samples,
        refuses=clash(name),
        reference=ufunc,
        oracle=lambda t, a, b: getattr(t, name)(a, b),
    )


logical_and = _logic("logical_and", np.logical_and, "Where both are true (not zero).", "[True, False, False]")
logical_or = _logic(
    "logical_or", np.logical_or, "Where at least one is true (not zero).", "[True, True, False]"
)
logical_xor = _logic(
    "logical_xor", np.logical_xor, "Where exactly one is true (not zero).", "[False, True, False]"
)


@op(
    differentiable=False,
    cost=count,
    samples=lambda s: [Sample(s.mask(3, 4)), Sample(np.array([0, 1, 2])), Sample(s.mask(0, 4))],
    reference=np.logical_not,
    oracle=lambda t, x: t.logical_not(x),
)
def logical_not(x: Array, /) -> Array:
    """Where x is false (zero).

    >>> import tinytorch as tt
    >>> tt.logical_not(tt.tensor([True, False]))
    tensor([False,  True])
    """
    return np.asarray(np.logical_not(x))


def _close_pairs(s: Any) -> list[Sample]:
    x = s(3, 4)
    odd = np.array([np.nan, np.inf, 1.0], x.dtype)
    return [Sample(x, x * (1 + 1e-6)), Sample(x, x + 0.1), Sample(odd, odd), Sample(odd, odd, equal_nan=True)]


@op(
    differentiable=False,
    cost=count,
    samples=_close_pairs,
    refuses=clash("isclose"),
    reference=lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(a, b, rtol, atol, equal_nan),
    oracle=lambda t, a, b, **tolerances: t.isclose(a, b, **tolerances),
)
def isclose(a: Array, b: Array, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Where `|a - b| <= atol + rtol * |b|`.

    >>> import tinytorch as tt
    >>> tt.isclose(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if a.shape != b.shape:
        check_broadcast("isclose", a, b)
    return np.asarray(np.isclose(a, b, rtol, atol, equal_nan))
