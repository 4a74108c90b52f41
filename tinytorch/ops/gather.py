"""Reading and adding along an axis by integer tensors: gather, scatter, index_select, embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import scatter as kernels
from tinytorch.ops.common import Array, check_indices, normalize_axis
from tinytorch.ops.join import pad
from tinytorch.ops.shape import expand, reshape


def _places(index: Array, axis: int) -> tuple[Array, ...]:
    """For every entry of `index` its own place, except along `axis`, where it says where to look."""
    places = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    places[axis] = index
    return tuple(places)


def _check(name: str, x: Array, index: Array, dim: int, others: Array | None = None) -> int:
    axis = normalize_axis(name, dim, x.ndim)
    if index.ndim != x.ndim or any(
        n > m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
    ):
        raise ValueError(
            f"{name}: expected an index with the dimensions of the tensor, {x.shape}, none longer except "
            f"dim {dim}, got {index.shape}"
        )
    if others is not None and (others.ndim != index.ndim or any(np.greater(index.shape, others.shape))):
        raise ValueError(
            f"{name}: expected a source at least as large as the index, {index.shape}, got {others.shape}"
        )
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected indices of an integer dtype, got {index.dtype}")
    return axis


def _indices(s: Any) -> list[tuple[Array, Array, int]]:
    return [
        (s(3, 4), s.ints(3, 2, high=4), 1),
        (s(3, 4), s.ints(5, 4, high=3), 0),
        (s(2, 3, 4), s.ints(2, 3, 1, high=4), -1),
        (s(5), s.ints(7, high=5), 0),
        (s(3, 4), s.ints(2, 3, high=4), 1),
        (s(3, 4), s.ints(3, 0, high=4), 1),
    ]


@op(
    name="gather",
    saves=1,
    samples=lambda s: [Sample(x, index, dim=dim) for x, index, dim in _indices(s)],
    refuses=lambda s: [
        Refusal(
            (s(3, 4), np.array([[0, 4]])),
            {"dim": 1},
            IndexError,
            r"gather: expected indices from 0 to 3 .*, got 4",
        ),
        Refusal((s(3, 4), np.array([0])), {"dim": 1}, ValueError, r"gather: expected an index .* got \(1,\)"),
        Refusal(
            (s(3, 4), s(3, 4)),
            {"dim": 1},
            TypeError,
            "gather: expected indices of an integer dtype, got float",
        ),
    ],
    reference=lambda x, index, dim: _naive_gather(x, index, dim),
    oracle=lambda t, x, index, dim: t.gather(x, dim, index),
)
def gather_along(x: Array, index: Array, /, dim: int) -> Array:
    """`out[i, j] = x[i, index[i, j]]` for `dim` 1, and so on."""
    axis = _check("gather", x, index, dim)
    return kernels.gather(x, axis, index) if x.ndim else x.copy()


@gather_along.gradient
def _(ctx: Node, g: Any) -> Any:
    shape, x = ctx.shape_of(0), np.zeros(ctx.shape_of(0), ctx.dtype)
    return scatter_add_along(x, g, ctx[1], dim=ctx.params["dim"]).reshape(shape), None


def _naive_gather(x: Array, index: Array, dim: int) -> Array:
    out = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        out[place] = x[tuple(source)]
    return out


def _scatter_samples(s: Any) -> list[Sample]:
    return [
        Sample(x, s(*(n + (i % 2) for i, n in enumerate(index.shape))), index, dim=dim)
        for x, index, dim in _indices(s)
    ]


@op(
    name="scatter_add",
    saves=2,
    cost=lambda x, src, index, out, dim: index.size,
    samples=_scatter_samples,
    refuses=lambda s: [
        Refusal(
            (s(3, 4), s(1, 1), np.array([[4]])),
            {"dim": 1},
            IndexError,
            r"scatter_add: expected indices from 0 to 3 .*, got 4",
        ),
        Refusal(
            (s(3, 4), s(1, 1), np.array([[1, 1]])),
            {"dim": 1},
            ValueError,
            r"scatter_add: .* \(1, 2\), got \(1, 1\)",
        ),
    ],
    reference=lambda x, src, index, dim: _naive_scatter_add(x, src, index, dim),
    # PyTorch's gradient wants a source of the index's shape.
    oracle=lambda t, x, src, index, dim: t.scatter_add(x, dim, index, src[tuple(map(slice, index.shape))]),
)
def scatter_add_along(x: Array, src: Array, index: Array, /, dim: int) -> Array:
    """`x` with `src[i, j]` added at `x[i, index[i, j]]` for `dim` 1, and so on."""
    axis = _check("scatter_add", x, index, dim, src)
    part = src[tuple(slice(n) for n in index.shape)].astype(x.dtype, copy=False)
    return x + (kernels.scatter_add(x.shape, axis, index, part) if x.ndim else part)


@scatter_add_along.gradient
def _(ctx: Node, g: Any) -> Any:
    return g, _from_source(ctx, g) if ctx.needs[1] else None, None


def _from_source(ctx: Node, g: Any) -> Any:
    """The gradient to `src`: what was read from it, and zeros where it was larger than the index."""
    part = gather_along(g, ctx[2], dim=ctx.params["dim"])
    border = [n - m for n, m in zip(ctx.shape_of(1), part.shape, strict=True)]
    return (
        pad(part, padding=tuple(n for after in reversed(border) for n in (0, after)))
        if np.any(border)
        else part
    )


def _naive_scatter_add(x: Array, src: Array, index: Array, dim: int) -> Array:
    out = x.copy()
    for place in np.ndindex(index.shape):
        target = list(place)
        target[dim] = index[place]
        out[tuple(target)] += src[place]
    return out


def _permutations(s: Any) -> list[Sample]:
    rows = np.argsort(s(3, 4), axis=1)
    return [Sample(s(3, 4), s(3, 4), rows, dim=1), Sample(s(5), s(3), np.array([4, 0, 2]), dim=0)]


@op(
    name="scatter",
    saves=2,
    samples=_permutations,
    refuses=lambda s: [
        Refusal(
            (s(3), s(1), np.array([3])), {"dim": 0}, IndexError, r"scatter: .* 0 to 2, got 3 at position 0"
        ),
    ],
    reference=lambda x, src, index, dim: _naive_scatter(x, src, index, dim),
    oracle=lambda t, x, src, index, dim: t.scatter(x, dim, index, src[tuple(map(slice, index.shape))]),
)
def scatter_along(x: Array, src: Array, index: Array, /, dim: int) -> Array:
    """`x` with `src[i, j]` put at `x[i, index[i, j]]` for `dim` 1, and so on; of several, the last stays."""
    axis = _check("scatter", x, index, dim, src)
    check_indices("scatter", index, x.shape[axis] if x.ndim else 1)
    out = x.copy()
    out[_places(index, axis) if x.ndim else ()] = src[tuple(slice(n) for n in index.shape)]
    return out


@scatter_along.gradient
def _(ctx: Node, g: Any) -> Any:
    kept = None
    if ctx.needs[0]:
        kept = scatter_along(g, np.zeros(ctx[2].shape, ctx.dtype), ctx[2], dim=ctx.params["dim"])
    return kept, _from_source(ctx, g) if ctx.needs[1] else None, None


def _naive_scatter(x: Array, src: Array, index: Array, dim: int) -> Array:
    out = x.copy()
    for place in np.ndindex(index.shape):
        target = list(place)
        target[dim] = index[place]
        out[tuple(target)] = src[place]
    return out


def _words(s: Any) -> list[Sample]:
    return [
        Sample(s(5, 3), s.ints(7, high=5)),
        Sample(s(5, 3), s.ints(2, 4, high=5), padding_idx=1, smooth=False),
        Sample(s(5, 3), np.array(2)),
        Sample(s(5, 3), s.ints(0, 2, high=5)),
    ]


@op(
    saves=1,
    samples=_words,
    refuses=lambda s: [
        Refusal(
            (s(5, 3), np.array([[0, 5]])),
            {},
            IndexError,
            "embedding: expected indices from 0 to 4, got 5 at position 1",
        ),
        Refusal(
            (s(5, 3), np.array([-1])),
            {},
            IndexError,
            "embedding: expected indices from 0 to 4, got -1 at position 0",
        ),
        Refusal((s(5, 3), s(2)), {}, TypeError, "embedding: expected indices of an integer dtype, got float"),
        Refusal(
            (s(5), np.array([0])),
            {},
            ValueError,
            r"embedding: expected a weight \(rows, width\), got shape \(5,\)",
        ),
    ],
    reference=lambda weight, indices, padding_idx=None: np.array(
        [weight[i] for i in indices.ravel()]
    ).reshape(*indices.shape, weight.shape[1]),
    oracle=lambda t, weight, indices, padding_idx=None: t.nn.functional.embedding(
        indices, weight, padding_idx
    ),
)
def embedding(weight: Array, indices: Array, /, padding_idx: int | None = None) -> Array:
    """Rows of `weight` (rows, width) by number: indices of any shape -> (*shape, width).

    The row `padding_idx` is read like the others but gets no gradient.

    >>> import tinytorch as tt
    >>> tt.embedding(tt.eye(3), tt.tensor([2, 0]))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected a weight (rows, width), got shape {weight.shape}")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected indices of an integer dtype, got {indices.dtype}")
    return kernels.embedding(weight, indices)


