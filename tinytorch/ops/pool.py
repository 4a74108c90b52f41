"""Pooling of images: the largest or the mean of windows that slide, or that divide the image evenly."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, new_tensor, op
from tinytorch.kernels import pool as kernels
from tinytorch.ops.common import Array
from tinytorch.ops.conv import pair
from tinytorch.ops.shape import squeeze, unsqueeze

Pair = tuple[int, int]


@functools.lru_cache(maxsize=1024)
def _sliding(
    length: int, window: int, stride: int, padding: int, dilation: int, ceil_mode: bool, count_padding: bool
) -> tuple[Array, Array]:
    """(first, last) pixels of the windows of an axis, cut to the image; one over how many pixels each has."""
    reach = dilation * (window - 1) + 1
    room = length + 2 * padding - reach
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1  # a window must begin in the image or the padding before it
    start = np.arange(count) * stride - padding
    first = np.where(start < 0, start + -(start // dilation) * dilation, start)
    last = np.minimum(start + reach, length)
    pixels = np.minimum(start + reach, length + padding) - start if count_padding else last - first
    return np.stack([first, last], axis=1), 1.0 / np.maximum(pixels, 1)


@functools.lru_cache(maxsize=256)
def _dividing(length: int, count: int) -> tuple[Array, Array]:
    """As `_sliding`, for `count` windows that cover the axis as evenly as they can."""
    places = np.arange(count)
    first, last = places * length // count, -(-(places + 1) * length // count)
    return np.stack([first, last], axis=1), 1.0 / np.maximum(last - first, 1)


def _windows(x: Array, **options: Any) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The windows of both axes, and their factors, from parameters of either kind."""
    if "output_size" in options:
        tables = [_dividing(n, count) for n, count in zip(x.shape[2:], options["output_size"], strict=True)]
    else:
        dilation = options.get("dilation", (1, 1))
        more = options.get("ceil_mode", False), options.get("count_include_pad", False)
        axes = zip(
            x.shape[2:], options["kernel_size"], options["stride"], options["padding"], dilation, strict=True
        )
        tables = [_sliding(*axis, *more) for axis in axes]
    (rows, row_factors), (columns, column_factors) = tables
    return (rows, columns), (row_factors, column_factors)


def _cases() -> list[dict[str, Any]]:
    return [
        {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)},
        {"kernel_size": (3, 3), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True},
    ]


def _images(s: Any) -> Array:
    """Distinct numbers: a window has one largest."""
    return s(2, 3, 7, 6) + np.arange(252.0).reshape(2, 3, 7, 6) % 17


def _naive(x: Array, reduce: Any, **options: Any) -> Array:
    (rows, columns), factors = _windows(x, **options)
    steps = options.get("dilation", (1, 1))
    out = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for i, j in np.ndindex(out.shape[2:]):
        (top, bottom), (left, right) = rows[i], columns[j]
        window = x[:, :, top : bottom : steps[0], left : right : steps[1]]
        out[:, :, i, j] = reduce(window, factors[0][i] * factors[1][j])
    return out


def _largest(window: Array, _: float) -> Array:
    return window.max(axis=(2, 3))


def _mean(window: Array, factor: float) -> Array:
    return window.sum(axis=(2, 3)) * factor


def _check(name: str, x: Array, options: dict[str, Any]) -> None:
    if x.ndim != 4:
        raise ValueError(
            f"{name}: expected an input of shape (n, channels, height, width), got {x.shape}. "
            "One image needs a batch of its own: x.unsqueeze(0)."
        )
    if x.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating point input, got {x.dtype}. Convert it with .float() first."
        )
    if "output_size" in options:
        if min(x.shape[2:]) < 1 <= min(options["output_size"]):
            raise ValueError(f"{name}: expected images of at least one pixel, got {x.shape}")
        return
    dilation = options.get("dilation", (1, 1))
    for length, k, p, d in zip(
        x.shape[2:], options["kernel_size"], options["padding"], dilation, strict=True
    ):
        if 2 * p > k:
            raise ValueError(f"{name}: expected padding of at most half the window, {k // 2}, got {p}")
        if d * (k - 1) + 1 > length + 2 * p:
            raise ValueError(
                f"{name}: expected a window of at most {length + 2 * p}, the image with its padding, got "
                f"{d * (k - 1) + 1} (input {x.shape})"
            )


