"""Indexing: integers, slices, None, Ellipsis, masks and integer arrays, read and written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import scatter as kernels
from tinytorch.ops.arithmetic import add
from tinytorch.ops.common import Array, check_broadcast, check_indices, element, normalize_axis
from tinytorch.ops.shape import expand


def normalize_index(index: Any) -> Any:
    """An index that NumPy understands: tensors and lists inside become arrays, 0-d integer ones numbers."""
    if isinstance(index, tuple):
        return tuple(normalize_index(i) for i in index)
    if isinstance(index, registry._tensor_class):
        index = index._data
    elif isinstance(index, list):
        index = np.asarray([normalize_index(i) for i in index]) if index else np.zeros(0, np.int64)
    if isinstance(index, np.ndarray):
        if index.dtype.kind not in "iub":
            raise IndexError(
                f"index: expected integers or booleans, got a tensor of dtype {index.dtype}. "
                "Convert it with .long(), or compare it to get a mask."
            )
        if index.ndim == 0 and index.dtype.kind != "b":
            return int(index)
    return index


def is_basic(index: Any) -> bool:
    """Whether `index` makes a view: only integers, slices, None and Ellipsis."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(_keeps_axes(p) or _is_integer(p) for p in parts)


def _keeps_axes(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice)


def _is_integer(part: Any) -> bool:
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


def view_first(index: Any, ndim: int) -> tuple[Any, Any] | None:
    """A basic index, and one into the view it makes, that together mean what `index` means in PyTorch.

    None where NumPy means the same. It counts integers among the index arrays: where something else stands
    between one and an array, the axes of the arrays come first in its result. PyTorch applies integers before
    the arrays, so that `x[0, :, i]` is `x[0][:, i]`, and an Ellipsis for no axes separates nothing.
    """
    if not isinstance(index, tuple) or not any(p is Ellipsis or _is_integer(p) for p in index):
        return None
    picking = [k for k, part in enumerate(index) if not _keeps_axes(part)]
    if not picking or picking[-1] - picking[0] == len(picking) - 1:
        return None
    hidden = ndim - sum(_axes(p) for p in index)
    basic: list[Any] = []
    rest: list[Any] = []
    for part in index:
        if _is_integer(part):
            basic.append(part)
        elif _keeps_axes(part):
            basic.append(part)
            rest += [slice(None)] * (hidden if part is Ellipsis else 1)
        else:
            basic += [slice(None)] * _axes(part)
            rest.append(part)
    return tuple(basic), tuple(rest)


def _axes(part: Any) -> int:
    """How many axes of the tensor one part of an index speaks of."""
    if part is None or part is Ellipsis or isinstance(part, (bool, np.bool_)):
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == np.bool_ else 1


def write(x: Array, index: Any, value: Any) -> None:
    """`x[index] = value`, in place, where `index` means what it means in PyTorch."""
    parts = view_first(index, x.ndim)
    target, rest = (x, index) if parts is None else (_as_view(x, parts[0]), parts[1])
    if isinstance(value, (int, float)):
        value = element("x[index] = value", value, x.dtype)
    try:
        target[rest] = value
    except ValueError:
        raise ValueError(
            f"x[index] = value: expected a value that broadcasts to shape {target[rest].shape}, got "
            f"{np.shape(value)}"
        ) from None


def _own(index: Any) -> Any:
    """A copy of the arrays in `index`, so that what the graph keeps cannot be changed from outside."""
    if isinstance(index, tuple):
        return tuple(_own(i) for i in index)
    return index.copy() if isinstance(index, np.ndarray) else index


def _as_view(x: Array, index: Any) -> Array:
    """`x[index]` as an array, even where one element is meant."""
    out = x[index]
    if isinstance(out, np.ndarray):
        return out
    return x[(*index, ...)] if isinstance(index, tuple) else x[index, ...]


def _slices(s: Any) -> list[Sample]:
    x = s(4, 5)
    return [
        Sample(x, index=1),
        Sample(x, index=(slice(1, 3), slice(None, None, 2))),
        Sample(x, index=(slice(None, None, -1), 0)),
        Sample(x, index=(..., None, 2)),
        Sample(x, index=(1, -1)),
        Sample(x, index=()),
        Sample(x, index=slice(3, 3)),
    ]


