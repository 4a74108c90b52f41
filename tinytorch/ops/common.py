"""What the op files share: bringing operands together, checking axes, samples that many ops share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Refusal, Sample, new_tensor

Array = np.ndarray
Axes = int | tuple[int, ...] | list[int] | None


def promote(a: Array, b: Array) -> tuple[Array, Array]:
    """Bring two operands to one dtype by PyTorch's rule: floats beat integers, whatever the width."""
    if a.dtype is b.dtype or a.dtype == b.dtype:
        return a, b
    if (a.dtype.kind == "f") != (b.dtype.kind == "f"):
        dtype = a.dtype if a.dtype.kind == "f" else b.dtype
    elif (a.ndim == 0) != (b.ndim == 0) and _category(a) == _category(b):
        dtype = b.dtype if a.ndim == 0 else a.dtype
    else:
        dtype = np.promote_types(a.dtype, b.dtype)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def common_dtype(arrays: Sequence[Array]) -> np.dtype:
    """The dtype in which arrays meet by the same rule, where the number of dimensions does not count."""
    floats = [a.dtype for a in arrays if a.dtype.kind == "f"]
    return np.result_type(*(floats or [a.dtype for a in arrays]))


def _category(x: Array) -> str:
    return "i" if x.dtype.kind == "u" else x.dtype.kind


def element(name: str, value: Any, dtype: np.dtype) -> Any:
    """The number `value` as `dtype` stores it: integers drop its fraction, unsigned ones wrap below 0."""
    if dtype.kind not in "iu":
        return value
    info = np.iinfo(dtype)
    least = info.min if dtype.kind == "i" else -info.max
    if not least <= value <= info.max:  # nor is NaN
        raise ValueError(
            f"{name}: expected a number from {least} to {info.max} for dtype {dtype}, got {value}"
        )
    return np.array(int(value)).astype(dtype)


def as_float(x: Array) -> Array:
    """`x`, or float32 where it holds integers or booleans."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def check_broadcast(name: str, *arrays: Array) -> None:
    """Refuse operands whose shapes do not broadcast."""
    try:
        np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        shapes = " and ".join(str(a.shape) for a in arrays)
        raise ValueError(
            f"{name}: shapes {shapes} do not broadcast. Expected each pair of dimensions, "
            "counted from the right, to be equal or to contain a 1."
        ) from None


def normalize_axis(name: str, dim: int, ndim: int) -> int:
    """`dim` counted from the left; a 0-d tensor has, as in PyTorch, an axis 0."""
    most = max(ndim, 1)
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"{name}: expected dim to be an integer, got {dim!r}")
    if not -most <= dim < most:
        raise IndexError(f"{name}: expected dim from {-most} to {most - 1}, got {dim} for a {ndim}-d tensor")
    return int(dim) % most


def normalize_axes(name: str, dim: Axes, ndim: int) -> tuple[int, ...]:
    """`dim` as a sorted tuple of axes from 0 to ndim - 1; None means all."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (int, np.integer)):
        axis = normalize_axis(name, dim, ndim)
        return (axis,) if ndim else ()
    axes = [normalize_axis(name, d, ndim) for d in dim]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: dim {tuple(dim)} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` after a reduction over `axes` with keepdim."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def zeros_like_argument(ctx: Any, position: int) -> Any:
    """The gradient of a step function: zeros for the argument at `position`."""
    edge = ctx.edges[position]
    return new_tensor(np.zeros(edge.shape, edge.dtype))


def count(*arrays: Any, out: Array, **_: Any) -> float:
    """One FLOP for each element of the result."""
    return out.size


def count_input(x: Array, *_: Any, **__: Any) -> float:
    """One FLOP for each element of the argument."""
    return x.size


def elements(low: float = -1.0, high: float = 1.0) -> Callable[[Any], list[Sample]]:
    """Samples for a function of one argument, elementwise."""
    return lambda s: [
        Sample(s(3, 4, low=low, high=high)),
        Sample(s(2, 1, 3, low=low, high=high)),
        Sample(s(0, 2, low=low, high=high)),
        Sample(s(low=low, high=high)),
    ]


def pairs(s: Any) -> list[Sample]:
    """Samples for a function of two arguments that broadcast."""
    return [
        Sample(s(3, 4), s(3, 4)),
        Sample(s(3, 4), s(4)),
        Sample(s(2, 3, 4), s(3, 1)),
        Sample(s(3, 4), s()),
        Sample(s(3, 1), s(1, 4)),
        Sample(s(0, 4), s(4)),
        Sample(s(), s()),
    ]


def clash(name: str) -> Callable[[Any], list[Refusal]]:
    """Operands that do not broadcast, and what `name` says to them."""
    text = rf"{name}: shapes \(3, 4\) and \(5,\) do not broadcast"
    return lambda s: [Refusal((s(3, 4), s(5)), {}, ValueError, text)]


def bad_dim(name: str) -> Callable[[Any], list[Refusal]]:
    """An axis that is not there, and what `name` says to it."""
    text = rf"{name}: expected dim from -2 to 1, got 2 for a 2-d tensor"
    return lambda s: [Refusal((s(3, 4),), {"dim": 2}, IndexError, text)]


def check_indices(name: str, indices: Array, length: int, what: str = "indices") -> None:
    """Refuse what is no integer, or outside of 0 to length - 1, saying what was found and where."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected {what} of an integer dtype, got {indices.dtype}")
    if indices.size and (indices.min() < 0 or indices.max() >= length):
        place = tuple(int(i) for i in np.argwhere((indices < 0) | (indices >= length))[0])
        if not length:
            raise IndexError(
                f"{name}: expected no {what} for an axis of length 0, got {indices[place]} at {place}"
            )
        raise IndexError(
            f"{name}: expected {what} from 0 to {length - 1}, got {indices[place]} at position "
            f"{place[0] if len(place) == 1 else place}"
        )
