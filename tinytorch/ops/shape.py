"""Views and joins: reshape, permute, expand (which share memory), cat."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import memory

Array = np.ndarray


@op(
    view=True,
    samples=lambda s: [Sample(s(3, 4), shape=(2, 6)), Sample(s(3, 4), shape=(-1,)), Sample(s(0, 4), shape=(4, 0))],
    refuses=lambda s: [
        Refusal((s(3, 4),), {"shape": (5, 2)}, ValueError, r"reshape: .* \(3, 4\) .* 12 elements into \(5, 2\)")
    ],
    reference=lambda x, shape: np.reshape(x, shape),
    oracle=lambda t, x, shape: t.reshape(x, shape),
)
def reshape(x: Array, /, shape: tuple[int, ...]) -> Array:
    """The same elements, in row-major order, in another shape; one length may be -1. A view where it can be."""
    try:
        return x.reshape(shape)
    except ValueError:
        raise ValueError(
            f"reshape: cannot bring shape {x.shape} with {x.size} elements into {tuple(shape)}. "
            "Expected the same number of elements, and at most one -1."
        ) from None


@reshape.gradient
def _(ctx: Node, g: Any) -> Any:
    return reshape(g, shape=ctx.shape_of(0))


@op(
    view=True,
    samples=lambda s: [Sample(s(2, 3, 4), dims=(2, 0, 1)), Sample(s(3, 4), dims=(1, 0)), Sample(s(), dims=())],
    refuses=lambda s: [Refusal((s(3, 4),), {"dims": (0, 0)}, ValueError, r"permute: expected each of 0 to 1 once")],
    reference=lambda x, dims: np.transpose(x, dims),
    oracle=lambda t, x, dims: t.permute(x, dims),
)
def permute(x: Array, /, dims: tuple[int, ...]) -> Array:
    """Axes in the order `dims`; a view."""
    try:
        return x.transpose(dims)
    except ValueError:
        raise ValueError(
            f"permute: expected each of 0 to {x.ndim - 1} once for a {x.ndim}-d tensor, got {tuple(dims)}"
        ) from None


@permute.gradient
def _(ctx: Node, g: Any) -> Any:
    dims = ctx.params["dims"]
    inverse = sorted(range(len(dims)), key=lambda i: dims[i] % len(dims))
    return permute(g, dims=tuple(inverse))


@op(
    view=True,
    samples=lambda s: [Sample(s(3, 1), shape=(2, 3, 4)), Sample(s(), shape=(2,)), Sample(s(1, 4), shape=(0, 4))],
    refuses=lambda s: [Refusal((s(3),), {"shape": (4,)}, ValueError, r"expand: .* \(3,\) .* \(4,\)")],
    reference=lambda x, shape: np.broadcast_to(x, shape),
    oracle=lambda t, x, shape: x.expand(shape),
)
def expand(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Repeat axes of length 1 without copying; -1 keeps a length. A read-only view."""
    lead = len(shape) - x.ndim
    sizes = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    try:
        return np.broadcast_to(x, sizes)
    except ValueError:
        raise ValueError(
            f"expand: shape {x.shape} does not stretch to {tuple(shape)}. Only axes of length 1 can be repeated."
        ) from None


@expand.gradient
def _(ctx: Node, g: Any) -> Any:
    return g  # of the stretched shape: the backward pass sums it back


@op(
    extras=True,
    samples=lambda s: [
        Sample(s(2, 3), s(4, 3), dim=0),
        Sample(s(2, 3), s(2, 1), s(2, 2), dim=-1),
        Sample(s(0, 3), s(2, 3), dim=0),
    ],
    refuses=lambda s: [
        Refusal((s(2, 3), s(2, 4)), {"dim": 0}, ValueError, r"cat: .* \(2, 3\) and \(2, 4\) .* dim 0"),
    ],
    reference=lambda *xs, dim=0: np.concatenate(xs, axis=dim),
    oracle=lambda t, *xs, dim=0: t.cat(xs, dim),
)
def cat(*tensors: Array, dim: int = 0) -> tuple[Array, tuple[int, ...]]:
    """Join along an existing axis; also the length that each tensor had there."""
    first = tensors[0]
    axis = dim % max(first.ndim, 1)
    for other in tensors[1:]:
        if other.ndim != first.ndim or any(
            a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != axis
        ):
            raise ValueError(f"cat: shapes {first.shape} and {other.shape} differ in more than dim {dim}")
    dtype = np.result_type(*tensors)
    sizes = tuple(t.shape[axis] for t in tensors)
    shape = (*first.shape[:axis], sum(sizes), *first.shape[axis + 1 :])
    return np.concatenate(tensors, axis=axis, out=memory.empty(shape, dtype)), sizes


@cat.gradient
def _(ctx: Node, g: Any) -> Any:
    axis, start, parts = ctx.params.get("dim", 0) % len(ctx.shape), 0, []
    for size, needed in zip(ctx.extras, ctx.needs, strict=True):
        index = (slice(None),) * axis + (slice(start, start + size),)
        parts.append(g[index] if needed else None)
        start += size
    return tuple(parts)
