"""Rotary positions: what a query and a key see of their places is how far these are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import rotary as kernels
from tinytorch.ops.common import Array

NAME = "rotary_embedding"


def _rows(s: Any) -> list[Sample]:
    return [
        Sample(s(2, 3, 5, 8)),
        Sample(s(3, 5, 12), head_size=4, offset=7, base=100.0),
        Sample(s(2, 4, 18), head_size=6, rotated=12, inverse=True),
        Sample(s(4, 2), offset=np.array([3, 0, 11, -2])),
        Sample(s(2, 3, 4), rotated=0),
        Sample(s(2, 0, 4)),
        Sample(s(2, 3, 0)),
    ]


def _naive(
    x: Array, offset: int | Array = 0, base: float = 10000.0, head_size: int | None = None,
    rotated: int | None = None, inverse: bool = False,
) -> Array:  # fmt: skip
    """Each pair as a complex number, times a number of length 1."""
    size = x.shape[-1] if head_size is None else head_size
    length, end, half = x.shape[-2], x.shape[-1] if rotated is None else rotated, size // 2
    positions = offset + np.arange(length) if isinstance(offset, int) else offset
    out = np.array(x)
    for first in range(0, end, size or 1):
        one, other = slice(first, first + half), slice(first + half, first + size)
        for i, position in enumerate(positions):
            angles = position * base ** (-2 * np.arange(half) / size)
            points = (x[..., i, one] + 1j * x[..., i, other]) * np.exp((-1j if inverse else 1j) * angles)
            out[..., i, one], out[..., i, other] = points.real, points.imag
    return out


def _oracle(
    t: Any, x: Any, offset: Any = 0, base: float = 10000.0, head_size: int | None = None,
    rotated: int | None = None, inverse: bool = False,
) -> Any:  # fmt: skip
    """As in the models of the field: x * cos + rotate_half(x) * sin, of queries and keys split into heads."""
    width = x.shape[-1]
    size, end = head_size or width, width if rotated is None else rotated
    if not x.numel() or not end:
        return x * 1.0
    positions = offset + t.arange(x.shape[-2]) if isinstance(offset, int) else t.from_numpy(offset)
    frequencies = base ** (-t.arange(0, size, 2, dtype=t.float64) / size)
    angles = t.cat([positions[:, None] * frequencies] * 2, -1)[:, None]
    cos, sin = angles.cos().to(x.dtype), (-angles if inverse else angles).sin().to(x.dtype)
    turned, rest = x.split([end, width - end], -1)
    heads = turned.unflatten(-1, (-1, size))
    one, other = heads.chunk(2, -1)
    turned = heads * cos + t.cat([-other, one], -1) * sin
    return t.cat([turned.flatten(-2), rest], -1)


def _positions(offset: Any, length: int) -> int | Array:
    """A whole number, or the integers of an array (length,)."""
    if isinstance(offset, (int, np.integer)) and not isinstance(offset, bool):
        return int(offset)
    positions = np.asarray(getattr(offset, "_data", offset))
    if positions.dtype.kind not in "iu":
        raise TypeError(f"{NAME}: expected offset to be a whole number or an array of them, got {offset!r}")
    if positions.shape != (length,):
        raise ValueError(
            f"{NAME}: expected a position for each of {length} rows, an array of shape ({length},), "
            f"got {positions.shape}"
        )
    return positions


def _columns(shape: tuple[int, ...], head_size: int | None, rotated: int | None) -> tuple[int, int]:
    """The columns of a head, and how many are turned, once they have been found to fit."""
    width = shape[-1]
    size, end = width if head_size is None else head_size, width if rotated is None else rotated
    if size % 2 or size < 0 or (size == 0) != (width == 0):
        raise ValueError(f"{NAME}: expected an even head size above 0, to be turned in pairs, got {size}")
    if size and (width % size or end % size or not 0 <= end <= width):
        raise ValueError(
            f"{NAME}: expected whole heads of {size} columns, got rotated={end} of {width} (input {shape})"
        )
    return size, end


@op(
    cost=lambda x, *, out, rotated=None, **_: (
        3.0 * math.prod(x.shape[:-1]) * (x.shape[-1] if rotated is None else rotated)
    ),
    samples=_rows,
    refuses=lambda s: [
        Refusal((s(3),), {}, ValueError, r"rotary_embedding: expected rows of features, .* got \(3,\)"),
        Refusal((np.ones((2, 2), np.int64),), {}, TypeError, "rotary_embedding: expected a floating"),
        Refusal((s(2, 3),), {}, ValueError, "expected an even head size above 0, .* got 3"),
        Refusal((s(2, 4),), {"head_size": 0}, ValueError, "expected an even head size above 0, .* got 0"),
        Refusal((s(2, 6),), {"head_size": 4}, ValueError, "whole heads of 4 columns, got rotated=6 of 6"),
        Refusal(
            (s(2, 8),), {"head_size": 4, "rotated": 6}, ValueError, "heads of 4 columns, got rotated=6 of 8"
        ),
        Refusal((s(2, 4),), {"rotated": 8}, ValueError, "whole heads of 4 columns, got rotated=8 of 4"),
        Refusal((s(2, 4),), {"offset": 0.5}, TypeError, "offset to be a whole number .*, got 0.5"),
        Refusal(
            (s(2, 4),), {"offset": np.arange(3)}, ValueError, r"for each of 2 rows, .* \(2,\), got \(3,\)"
        ),
        Refusal((s(2, 4),), {"base": 0.0}, ValueError, "expected a base above 0, got 0.0"),
    ],
    reference=_naive,
    oracle=_oracle,
)  # fmt: skip
def rotary_embedding(
    x: Array, /, offset: int | Array = 0, base: float = 10000.0, head_size: int | None = None,
    rotated: int | None = None, inverse: bool = False,
) -> Array:  # fmt: skip
    """Turn pairs of columns of x (..., t, width) by angles that grow with the position, `offset + row`.

    In a head of d columns, column i and column i + d/2 are a point of the plane, which turns by
    `position * base ** (-2i / d)`. The product of a turned query and a turned key depends on their contents
    and on the distance of their positions only, and no length changes.

    offset: the position of the first row, or that of every row, integers of shape (t,).
    head_size: an even d; the whole width by default. rotated: only this many columns, the first, are turned,
    and the others copied: `rotated=2 * c` for queries, keys and values side by side, (b, t, 3 * c).
    inverse: turn back.

    Raises ValueError for odd heads, or a width or `rotated` that is not made of whole heads.
    Cost: 6 FLOPs a pair. The gradient is the inverse of the gradient.
    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021, with the pairs
    of GPT-NeoX.

    >>> import tinytorch as tt
    >>> tt.nn.functional.rotary_embedding(tt.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.    , 0.    ],
            [0.5403, 0.8415]])
    """
    if x.ndim < 2:
        raise ValueError(f"{NAME}: expected rows of features, (..., t, width), got {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{NAME}: expected a floating point input, got {x.dtype}. Convert it with .float().")
    if not base > 0:
        raise ValueError(f"{NAME}: expected a base above 0, got {base}")
    size, end = _columns(x.shape, head_size, rotated)
    return kernels.rotary(x, _positions(offset, x.shape[-2]), float(base), size, end, bool(inverse))


@rotary_embedding.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    back = {**ctx.params, "inverse": not ctx.params.get("inverse", False)}
    return (rotary_embedding(g, **back),)