@op(
    view=True,
    samples=_slices,
    refuses=lambda s: [
        Refusal((s(3),), {"index": 3}, IndexError, "index 3 is out of bounds for axis 0 with size 3"),
        Refusal((s(3),), {"index": (0, 0)}, IndexError, "too many indices"),
    ],
    reference=lambda x, index: x[index],
    oracle=lambda t, x, index: x.flatten()[
        t.from_numpy(np.array(np.arange(x.numel()).reshape(x.shape)[index]))
    ],
    name="slice",
)
def view_index(x: Array, /, index: Any) -> Array:
    """The part of `x` that integers, slices, None and Ellipsis name; a view."""
    return _as_view(x, index)


@view_index.gradient
def _(ctx: Node, g: Any) -> Any:
    return index_add_zeros(g, index=ctx.params["index"], shape=ctx.shape_of(0))


def _fancy(s: Any) -> list[Sample]:
    x = s(4, 5)
    return [
        Sample(x, index=np.array([3, 0, 3])),
        Sample(x, index=(np.array([0, 1, 1]), np.array([2, -1, -1]))),
        Sample(x, index=(slice(None), np.array([[0, 1], [1, 4]]))),
        Sample(x, index=x > 0),
        Sample(x, index=(slice(1, 3), np.array([True, False, True, True, False]))),
        Sample(x, index=(np.array([0, 2]), slice(1, 4))),
        Sample(s(2, 3, 4), index=(np.array([0, 1]), slice(None), np.array([3, 0]))),
        Sample(x, index=np.zeros(0, np.int64)),
    ]


@op(
    samples=_fancy,
    refuses=lambda s: [
        Refusal(
            (s(3),), {"index": np.array([3])}, IndexError, "index 3 is out of bounds for axis 0 with size 3"
        ),
        Refusal((s(3),), {"index": np.ones(4, np.bool_)}, IndexError, "boolean index did not match"),
    ],
    reference=lambda x, index: x[index],
    oracle=lambda t, x, index: x[_torch_index(t, index)],
    name="index",
)
def copy_index(x: Array, /, index: Any) -> Array:
    """The elements of `x` that masks and integer arrays pick; a copy."""
    return np.asarray(x[index])


@copy_index.gradient
def _(ctx: Node, g: Any) -> Any:
    return index_add_zeros(g, index=ctx.params["index"], shape=ctx.shape_of(0))


def _torch_index(t: Any, index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_torch_index(t, i) for i in index)
    return t.from_numpy(index) if isinstance(index, np.ndarray) else index


def _index_gradients(s: Any) -> list[Sample]:
    return [
        Sample(s(*p.args[0][p.params["index"]].shape), index=p.params["index"], shape=p.args[0].shape)
        for p in [*_slices(s), *_fancy(s)]
    ]


