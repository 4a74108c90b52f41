"""Views: the same memory in another shape or order. Three ops do the work, the rest is spelled with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.ops.common import Array, normalize_axes, normalize_axis


@op(
    view=True,
    samples=lambda s: [
        Sample(s(3, 4), shape=(2, 6)),
        Sample(s(3, 4), shape=(-1,)),
        Sample(s(0, 4), shape=(4, 0)),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3, 4),), {"shape": (5, 2)}, ValueError, r"reshape: .* \(3, 4\) .* 12 elements into \(5, 2\)"
        )
    ],
    reference=lambda x, shape: np.reshape(x, shape),
    oracle=lambda t, x, shape: t.reshape(x, shape),
)
def reshape(x: Array, /, shape: tuple[int, ...]) -> Array:
    """The same elements, in row-major order, in another shape; one length may be -1. A view where it can be.

    >>> import tinytorch as tt
    >>> tt.reshape(tt.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
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
    samples=lambda s: [
        Sample(s(2, 3, 4), dims=(2, 0, 1)),
        Sample(s(3, 4), dims=(1, 0)),
        Sample(s(), dims=()),
    ],
    refuses=lambda s: [
        Refusal((s(3, 4),), {"dims": (0, 0)}, ValueError, r"permute: expected each of 0 to 1 once")
    ],
    reference=lambda x, dims: np.transpose(x, dims),
    oracle=lambda t, x, dims: t.permute(x, dims),
)
def permute(x: Array, /, dims: tuple[int, ...]) -> Array:
    """Axes in the order `dims`; a view.

    >>> import tinytorch as tt
    >>> tt.permute(tt.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
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
    samples=lambda s: [
        Sample(s(3, 1), shape=(2, 3, 4)),
        Sample(s(), shape=(2,)),
        Sample(s(1, 4), shape=(0, 4)),
    ],
    refuses=lambda s: [Refusal((s(3),), {"shape": (4,)}, ValueError, r"expand: .* \(3,\) .* \(4,\)")],
    reference=lambda x, shape: np.broadcast_to(x, shape),
    oracle=lambda t, x, shape: x.expand(shape),
)
def expand(x: Array, /, shape: tuple[int, ...]) -> Array:
    """Repeat axes of length 1 without copying; -1 keeps a length. A read-only view.

    >>> import tinytorch as tt
    >>> tt.expand(tt.tensor([[1], [2]]), (2, 3))
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    lead = len(shape) - x.ndim
    sizes = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    try:
        return np.broadcast_to(x, sizes)
    except ValueError:
        raise ValueError(
            f"expand: shape {x.shape} does not stretch to {tuple(shape)}. Only axes of length 1 are repeated."
        ) from None


@expand.gradient
def _(ctx: Node, g: Any) -> Any:
    return g  # of the stretched shape: the backward pass sums it back