@embedding.gradient
def _(ctx: Node, g: Any) -> Any:
    rows = ctx.shape_of(0)[0]
    return embedding_grad(g, ctx[1], rows=rows, padding_idx=ctx.params.get("padding_idx")), None


@op(
    saves=1,
    cost=lambda g, indices, out, **_: g.size,
    samples=lambda s: [
        Sample(s(7, 3), s.ints(7, high=5), rows=5),
        Sample(s(2, 4, 3), s.ints(2, 4, high=5), rows=5, padding_idx=1),
        Sample(s(0, 3), s.ints(0, high=5), rows=5),
    ],
    reference=lambda g, indices, rows, padding_idx=None: _naive_embedding_grad(g, indices, rows, padding_idx),
)
def embedding_grad(g: Array, indices: Array, /, rows: int, padding_idx: int | None = None) -> Array:
    """The rows of `g` added up by the row they were read from; row `padding_idx` stays 0."""
    out = kernels.embedding_grad(g, indices, rows)
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


@embedding_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    padding = ctx.params.get("padding_idx")
    if padding is not None:
        row = np.zeros((h.shape[0], 1), np.bool_)
        row[padding] = True
        h = h.masked_fill(row, 0.0)
    return embedding(h, ctx[1]), None


def _naive_embedding_grad(g: Array, indices: Array, rows: int, padding_idx: int | None) -> Array:
    out = np.zeros((rows, g.shape[-1]), g.dtype)
    for i, row in zip(indices.ravel(), g.reshape(-1, g.shape[-1]), strict=True):
        if i != padding_idx:
            out[i] += row
    return out