@op(
    cost=lambda g, out, **_: g.size,
    samples=_index_gradients,
    reference=lambda g, index, shape: _naive_index_add(g, index, shape),
)
def index_add_zeros(g: Array, /, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` to which `g` is added at `index`, as often as that names a place."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and len(shape) > 1:
        return kernels.embedding_grad(g, np.where(index < 0, index + shape[0], index), shape[0])
    return kernels.index_put_add(shape, index, g)


@index_add_zeros.gradient
def _(ctx: Node, h: Any) -> Any:
    return getitem(h, ctx.params["index"])


def _naive_index_add(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    places = np.arange(out.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), np.ravel(g), strict=True):
        out.reshape(-1)[place] += value
    return out


def _writes(s: Any) -> list[Sample]:
    x = s(4, 5)
    mask = x > 0
    return [
        Sample(x, s(5), index=1),
        Sample(x, s(2, 1), index=(slice(1, 3), slice(None, None, 2))),
        Sample(x, s(), index=mask),
        Sample(x, s(int(mask.sum())), index=mask),
        Sample(x, s(2, 5), index=np.array([3, 0])),
        Sample(x, s(1, 5), index=2),
        Sample(x, s(), index=(1, 1)),
        Sample(s(2, 3, 4), s(3, 2), index=(0, slice(None), np.array([3, 0]))),
    ]


@op(
    samples=_writes,
    refuses=lambda s: [
        Refusal(
            (s(3), s(2)),
            {"index": slice(0, 3)},
            ValueError,
            r"x\[index\] = value: .* shape \(3,\), got \(2,\)",
        ),
        Refusal((s(3), s()), {"index": 3}, IndexError, "index 3 is out of bounds"),
    ],
    reference=lambda x, value, index: _naive_index_put(x, value, index),
    oracle=lambda t, x, value, index: _torch_index_put(t, x, value, index),
)
def index_put(x: Array, value: Array, /, index: Any) -> Array:
    """`x` with `value` at `index`."""
    out = x.copy()
    write(out, index, value)
    return out


@index_put.gradient
def _(ctx: Node, g: Any) -> Any:
    index = ctx.params["index"]
    to_value = None
    if ctx.needs[1]:
        to_value, shape = getitem(g, index), ctx.shape_of(1)
        if len(shape) > to_value.ndim:
            to_value = to_value.reshape((1,) * (len(shape) - to_value.ndim) + to_value.shape)
    return index_put(g, np.zeros((), ctx.dtype), index=index) if ctx.needs[0] else None, to_value


def _naive_index_put(x: Array, value: Array, index: Any) -> Array:
    out = x.copy()
    places = np.arange(x.size).reshape(x.shape)
    for part in view_first(index, x.ndim) or (index,):
        places = places[part]
    values = np.broadcast_to(np.squeeze(value) if value.ndim > places.ndim else value, places.shape)
    for place, v in zip(np.ravel(places), np.ravel(values), strict=True):
        out.reshape(-1)[place] = v
    return out


def _torch_index_put(t: Any, x: Any, value: Any, index: Any) -> Any:
    out = x.clone()
    out[_torch_index(t, index)] = value
    return out


def getitem(x: Any, index: Any) -> Any:
    """`x[index]`: a view for integers, slices, None and Ellipsis; a copy for masks and integer arrays."""
    if type(index) is not int:
        index = normalize_index(index)
        if not is_basic(index):
            parts = view_first(index, x.ndim)
            if parts is not None:
                x, index = view_index(x, index=parts[0]), parts[1]
            return copy_index(x, index=_own(index) if x.requires_grad else index)
    return view_index(x, index=index)


def _masks(s: Any) -> list[Sample]:
    return [Sample(s.mask(3, 4)), Sample(np.array([0, 3, 0, 1])), Sample(s.mask(0, 2)), Sample(np.array(1))]


@op(
    name="nonzero",
    differentiable=False,
    samples=_masks,
    reference=np.argwhere,
    oracle=lambda t, x: t.nonzero(x),
)
def places_of_nonzero(x: Array, /) -> Array:
    """Indices of all elements that are not zero, one row each."""
    return np.argwhere(x)


def nonzero(x: Any, as_tuple: bool = False) -> Any:
    """Indices of all elements that are not zero: one row each, or a tuple with one tensor for each axis.

    >>> import tinytorch as tt
    >>> tt.nonzero(tt.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    places = places_of_nonzero(x)
    return tuple(places[:, i] for i in range(places.shape[1])) if as_tuple else places


def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """`x` with the entries of `source`, times `alpha`, added to those of axis `dim` with the numbers `index`.

    >>> import tinytorch as tt
    >>> tt.index_add(tt.zeros(3), 0, tt.tensor([0, 0, 2]), tt.ones(3))
    tensor([2., 0., 1.])
    """
    axis = normalize_axis("index_add", dim, x.ndim)
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if index.ndim != 1 or source.shape != shape:
        raise ValueError(
            f"index_add: expected a 1-d index and a source of shape {shape}, got an index of shape "
            f"{index.shape} and {source.shape}"
        )
    check_indices("index_add", index._data, x.shape[axis])
    places = index._data.copy()
    added = index_add_zeros(
        source, index=(slice(None),) * axis + (places,) if axis else places, shape=x.shape
    )
    return add(x, added) if alpha == 1 else add(x, added, alpha=alpha)


def masked_select(x: Any, mask: Any) -> Any:
    """The elements of `x` where the mask, which broadcasts, is true, in one row.

    >>> import tinytorch as tt
    >>> tt.masked_select(tt.arange(4), tt.tensor([True, False, True, False]))
    tensor([0, 2])
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"masked_select: expected a mask of dtype bool, got {mask.dtype}")
    check_broadcast("masked_select", x._data, mask._data)
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return getitem(expand(x, shape=shape), np.broadcast_to(mask._data, shape))
