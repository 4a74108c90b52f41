"""Resizing signals and images: `interpolate`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, op
from tinytorch.kernels import resize as kernels
from tinytorch.ops.common import Array

Size = tuple[int, ...]
Factors = tuple[float, ...]
_MODES = {3: ("nearest", "linear"), 4: ("nearest", "bilinear")}


@functools.lru_cache(maxsize=256)
def _nearest(length: int, count: int, factor: float | None, dtype: np.dtype) -> Array:
    """For each of `count` pixels, the one of `length` pixels that it copies; rounded as PyTorch rounds."""
    number = dtype.type
    step = number(1.0 / factor) if factor else number(length) / number(count)
    place = (np.arange(count).astype(dtype) * step).astype(np.float32)
    return np.minimum(place.astype(np.int64), length - 1)


@functools.lru_cache(maxsize=256)
def _linear(length: int, count: int, factor: float | None, align_corners: bool) -> tuple[Array, Array]:
    """For each of `count` pixels, the two of `length` pixels between which it lies, and their weights."""
    if count == length:
        place = np.arange(count, dtype=np.float64)
    elif align_corners:
        place = np.arange(count) * ((length - 1) / max(count - 1, 1))
    else:
        step = 1.0 / factor if factor else length / count
        place = np.maximum((np.arange(count) + 0.5) * step - 0.5, 0.0)
    first = np.minimum(place.astype(np.int64), length - 1)
    second = np.minimum(first + 1, length - 1)
    share = np.where(second > first, place - first, 0.0)
    return np.stack([first, second], axis=1), np.stack([1.0 - share, share], axis=1)


def _tables(
    lengths: Size, size: Size, scale_factor: Factors | None, mode: str, align_corners: bool, dtype: np.dtype
) -> list[Array]:
    """What the kernels want to know of the rows and the columns; a signal is an image of one row."""
    factors = scale_factor or (None,) * len(size)
    axes = list(zip(lengths, size, factors, strict=True))
    if mode != "nearest":
        (rows, above), (columns, beside) = (
            _linear(*axis, align_corners) for axis in [(1, 1, None)] * (2 - len(axes)) + axes
        )
        return [rows, columns, above, beside]
    if len(axes) == 1:
        return [_nearest(1, 1, None, dtype), _nearest(*axes[0], dtype)]
    # Of images, PyTorch forgets the factor where they keep their size or double it, and counts in float32.
    return [
        _nearest(length, count, None if count in (length, 2 * length) else factor, np.dtype(np.float32))
        for length, count, factor in axes
    ]


def _as_images(x: Array) -> Array:
    return x if x.ndim == 4 else x[:, :, None]


def _cases() -> list[tuple[Size, dict[str, Any]]]:
    """(height and width, or length; parameters)."""
    return [
        ((5,), {"size": (8,)}),
        ((5,), {"size": (13,), "scale_factor": (2.7,)}),
        ((7,), {"size": (4,), "mode": "linear"}),
        ((5,), {"size": (9,), "mode": "linear", "align_corners": True}),
        ((3, 4), {"size": (6, 7)}),
        ((5, 4), {"size": (3, 4)}),
        ((3, 4), {"size": (4, 10), "scale_factor": (1.6, 2.7)}),
        ((3, 4), {"size": (6, 7), "mode": "bilinear"}),
        ((3, 4), {"size": (6, 7), "mode": "bilinear", "align_corners": True}),
        ((5, 6), {"size": (1, 3), "mode": "bilinear", "align_corners": True}),
        ((5, 6), {"size": (2, 16), "scale_factor": (0.55, 2.7), "mode": "bilinear"}),
    ]


def _matrix(length: int, count: int, factor: float | None, mode: str, align_corners: bool) -> Array:
    """Resizing as a matrix (count, length), from the definition."""
    i, ones = np.arange(count), np.eye(length)
    step = 1.0 / factor if factor else length / count
    if mode == "nearest":
        return ones[np.minimum(np.floor(i * step).astype(int), length - 1)]
    place = i * (length - 1) / max(count - 1, 1) if align_corners else (i + 0.5) * step - 0.5
    return np.stack([np.interp(place, np.arange(length), row) for row in ones], axis=1)


def _naive(
    x: Array, lengths: Size, size: Size, back: bool, scale_factor: Factors | None = None,
    mode: str = "nearest", align_corners: bool = False,
) -> Array:  # fmt: skip
    for axis, (length, count) in enumerate(zip(lengths, size, strict=True)):
        factor = scale_factor[axis] if scale_factor else None
        matrix = _matrix(length, count, factor, mode, align_corners)
        x = np.moveaxis(np.tensordot(x, matrix, (axis + 2, 0 if back else 1)), -1, axis + 2)
    return x


def _oracle(t: Any, x: Any, size: Size, scale_factor: Factors | None = None, **options: Any) -> Any:
    given = {"size": size} if scale_factor is None else {"scale_factor": scale_factor}
    options["align_corners"] = options.get("align_corners") if "mode" in options else None
    return t.nn.functional.interpolate(x, **given, **options)


@op(
    name="interpolate",
    cost=lambda x, *, out, mode="nearest", **_: 0 if mode == "nearest" else 6 * out.size,
    samples=lambda s: [
        *(Sample(s(2, 3, *lengths), **options) for lengths, options in _cases()),
        Sample(s(0, 3, 4, 5), size=(2, 3)),
        Sample(s(0, 3, 4), size=(2,), mode="linear"),
    ],
    refuses=lambda s: [
        Refusal((s(3, 4),), {"size": (2,)}, ValueError, r"interpolate: expected an input .* got \(3, 4\)"),
        Refusal(
            (s(1, 1, 0),), {"size": (2,)}, ValueError, r"interpolate: .* at least one pixel, got \(1, 1, 0\)"
        ),
        Refusal(
            (np.ones((1, 1, 4), np.int64),), {"size": (2,)}, TypeError, "interpolate: expected a floating"
        ),
        Refusal((s(1, 1, 4),), {"size": (0,)}, ValueError, r"interpolate: .* result .* got size \(0,\)"),
    ],
    reference=lambda x, size, **options: _naive(x, x.shape[2:], size, False, **options),
    oracle=_oracle,
)
def resized(
    x: Array,
    /,
    size: Size,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Array:
    """(n, c, length) or (n, c, h, w) -> (n, c, *size); the factors, if given, only say where pixels lie."""
    _check(x)
    if min(size) < 1:
        raise ValueError(f"interpolate: expected a result of at least one pixel, got size {size}")
    tables = _tables(x.shape[2:], size, scale_factor, mode, align_corners, x.dtype)
    kernel: Any = kernels.nearest if mode == "nearest" else kernels.linear
    return kernel(_as_images(x), *tables).reshape(*x.shape[:2], *size)


def _check(x: Any) -> None:
    if x.ndim not in _MODES:
        raise ValueError(
            "interpolate: expected an input of shape (n, channels, length) or (n, channels, height, width), "
            f"got {x.shape}"
        )
    if x.dtype.kind != "f":
        raise TypeError(
            f"interpolate: expected a floating point input, got {x.dtype}. Convert it with .float() first."
        )
    if min(x.shape[2:]) < 1:
        raise ValueError(f"interpolate: expected an input of at least one pixel, got {x.shape}")


@resized.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return interpolate_grad(g, **{**ctx.params, "size": ctx.shape_of(0)[2:]})


@op(
    cost=lambda g, *, out, mode="nearest", **_: g.size if mode == "nearest" else 6 * g.size,
    samples=lambda s: [
        Sample(s(2, 3, *options["size"]), **{**options, "size": lengths}) for lengths, options in _cases()
    ],
    reference=lambda g, size, **options: _naive(g, size, g.shape[2:], True, **options),
)
def interpolate_grad(
    g: Array,
    /,
    size: Size,
    scale_factor: Factors | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Array:
    """The gradient of `interpolate` to an input whose axes after the second have lengths `size`."""
    tables = _tables(size, g.shape[2:], scale_factor, mode, align_corners, g.dtype)
    kernel: Any = kernels.nearest_grad if mode == "nearest" else kernels.linear_grad
    images = kernel(_as_images(g), *tables, (1, *size)[-2:])
    return images.reshape(*g.shape[:2], *size)


@interpolate_grad.gradient(arrays=True)
def _(ctx: Node, h: Any) -> Any:
    return resized(h, **{**ctx.params, "size": ctx.shape_of(0)[2:]})


def _each(what: str, value: Any, axes: int) -> tuple[Any, ...]:
    """One value for each axis, from one for all or as many as there are."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"interpolate: expected {what} to be a number, or {axes}, got {value!r}")
    return values


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Signals (n, c, length) or images (n, c, h, w), made longer or shorter, larger or smaller.

    Pixel i of a result `scale` times as large takes what lies at

        i / scale                 mode "nearest": the pixel at or before it
        (i + 0.5) / scale - 0.5   "linear" (signals), "bilinear" (images): a mean of the pixels around it
        i (old - 1) / (new - 1)   the same with align_corners=True: the corner pixels keep their values

    size, scale_factor: one of the two; a number, or one for each axis. With a factor the size is
    int(old · factor), and scale is the factor itself, or new / old with recompute_scale_factor=True.
    Raises ValueError for both or neither of them, for align_corners with "nearest", and for results without
    pixels; NotImplementedError for other modes and antialias=True, which are not built.

    >>> import tinytorch as tt
    >>> tt.interpolate(tt.tensor([[[0.0, 1.0]]]), scale_factor=2)
    tensor([[[0., 0., 1., 1.]]])
    >>> tt.interpolate(tt.tensor([[[0.0, 1.0]]]), 3, mode="linear", align_corners=True)
    tensor([[[0. , 0.5, 1. ]]])
    """
    (x,) = as_tensors(resized, (input,))
    if antialias:
        raise NotImplementedError("interpolate: expected antialias=False, the only one built, got True")
    _check(x)
    if mode not in _MODES[x.ndim]:
        expected = " or ".join(map(repr, _MODES[x.ndim]))
        raise NotImplementedError(
            f"interpolate: expected mode {expected} for an input of {x.ndim} axes, got {mode!r}"
        )
    if mode == "nearest" and align_corners is not None:
        raise ValueError(f"interpolate: expected no align_corners with mode 'nearest', got {align_corners}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected size or scale_factor, got {size} and {scale_factor}")
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: expected recompute_scale_factor with a scale_factor, got a size")
        size = _each("size", size, x.ndim - 2)
        if not all(hasattr(n, "__index__") for n in size):
            raise TypeError(f"interpolate: expected size in whole numbers, got {size}")
        factors = None
    else:
        factors = tuple(float(f) for f in _each("scale_factor", scale_factor, x.ndim - 2))
        if not all(0.0 < f < math.inf for f in factors):
            raise ValueError(f"interpolate: expected positive factors, got {factors}")
        size = tuple(int(n * f) for n, f in zip(x.shape[2:], factors, strict=True))
    if recompute_scale_factor:
        factors = None
    return resized(x, tuple(map(int, size)), factors, mode, bool(align_corners))