# --- PyTorch's argument orders --------------------------------------------------------------------------


def gather(x: Any, dim: int, index: Any) -> Any:
    """`out[i, j] = x[i, index[i, j]]` for `dim` 1, `x[index[i, j], j]` for `dim` 0, and so on.

    >>> import tinytorch as tt
    >>> tt.gather(tt.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, tt.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    return gather_along(x, index, dim=dim)


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """`x` with every `src[i, j]` added at `x[i, index[i, j]]` for `dim` 1, and so on.

    >>> import tinytorch as tt
    >>> tt.scatter_add(tt.zeros(3), 0, tt.tensor([0, 0, 2]), tt.ones(3))
    tensor([2., 0., 1.])
    """
    return scatter_add_along(x, src, index, dim=dim)


def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """`x` with every `src[i, j]`, or the number `value`, put at `x[i, index[i, j]]` for `dim` 1, and so on.

    >>> import tinytorch as tt
    >>> tt.scatter(tt.zeros(2, 3), 1, tt.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter: expected src, a tensor, or value, a number; got neither")
    if isinstance(src, (bool, int, float)):
        src = np.full(index.shape, src, x.dtype)
    return scatter_along(x, src, index, dim=dim)


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with an index that broadcasts; without `dim`, from the flattened tensor.

    >>> import tinytorch as tt
    >>> tt.take_along_dim(tt.tensor([[3, 1, 2]]), tt.tensor([[0, 2]]), dim=1)
    tensor([[3, 2]])
    """
    if dim is None:
        return gather_along(reshape(x, shape=(-1,)), reshape(indices, shape=(-1,)), dim=0)
    axis = normalize_axis("take_along_dim", dim, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_dim: expected an index with {x.ndim} dimensions, got shape {indices.shape}"
        )
    others = [
        1 if i == axis else max(n, m) for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True))
    ]
    x = expand(x, shape=(*others[:axis], x.shape[axis], *others[axis + 1 :]))
    indices = expand(indices, shape=(*others[:axis], indices.shape[axis], *others[axis + 1 :]))
    return gather_along(x, indices, dim=dim)


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The entries of axis `dim` with the numbers `index`, in that order.

    >>> import tinytorch as tt
    >>> tt.index_select(tt.tensor([1.0, 2.0, 3.0]), 0, tt.tensor([2, 2]))
    tensor([3., 3.])
    """
    axis = normalize_axis("index_select", dim, x.ndim)
    if index.ndim > 1:
        raise ValueError(f"index_select: expected a 1-d index, got shape {index.shape}")
    check_indices("index_select", np.asarray(index), x.shape[axis])
    return x[(slice(None),) * axis + (index.reshape((-1,)),)]