def _refusals(name: str) -> Any:
    good = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    return lambda s: [
        Refusal((s(3, 4, 4),), good, ValueError, rf"{name}: expected an input of shape .*, got \(3, 4, 4\)"),
        Refusal((np.ones((1, 1, 4, 4), np.int64),), good, TypeError, rf"{name}: expected a floating point"),
        Refusal(
            (s(1, 1, 4, 4),), good | {"padding": (2, 0)}, ValueError, "at most half the window, 1, got 2"
        ),
        Refusal((s(1, 1, 1, 4),), good, ValueError, rf"{name}: expected a window of at most 1, .* got 2"),
    ]


@op(
    name="max_pool2d",
    extras=True,
    cost=lambda x, *, out, kernel_size, **_: out.size * kernel_size[0] * kernel_size[1],
    samples=lambda s: [
        *(Sample(_images(s), **case) for case in _cases()),
        Sample(_images(s), **_cases()[0], dilation=(2, 3)),
        Sample(s(0, 2, 4, 4), **_cases()[0]),
    ],
    refuses=_refusals("max_pool2d"),
    reference=lambda x, **options: _naive(x, _largest, **options),
    oracle=lambda t, x, **options: t.nn.functional.max_pool2d(x, **options),
)
def sliding_max(
    x: Array,
    /,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest element of each window of (n, c, h, w); also its place, for the gradient."""
    options: dict[str, Any] = {
        "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
        "ceil_mode": ceil_mode,
    }  # fmt: skip
    _check("max_pool2d", x, options)
    (rows, columns), _ = _windows(x, **options)
    whole = padding == (0, 0) and dilation == (1, 1) and rows[-1, 1] - rows[-1, 0] == kernel_size[0]
    whole = whole and columns[-1, 1] - columns[-1, 0] == kernel_size[1]
    if whole and math.prod(kernel_size) <= kernels.MOST_TAPS:
        return kernels.max_pool_whole(x, kernel_size, stride)
    return kernels.max_pool(x, rows, columns, dilation)


@sliding_max.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return max_pool_grad(g, places=ctx.extras, size=ctx.shape_of(0)[2:])


@op(
    name="adaptive_max_pool2d",
    extras=True,
    cost=lambda x, *, out, **_: x.size,
    samples=lambda s: [Sample(_images(s), output_size=size) for size in ((1, 1), (3, 4), (7, 6), (9, 2))],
    reference=lambda x, **options: _naive(x, _largest, **options),
    oracle=lambda t, x, output_size: t.nn.functional.adaptive_max_pool2d(x, output_size),
)
def dividing_max(x: Array, /, output_size: Pair) -> tuple[Array, Array]:
    """The largest element of each of `output_size` windows that cover the image evenly, and its place."""
    _check("adaptive_max_pool2d", x, {"output_size": output_size})
    (rows, columns), _ = _windows(x, output_size=output_size)
    return kernels.max_pool(x, rows, columns)


@dividing_max.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return max_pool_grad(g, places=ctx.extras, size=ctx.shape_of(0)[2:])


def _placed(s: Any) -> list[tuple[Array, Array, Array]]:
    """g, places and x of overlapping windows."""
    x, places = _images(s), sliding_max.forward(_images(s), **_cases()[1])[1]
    return [(s(*places.shape), places, x)]


def _naive_put(g: Array, places: Array, size: Pair) -> Array:
    out = np.zeros((*g.shape[:2], size[0] * size[1]), g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        out[n, c, places[n, c, i, j]] += g[n, c, i, j]
    return out.reshape(*g.shape[:2], *size)


@op(
    cost=lambda g, *, out, **_: g.size,
    samples=lambda s: [Sample(g, places=places, size=x.shape[2:]) for g, places, x in _placed(s)],
    reference=_naive_put,
)
def max_pool_grad(g: Array, /, places: Array, size: Pair) -> Array:
    """The gradient of a maximum over windows: each element of g added to the pixel that was the largest."""
    return kernels.max_pool_grad(g, places, size)


@max_pool_grad.gradient(arrays=True)
def _(ctx: Node, h: Any) -> Any:
    return pixels_at(h, places=ctx.params["places"])


@op(
    cost=lambda x, *, out, **_: 0,
    samples=lambda s: [Sample(x, places=places) for _, places, x in _placed(s)],
    reference=lambda x, places: _at(x, places),
    oracle=lambda t, x, places: x.flatten(2).gather(2, t.from_numpy(places).flatten(2)).reshape(places.shape),
)
def pixels_at(x: Array, /, places: Array) -> Array:
    """The pixels of (n, c, h, w) at `places` (n, c, ...), counted through each image."""
    return _at(x, places)


def _at(x: Array, places: Array) -> Array:
    (n, c, *size), (_, _, *windows) = x.shape, places.shape
    flat = x.reshape(n, c, math.prod(size)), places.reshape(n, c, math.prod(windows))
    return np.take_along_axis(*flat, axis=2).reshape(places.shape)


@pixels_at.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return max_pool_grad(g, places=ctx.params["places"], size=ctx.shape_of(0)[2:])


def _mean_cases() -> list[dict[str, Any]]:
    return [
        *_cases(),
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1), "count_include_pad": False},
        {"output_size": (1, 1)},
        {"output_size": (3, 4)},
        {"output_size": (9, 2)},
    ]


def _mean_oracle(t: Any, x: Any, **options: Any) -> Any:
    if "output_size" in options:
        return t.nn.functional.adaptive_avg_pool2d(x, options["output_size"])
    return t.nn.functional.avg_pool2d(x, **{"count_include_pad": True} | options)


def _with_padding(options: dict[str, Any]) -> dict[str, Any]:
    return options if "output_size" in options else {"count_include_pad": True} | options


@op(
    name="avg_pool2d",
    cost=lambda x, *, out, **_: x.size,
    samples=lambda s: [*(Sample(s(2, 3, 7, 6), **case) for case in _mean_cases())],
    refuses=_refusals("avg_pool2d"),
    reference=lambda x, **options: _naive(x, _mean, **_with_padding(options)),
    oracle=_mean_oracle,
)
def window_means(
    x: Array,
    /,
    kernel_size: Pair | None = None,
    stride: Pair | None = None,
    padding: Pair | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    output_size: Pair | None = None,
) -> Array:
    """The mean of each window of (n, c, h, w): sliding ones, or `output_size` that cover the image evenly."""
    options = _mean_options(kernel_size, stride, padding, ceil_mode, count_include_pad, output_size)
    _check("avg_pool2d" if output_size is None else "adaptive_avg_pool2d", x, options)
    windows, factors = _windows(x, **options)
    return kernels.avg_pool(x, *windows, *factors)


def _mean_options(
    kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, output_size: Any
) -> dict[str, Any]:
    if output_size is not None:
        return {"output_size": output_size}
    return {
        "kernel_size": kernel_size, "stride": stride, "padding": padding, "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
    }  # fmt: skip


@window_means.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return avg_pool_grad(g, size=ctx.shape_of(0)[2:], **ctx.params)


def _naive_spread(g: Array, size: Pair, **options: Any) -> Array:
    out = np.zeros((*g.shape[:2], *size), g.dtype)
    (rows, columns), factors = _windows(out, **_with_padding(options))
    for i, j in np.ndindex(g.shape[2:]):
        window = out[:, :, slice(*rows[i]), slice(*columns[j])]
        window += (g[:, :, i, j] * factors[0][i] * factors[1][j])[..., None, None]
    return out


@op(
    cost=lambda g, *, out, **_: out.size,
    samples=lambda s: [
        Sample(s(*window_means.forward(s(2, 3, 7, 6), **case).shape), size=(7, 6), **case)
        for case in _mean_cases()
    ],
    reference=_naive_spread,
)
def avg_pool_grad(
    g: Array,
    /,
    size: Pair,
    kernel_size: Pair | None = None,
    stride: Pair | None = None,
    padding: Pair | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    output_size: Pair | None = None,
) -> Array:
    """The gradient of a mean over windows: every pixel of a window gets its share of g."""
    options = _mean_options(kernel_size, stride, padding, ceil_mode, count_include_pad, output_size)
    windows, factors = _windows(np.broadcast_to(np.float32(0), (1, 1, *size)), **options)
    return kernels.avg_pool_grad(g, *windows, *factors, size)


@avg_pool_grad.gradient(arrays=True)
def _(ctx: Node, h: Any) -> Any:
    return window_means(h, **{name: value for name, value in ctx.params.items() if name != "size"})


def _sliding_options(
    name: str, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool
) -> dict[str, Any]:
    window = pair(name, "kernel_size", kernel_size)
    return {
        "kernel_size": window,
        "stride": window if stride is None else pair(name, "stride", stride),
        "padding": pair(name, "padding", padding, 0),
        "ceil_mode": ceil_mode,
    }


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of images (n, c, h, w); windows may overlap. NaN wins.

    stride: as the window, by default. ceil_mode: also windows that only begin in the image. return_indices:
    also where each maximum is, counted through its image.
    Raises ValueError for windows larger than the padded image, or padding of more than half a window.

    >>> import tinytorch as tt
    >>> tt.max_pool2d(tt.arange(16).float().reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    (x,) = as_tensors(sliding_max, (input,))
    options = _sliding_options("max_pool2d", kernel_size, stride, padding, ceil_mode)
    options["dilation"] = pair("max_pool2d", "dilation", dilation)
    out = sliding_max(x, **options)
    if not return_indices:
        return out
    return out, new_tensor(sliding_max.forward(x._data, **options)[1].astype(np.int64))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of images (n, c, h, w); zeros of the padding count, unless count_include_pad
    is False.

    >>> import tinytorch as tt
    >>> tt.avg_pool2d(tt.arange(16).float().reshape(1, 1, 4, 4), 2)
    tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]])
    """
    options = _sliding_options("avg_pool2d", kernel_size, stride, padding, ceil_mode)
    return window_means(input, **options, count_include_pad=count_include_pad)


def _output_size(name: str, input: Any, output_size: Any) -> Pair:
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    whole = tuple(n if size is None else size for size, n in zip(sizes, input.shape[-2:], strict=True))
    return pair(name, "output_size", whole, 0)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means of (h', w') windows that cover each image evenly; 1 is the mean of all, None keeps an axis.

    >>> import tinytorch as tt
    >>> tt.adaptive_avg_pool2d(tt.ones(2, 3, 5, 4), 1).shape
    (2, 3, 1, 1)
    """
    (x,) = as_tensors(window_means, (input,))
    return window_means(x, output_size=_output_size("adaptive_avg_pool2d", x, output_size))


def adaptive_max_pool2d(input: Any, output_size: Any) -> Any:
    """The largest elements of (h', w') windows that cover each image evenly.

    >>> import tinytorch as tt
    >>> tt.adaptive_max_pool2d(tt.ones(2, 3, 5, 4), (2, 2)).shape
    (2, 3, 2, 2)
    """
    (x,) = as_tensors(dividing_max, (input,))
    return dividing_max(x, output_size=_output_size("adaptive_max_pool2d", x, output_size))


def max_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> Any:
    """`max_pool2d` of signals (n, c, length).

    >>> import tinytorch as tt
    >>> tt.max_pool1d(tt.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[3., 2.]]])
    """
    (x,) = as_tensors(sliding_max, (input,))
    if x.ndim != 3:
        raise ValueError(f"max_pool1d: expected an input of shape (n, channels, length), got {x.shape}")
    step = kernel_size if stride is None else stride
    pooled = max_pool2d(unsqueeze(x, 2), (1, kernel_size), (1, step), (0, padding), (1, dilation), ceil_mode)
    return squeeze(pooled, 2)
