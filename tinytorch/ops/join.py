"""Joining, repeating and rearranging: cat, stack, split, chunk, unbind, repeat, flip, roll, pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import memory
from tinytorch.ops.common import Array, common_dtype, normalize_axes, normalize_axis
from tinytorch.ops.elementary import clone
from tinytorch.ops.shape import expand, reshape, unsqueeze


@op(
    extras=True,
    samples=lambda s: [
        Sample(s(2, 3), s(4, 3), dim=0),
        Sample(s(2, 3), s(2, 1), s(2, 2), dim=-1),
        Sample(s(0, 3), s(2, 3), dim=0),
        Sample(s(0), s(2, 3), s(0), s(2, 1), dim=1),
        Sample(s(0), s(0)),
        Sample(s(3), s.ints(2, high=5)),
        Sample(s(3)),
    ],
    refuses=lambda s: [
        Refusal((s(2, 3), s(2, 4)), {"dim": 0}, ValueError, r"cat: .* \(2, 3\) and \(2, 4\) .* dim 0"),
        Refusal((s(2, 3), s(3)), {"dim": 0}, ValueError, r"cat: .* \(2, 3\) and \(3,\) .* dim 0"),
        Refusal((), {}, ValueError, "cat: expected at least one tensor"),
        Refusal((s(), s()), {}, ValueError, "cat: 0-d tensors have no axis .* stack"),
    ],
    reference=lambda *xs, dim=0: np.concatenate([x for x in xs if x.shape != (0,)] or xs, axis=dim),
    oracle=lambda t, *xs, dim=0: t.cat(xs, dim),
    name="cat",
)
def join(*tensors: Array, dim: int = 0) -> tuple[Array, tuple[int, ...]]:
    """Join along an existing axis, without those of shape (0,); also the length that each had there."""
    if not tensors:
        raise ValueError("cat: expected at least one tensor, got none")
    joined = [t for t in tensors if t.shape != (0,)] or tensors
    first = joined[0]
    if first.ndim == 0:
        raise ValueError("cat: 0-d tensors have no axis to be joined along; use stack")
    axis = normalize_axis("cat", dim, first.ndim)
    for other in joined[1:]:
        if other.ndim != first.ndim or any(
            a != b for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if i != axis
        ):
            raise ValueError(f"cat: shapes {first.shape} and {other.shape} differ in more than dim {dim}")
    sizes = tuple(0 if t.shape == (0,) else t.shape[axis] for t in tensors)
    out = memory.empty((*first.shape[:axis], sum(sizes), *first.shape[axis + 1 :]), common_dtype(tensors))
    return np.concatenate(joined, axis=axis, out=out), sizes


@join.gradient
def _(ctx: Node, g: Any) -> Any:
    axis, start, parts = ctx.params.get("dim", 0) % len(ctx.shape), 0, []
    for i, (size, needed) in enumerate(zip(ctx.extras, ctx.needs, strict=True)):
        part = g[(slice(None),) * axis + (slice(start, start + size),)] if needed else None
        parts.append(part if size or not needed else reshape(part, shape=ctx.shape_of(i)))
        start += size
    return tuple(parts)


def cat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """The tensors one after the other along an existing axis; as in PyTorch, one of shape (0,) is skipped.

    >>> import tinytorch as tt
    >>> tt.cat([tt.zeros(1, 2), tt.ones(2, 2)]).shape
    (3, 2)
    """
    return join(*tensors, dim=dim if axis is None else axis)


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """The tensors, all of one shape, side by side along a new axis.

    >>> import tinytorch as tt
    >>> tt.stack([tt.zeros(3), tt.ones(3)]).shape
    (2, 3)
    """
    tensors, dim = tuple(tensors), dim if axis is None else axis
    if not tensors:
        raise ValueError("stack: expected at least one tensor, got none")
    for other in tensors[1:]:
        if other.shape != tensors[0].shape:
            raise ValueError(
                f"stack: expected tensors of one shape, got {tensors[0].shape} and {other.shape}"
            )
    return join(*(unsqueeze(t, dim) for t in tensors), dim=dim)


def hstack(tensors: Sequence[Any]) -> Any:
    """The tensors side by side: along the second axis, vectors and numbers along their only one.

    >>> import tinytorch as tt
    >>> tt.hstack([tt.zeros(2, 1), tt.ones(2, 2)]).shape
    (2, 3)
    """
    tensors = [t if t.ndim else reshape(t, shape=(1,)) for t in tensors]
    return cat(tensors, min(1, max((t.ndim - 1 for t in tensors), default=0)))


def vstack(tensors: Sequence[Any]) -> Any:
    """The tensors on top of each other: along the first axis, where a vector or a number is a row.

    >>> import tinytorch as tt
    >>> tt.vstack([tt.zeros(3), tt.ones(2, 3)]).shape
    (3, 3)
    """
    return cat([t if t.ndim > 1 else reshape(t, shape=(1, -1)) for t in tensors])


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """`length` entries of axis `dim`, from `start` on; a view.

    >>> import tinytorch as tt
    >>> tt.narrow(tt.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    axis = normalize_axis("narrow", dim, x.ndim)
    start = start + x.shape[axis] if start < 0 else start
    if not (start >= 0 and length >= 0 and start + length <= x.shape[axis]):
        raise IndexError(
            f"narrow: expected a part of dim {dim}, of length {x.shape[axis]}, got {start} + {length}"
        )
    return x[(slice(None),) * axis + (slice(start, start + length),)]


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Parts of equal length along `dim` (the last may be shorter), or parts of the given lengths; views.

    >>> import tinytorch as tt
    >>> [part.tolist() for part in tt.split(tt.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    length = x.shape[normalize_axis("split", dim, x.ndim)]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0:
            raise ValueError(f"split: expected a positive size, got {size}")
        sizes = [min(size, length - start) for start in range(0, length, size)] or [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != length or min(sizes, default=0) < 0:
            raise ValueError(
                f"split: expected lengths that add up to {length}, that of dim {dim}, got {sizes}"
            )
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(narrow(x, dim, start, size) for start, size in zip(starts, sizes, strict=False))


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` parts along `dim`, all but the last of one length; views.

    >>> import tinytorch as tt
    >>> [part.tolist() for part in tt.chunk(tt.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    if chunks <= 0:
        raise ValueError(f"chunk: expected a positive number of parts, got {chunks}")
    length = x.shape[normalize_axis("chunk", dim, x.ndim)]
    return split(x, max(1, -(-length // chunks)), dim)


def unbind(x: Any, dim: int = 0) -> tuple[Any, ...]:
    """One tensor for each entry of axis `dim`, without that axis; views.

    >>> import tinytorch as tt
    >>> tt.unbind(tt.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    axis = normalize_axis("unbind", dim, x.ndim)
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis]))


def repeat(x: Any, sizes: tuple[int, ...]) -> Any:
    """`x` side by side with itself, `sizes` times along each axis; new axes come first. Copies.

    >>> import tinytorch as tt
    >>> tt.arange(2).repeat(2, 2)
    tensor([[0, 1, 0, 1],
            [0, 1, 0, 1]])
    """
    if len(sizes) < x.ndim:
        raise ValueError(
            f"repeat: expected at least {x.ndim} numbers for shape {x.shape}, got {tuple(sizes)}"
        )
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    paired = tuple(n for size in shape for n in (1, size))
    stretched = tuple(n for times, size in zip(sizes, shape, strict=True) for n in (times, size))
    whole = expand(reshape(x, shape=paired), shape=stretched)
    return _copy_of(x, reshape(whole, shape=tuple(n * m for n, m in zip(sizes, shape, strict=True))))


def _copy_of(x: Any, result: Any) -> Any:
    """`result`, in memory of its own: where nothing was repeated, or one element, it is a view of `x`."""
    return clone(result) if np.may_share_memory(result._data, x._data) else result


def tile(x: Any, dims: tuple[int, ...]) -> Any:
    """The same as `repeat`, with ones for the axes that `dims` leaves out.

    >>> import tinytorch as tt
    >>> tt.tile(tt.arange(2), (2,))
    tensor([0, 1, 0, 1])
    """
    return repeat(x, (1,) * (x.ndim - len(dims)) + tuple(dims))


def repeat_interleave(x: Any, repeats: int, dim: int | None = None) -> Any:
    """Each entry of axis `dim` (default: of the flattened tensor) so many times in a row.

    >>> import tinytorch as tt
    >>> tt.repeat_interleave(tt.arange(3), 2)
    tensor([0, 0, 1, 1, 2, 2])
    """
    if dim is None:
        x, dim = reshape(x, shape=(-1,)), 0
    axis = normalize_axis("repeat_interleave", dim, x.ndim)
    lead, length, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    stretched = expand(unsqueeze(x, axis + 1), shape=(*lead, length, repeats, *rest))
    return _copy_of(x, reshape(stretched, shape=(*lead, length * repeats, *rest)))


@op(
    view=True,
    samples=lambda s: [
        Sample(s(3, 4), dims=(0,)),
        Sample(s(2, 3, 4), dims=(0, 2)),
        Sample(s(0, 4), dims=(1,)),
    ],
    refuses=lambda s: [
        Refusal((s(3, 4),), {"dims": (2,)}, IndexError, r"flip: expected dim from -2 to 1, got 2"),
    ],
    reference=lambda x, dims: np.flip(x, dims),
    oracle=lambda t, x, dims: t.flip(x, dims),
)
def flip(x: Array, /, dims: int | tuple[int, ...]) -> Array:
    """`x` backwards along the axes `dims`; a view.

    >>> import tinytorch as tt
    >>> tt.flip(tt.arange(3), 0)
    tensor([2, 1, 0])
    """
    return np.flip(x, normalize_axes("flip", dims, x.ndim))


@flip.gradient
def _(ctx: Node, g: Any) -> Any:
    return flip(g, dims=ctx.params["dims"])


@op(
    samples=lambda s: [
        Sample(s(5), shifts=2),
        Sample(s(3, 4), shifts=-1, dims=1),
        Sample(s(3, 4), shifts=(1, 2), dims=(0, 1)),
        Sample(s(3, 4), shifts=5),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3, 4),), {"shifts": (1, 2), "dims": (0,)}, ValueError, r"roll: expected as many shifts as dims"
        ),
        Refusal((s(3, 4),), {"shifts": 1, "dims": 2}, IndexError, "roll: expected dim from -2 to 1, got 2"),
    ],
    reference=lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    oracle=lambda t, x, shifts, dims=None: t.roll(x, shifts, dims),
)
def roll(x: Array, /, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] | None = None) -> Array:
    """`x` shifted along `dims` (default: as if flattened); what leaves at one end comes back at the other.

    >>> import tinytorch as tt
    >>> tt.roll(tt.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    if dims is None:
        return np.roll(x, shifts)
    amounts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(amounts) != len(axes):
        raise ValueError(f"roll: expected as many shifts as dims, got {amounts} and {axes}")
    return np.roll(x, amounts, tuple(normalize_axis("roll", d, x.ndim) for d in axes))


@roll.gradient
def _(ctx: Node, g: Any) -> Any:
    shifts = ctx.params["shifts"]
    back = -shifts if isinstance(shifts, int) else tuple(-n for n in shifts)
    return roll(g, shifts=back, dims=ctx.params.get("dims"))


def _paddings(padding: tuple[int, ...], ndim: int) -> list[tuple[int, int]]:
    """PyTorch's order, last axis first, as NumPy's: (before, after) of every axis."""
    sides = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
    return [(0, 0)] * (ndim - len(sides)) + sides[::-1]


@op(
    samples=lambda s: [
        Sample(s(3, 4), padding=(1, 2)),
        Sample(s(2, 3, 4), padding=(0, 1, 2, 0), value=1.5),
        Sample(s(3, 4), padding=(-1, 1)),
        Sample(s(0, 4), padding=(1, 1)),
    ],
    refuses=lambda s: [
        Refusal((s(3),), {"padding": (1,)}, ValueError, r"pad: expected two numbers .* got \(1,\)"),
        Refusal(
            (s(3),), {"padding": (1, 1, 1, 1)}, ValueError, r"pad: .* at most 1 axis.* got \(1, 1, 1, 1\)"
        ),
        Refusal((s(3),), {"padding": (-2, -2)}, ValueError, r"pad: .* more than there is"),
    ],
    reference=lambda x, padding, value=0.0: _naive_pad(x, padding, value),
    oracle=lambda t, x, padding, value=0.0: t.nn.functional.pad(x, padding, value=value),
)
def pad(x: Array, /, padding: tuple[int, ...], value: float = 0.0) -> Array:
    """`x` with a border of `value`: (before, after) of the last axis, then of the one before it, and so on.

    Negative numbers cut off instead.

    >>> import tinytorch as tt
    >>> tt.pad(tt.ones(2), (1, 2))
    tensor([0., 1., 1., 0., 0.])
    """
    if len(padding) % 2 or len(padding) > 2 * x.ndim:
        raise ValueError(
            f"pad: expected two numbers for each of at most {x.ndim} axis (last first), got {tuple(padding)}"
        )
    sides = _paddings(tuple(padding), x.ndim)
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, sides, strict=True))
    if min(shape, default=0) < 0:
        raise ValueError(f"pad: {tuple(padding)} cuts off more than there is of shape {x.shape}")
    out = memory.empty(shape, x.dtype)
    out.fill(value)
    inside = tuple(slice(max(b, 0), n - max(a, 0)) for n, (b, a) in zip(shape, sides, strict=True))
    source = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, sides, strict=True))
    out[inside] = x[source]
    return out


@pad.gradient
def _(ctx: Node, g: Any) -> Any:
    return pad(g, padding=tuple(-n for n in ctx.params["padding"]))


def _naive_pad(x: Array, padding: tuple[int, ...], value: float) -> Array:
    sides = _paddings(padding, x.ndim)
    wide = np.pad(x, [(max(b, 0), max(a, 0)) for b, a in sides], constant_values=value)
    return wide[tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(wide.shape, sides, strict=True))]