@op(
    view=True,
    samples=lambda s: [
        Sample(s(3, 4)),
        Sample(s(3, 4), offset=1),
        Sample(s(2, 4, 3), offset=-1, dim1=1, dim2=2),
        Sample(s(2, 3, 4), dim1=2, dim2=0),
    ],
    refuses=lambda s: [
        Refusal((s(3),), {}, ValueError, r"diagonal: expected at least 2 dimensions, got shape \(3,\)"),
        Refusal(
            (s(3, 4),),
            {"dim1": 1},
            ValueError,
            "diagonal: expected two different axes, got dim1=1 and dim2=1",
        ),
    ],
    reference=lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    oracle=lambda t, x, offset=0, dim1=0, dim2=1: t.diagonal(x, offset, dim1, dim2),
)
def diagonal(x: Array, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The diagonal of the matrices that `dim1` and `dim2` span, as the last axis; a view.

    >>> import tinytorch as tt
    >>> tt.diagonal(tt.arange(9).reshape(3, 3))
    tensor([0, 4, 8])
    """
    if x.ndim < 2:
        raise ValueError(f"diagonal: expected at least 2 dimensions, got shape {x.shape}")
    first, second = normalize_axis("diagonal", dim1, x.ndim), normalize_axis("diagonal", dim2, x.ndim)
    if first == second:
        raise ValueError(f"diagonal: expected two different axes, got dim1={dim1} and dim2={dim2}")
    view = np.diagonal(x, offset, first, second)
    view.flags.writeable = x.flags.writeable
    return view


@diagonal.gradient
def _(ctx: Node, g: Any) -> Any:
    return diagonal_grad(g, shape=ctx.shape_of(0), **ctx.params)


@op(
    samples=lambda s: [
        Sample(s(3), shape=(3, 4)),
        Sample(s(2, 3), shape=(2, 4, 3), offset=-1, dim1=1, dim2=2),
    ],
    reference=lambda g, shape, offset=0, dim1=0, dim2=1: _naive_diagonal_grad(g, shape, offset, dim1, dim2),
)
def diagonal_grad(
    g: Array, /, shape: tuple[int, ...], offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Array:
    """Zeros of `shape` with `g` on the diagonal."""
    out = np.zeros(shape, g.dtype)
    view = np.diagonal(out, offset, dim1, dim2)
    view.flags.writeable = True
    view[...] = g
    return out


@diagonal_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    return diagonal(h, **{k: v for k, v in ctx.params.items() if k != "shape"})


def _naive_diagonal_grad(g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    matrices = np.moveaxis(np.zeros(shape, g.dtype), (dim1, dim2), (-2, -1))
    for k in range(g.shape[-1]):
        matrices[..., k - min(offset, 0), k + max(offset, 0)] = g[..., k]
    return np.moveaxis(matrices, (-2, -1), (dim1, dim2))


# --- spelled with the above -----------------------------------------------------------------------------


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """`x` with two axes exchanged; a view.

    >>> import tinytorch as tt
    >>> tt.transpose(tt.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    first, second = normalize_axis("transpose", dim0, x.ndim), normalize_axis("transpose", dim1, x.ndim)
    order = list(range(x.ndim))
    if order:
        order[first], order[second] = second, first
    return permute(x, dims=tuple(order))


def t(x: Any) -> Any:
    """A matrix transposed, a vector or a number as it is; a view.

    >>> import tinytorch as tt
    >>> tt.t(tt.zeros(2, 3)).shape
    (3, 2)
    """
    if x.ndim > 2:
        raise ValueError(f"t: expected at most 2 dimensions, got shape {x.shape}; use .mT")
    return permute(x, dims=tuple(range(x.ndim))[::-1])


def movedim(x: Any, source: Any, destination: Any) -> Any:
    """`x` with the axes `source` moved to the places `destination`; the others keep their order. A view.

    >>> import tinytorch as tt
    >>> tt.movedim(tt.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    sources = (source,) if isinstance(source, int) else tuple(source)
    places = (destination,) if isinstance(destination, int) else tuple(destination)
    sources = [normalize_axis("movedim", d, x.ndim) for d in sources]
    places = [normalize_axis("movedim", d, x.ndim) for d in places]
    if len(sources) != len(places) or len({*sources}) != len(sources) or len({*places}) != len(places):
        raise ValueError(
            f"movedim: expected as many different axes to as from, got {source} and {destination}"
        )
    order = [d for d in range(x.ndim) if d not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute(x, dims=tuple(order))


def squeeze(x: Any, dim: Any = None) -> Any:
    """`x` without its axes of length 1, or without those among `dim`; a view.

    >>> import tinytorch as tt
    >>> tt.squeeze(tt.zeros(1, 3, 1), 0).shape
    (3, 1)
    """
    axes = normalize_axes("squeeze", dim, x.ndim)
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in axes))


def unsqueeze(x: Any, dim: int) -> Any:
    """`x` with a new axis of length 1 at `dim`; a view.

    >>> import tinytorch as tt
    >>> tt.unsqueeze(tt.zeros(3), -1).shape
    (3, 1)
    """
    axis = normalize_axis("unsqueeze", dim, x.ndim + 1)
    return reshape(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """`x` with the axes from `start_dim` to `end_dim` joined into one.

    >>> import tinytorch as tt
    >>> tt.flatten(tt.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    start, end = normalize_axis("flatten", start_dim, x.ndim), normalize_axis("flatten", end_dim, x.ndim)
    if start > end:
        raise ValueError(f"flatten: expected start_dim not after end_dim, got {start_dim} and {end_dim}")
    return reshape(x, shape=(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def unflatten(x: Any, dim: int, sizes: tuple[int, ...]) -> Any:
    """`x` with axis `dim` split into axes of the lengths `sizes`, of which one may be -1.

    >>> import tinytorch as tt
    >>> tt.unflatten(tt.zeros(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    axis = normalize_axis("unflatten", dim, x.ndim)
    return reshape(x, shape=(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def diag(x: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, a view; of a vector, the matrix that has it as its diagonal.

    >>> import tinytorch as tt
    >>> tt.diag(tt.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected 1 or 2 dimensions, got shape {x.shape}")
    if x.ndim == 2:
        return x.diagonal(diagonal)
    n = x.shape[0] + abs(diagonal)
    return diagonal_grad(x, shape=(n, n), offset=diagonal)


def numel(x: Any) -> int:
    """The number of elements.

    >>> import tinytorch as tt
    >>> tt.numel(tt.zeros(2, 3))
    6
    """
    return x.numel()


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The same as `expand`.

    >>> import tinytorch as tt
    >>> tt.broadcast_to(tt.arange(2), (3, 2)).shape
    (3, 2)
    """
    return expand(x, shape=tuple(shape))
