"""Convolutions of signals and images, forward and transposed; each gradient is an op of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, op
from tinytorch.kernels import conv as kernels
from tinytorch.kernels.conv import Pair, Sides
from tinytorch.kernels.conv_weight import conv2d_grad_weight as kernel_grad_weight
from tinytorch.ops.common import Array, promote
from tinytorch.ops.rectifier import relu_grad
from tinytorch.ops.shape import squeeze, unsqueeze

_NONE: Sides = ((0, 0), (0, 0))


def _geometries() -> list[dict[str, Any]]:
    """Of windows that are tried: (n, groups, in, out, h, w), (kh, kw) and the parameters."""
    return [
        {"sizes": (2, 1, 3, 4, 6, 5), "window": (3, 3), "padding": ((1, 1), (1, 1))},
        {"sizes": (1, 1, 2, 3, 7, 6), "window": (3, 2), "stride": (2, 3), "padding": ((1, 1), (2, 0))},
        {"sizes": (2, 2, 1, 2, 5, 7), "window": (2, 3), "dilation": (2, 1), "groups": 2},
        {"sizes": (1, 3, 1, 1, 4, 4), "window": (3, 3), "padding": ((2, 2), (1, 1)), "groups": 3},
        {"sizes": (2, 1, 2, 2, 3, 3), "window": (1, 1), "stride": (2, 2)},
        {"sizes": (0, 1, 2, 3, 4, 4), "window": (3, 3)},
    ]


def _arguments(s: Any, case: dict[str, Any]) -> tuple[Array, Array, dict[str, Any]]:
    n, groups, inputs, outputs, h, w = case["sizes"]
    params = {name: value for name, value in case.items() if name not in ("sizes", "window")}
    return s(n, groups * inputs, h, w), s(groups * outputs, inputs, *case["window"]), params


def _result(s: Any, x: Array, weight: Array, params: dict[str, Any]) -> Array:
    """A gradient of the result's shape."""
    options = {"stride": (1, 1), "padding": _NONE, "dilation": (1, 1)} | params
    options.pop("groups", None)
    size = kernels.out_size(x.shape[2:], weight.shape[2:], **options)
    return s(len(x), len(weight), *size)


def naive_conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair = (1, 1),
    padding: Sides = _NONE,
    dilation: Pair = (1, 1),
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    """The definition: every pixel of the result is the sum of a window of the image times the weights."""
    n, outputs = len(x), len(weight)
    window = weight.shape[2:]
    height, width = kernels.out_size(x.shape[2:], window, stride, padding, dilation)
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    out = np.zeros((n, outputs, height, width), x.dtype)
    inputs = weight.shape[1]
    for o in range(outputs):
        first = o // (outputs // groups) * inputs
        for i in range(height):
            for j in range(width):
                rows = i * stride[0] + dilation[0] * np.arange(window[0])
                columns = j * stride[1] + dilation[1] * np.arange(window[1])
                patch = x[:, first : first + inputs][:, :, rows[:, None], columns]
                out[:, o, i, j] = (patch * weight[o]).sum(axis=(1, 2, 3))
    if bias is not None:
        out += bias.reshape(-1, 1, 1)
    return np.maximum(out, 0) if activation == "relu" else out


def _check(name: str, x: Array, weight: Array, groups: int) -> None:
    if x.ndim != 4:
        raise ValueError(
            f"{name}: expected an input of shape (n, channels, height, width), got {x.shape}. "
            "One image needs a batch of its own: x.unsqueeze(0)."
        )
    if weight.ndim != 4:
        raise ValueError(f"{name}: expected a weight of four dimensions, got {weight.shape}")
    if groups < 1 or len(weight) % groups:
        raise ValueError(
            f"{name}: expected groups that divide the {len(weight)} output channels, got {groups}"
        )
    if x.shape[1] != weight.shape[1] * groups:
        raise ValueError(
            f"{name}: expected an input of {weight.shape[1] * groups} channels (weight {weight.shape}, "
            f"groups {groups}), got {x.shape[1]} (input {x.shape})"
        )


def _check_window(
    name: str, size: tuple[int, ...], window: tuple[int, ...], padding: Sides, dilation: Pair
) -> None:
    for length, k, sides, d, axis in zip(size, window, padding, dilation, ("height", "width"), strict=True):
        if k < 1 or d * (k - 1) + 1 > length + sum(sides):
            raise ValueError(
                f"{name}: expected a window of 1 to {length + sum(sides)} along the {axis}, {length} with "
                f"padding {sides}, got {k}"
                + (f" spread to {d * (k - 1) + 1} by dilation {d}" if d > 1 else "")
            )


def _flops(taps: int, out: Array) -> float:
    return 2.0 * out.size * taps


def _conv_samples(s: Any) -> list[Sample]:
    cases = [_arguments(s, case) for case in _geometries()]
    x, weight, params = cases[0]
    return [
        *(Sample(x, w, s(len(w)) if i % 2 == 0 else None, **p) for i, (x, w, p) in enumerate(cases)),
        Sample(x, weight, s(4) + np.array(40.0), **params, activation="relu"),
        Sample(x, weight, s(4), **params, activation="relu", smooth=False),
    ]


def _oracle(t: Any, x: Any, w: Any, b: Any, activation: str | None = None, **params: Any) -> Any:
    (above, below), (left, right) = params.pop("padding", _NONE)
    y = t.nn.functional.conv2d(t.nn.functional.pad(x, (left, right, above, below)), w, b, **params)
    return t.relu(y) if activation else y


@op(
    name="conv2d",
    saves=("output", 0, 1),
    output_if="activation",
    cost=lambda x, w, b, *, out, activation=None, **_: (
        _flops(w[0].size, out) + out.size * ((b is not None) + (activation is not None))
    ),
    samples=_conv_samples,
    refuses=lambda s: [
        Refusal(
            (s(3, 4, 4), s(2, 3, 3, 3), None), {}, ValueError,
            r"conv2d: expected an input of shape \(n, channels, height, width\), got \(3, 4, 4\)",
        ),
        Refusal(
            (s(1, 3, 4, 4), s(2, 4, 3, 3), None), {}, ValueError,
            r"conv2d: expected an input of 4 channels .* got 3",
        ),
        Refusal(
            (s(1, 4, 4, 4), s(3, 2, 3, 3), None), {"groups": 2}, ValueError,
            r"conv2d: expected groups that divide the 3 output channels, got 2",
        ),
        Refusal(
            (s(1, 3, 4, 4), s(2, 3, 5, 3), None), {}, ValueError,
            r"conv2d: expected a window of 1 to 4 along the height.* got 5",
        ),
        Refusal(
            (s(1, 3, 4, 4), s(2, 3, 3, 3), s(3)), {}, ValueError,
            r"conv2d: expected a bias of shape \(2,\), got \(3,\)",
        ),
    ],
    reference=naive_conv2d,
    oracle=_oracle,
)  # fmt: skip
def correlate2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    /,
    stride: Pair = (1, 1),
    padding: Sides = _NONE,
    dilation: Pair = (1, 1),
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    """`activation(x * weight + bias)`: (n, in, h, w) and (out, in / groups, kh, kw) -> (n, out, h', w')."""
    _check("conv2d", x, weight, groups)
    _check_window("conv2d", x.shape[2:], weight.shape[2:], padding, dilation)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"conv2d: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    x, weight = promote(x, weight)
    if bias is not None and bias.dtype != weight.dtype:
        bias = bias.astype(weight.dtype)
    return kernels.conv2d(x, weight, bias, stride, padding, dilation, groups, activation)


@correlate2d.gradient
def _(ctx: Node, g: Any) -> Any:
    x, weight = ctx[0], ctx[1]
    params = dict(ctx.params)
    if params.pop("activation", None) == "relu":
        g = relu_grad(g, ctx.output)
    needs_x, needs_weight, needs_bias = ctx.needs
    return (
        conv2d_grad_input(g, weight, size=x.shape[2:], **params) if needs_x else None,
        conv2d_grad_weight(g, x, window=weight.shape[2:], **params) if needs_weight else None,
        g.sum((2, 3)).sum(0) if needs_bias else None,
    )


def _naive_grad_input(g: Array, weight: Array, size: Pair, **params: Any) -> Array:
    """What every pixel of an image does to the result, times g."""
    shape = (len(g), weight.shape[1] * params.get("groups", 1), *size)
    out = np.zeros(shape, g.dtype)
    for place in np.ndindex(*shape[1:]):
        one = np.zeros((1, *shape[1:]), g.dtype)
        one[(0, *place)] = 1
        out[(slice(None), *place)] = (g * naive_conv2d(one, weight, None, **params)).sum(axis=(1, 2, 3))
    return out


@op(
    saves=(0, 1),
    cost=lambda g, w, *, out, **_: _flops(w[0].size, g),
    samples=lambda s: [
        Sample(_result(s, x, w, p), w, size=x.shape[2:], **p)
        for x, w, p in (_arguments(s, case) for case in _geometries())
    ],
    reference=_naive_grad_input,
)
def conv2d_grad_input(
    g: Array,
    weight: Array,
    /,
    size: Pair,
    stride: Pair = (1, 1),
    padding: Sides = _NONE,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The gradient of `conv2d` to an input of height and width `size`; also a transposed convolution of g."""
    return kernels.conv2d_grad_input(*promote(g, weight), size, stride, padding, dilation, groups)


@conv2d_grad_input.gradient
def _(ctx: Node, h: Any) -> Any:
    g, weight = ctx[0], ctx[1]
    params = {name: value for name, value in ctx.params.items() if name != "size"}
    return (
        correlate2d(h, weight, None, **params) if ctx.needs[0] else None,
        conv2d_grad_weight(g, h, window=weight.shape[2:], **params) if ctx.needs[1] else None,
    )


def _naive_grad_weight(g: Array, x: Array, window: Pair, **params: Any) -> Array:
    groups = params.get("groups", 1)
    shape = (g.shape[1], x.shape[1] // groups, *window)
    out = np.zeros(shape, g.dtype)
    for place in np.ndindex(*shape):
        one = np.zeros(shape, g.dtype)
        one[place] = 1
        out[place] = (g * naive_conv2d(x, one, None, **params)).sum()
    return out


@op(
    saves=(0, 1),
    cost=lambda g, x, *, out, **_: _flops(out[0].size, g),
    samples=lambda s: [
        Sample(_result(s, x, w, p), x, window=w.shape[2:], **p)
        for x, w, p in (_arguments(s, case) for case in _geometries())
    ],
    reference=_naive_grad_weight,
)
def conv2d_grad_weight(
    g: Array,
    x: Array,
    /,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Sides = _NONE,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The gradient of `conv2d` to a weight (out, in / groups, *window)."""
    g, x = promote(g, x)
    return kernel_grad_weight(x, g, window, stride, padding, dilation, groups)


@conv2d_grad_weight.gradient
def _(ctx: Node, h: Any) -> Any:
    g, x = ctx[0], ctx[1]
    params = {name: value for name, value in ctx.params.items() if name != "window"}
    return (
        correlate2d(x, h, None, **params) if ctx.needs[0] else None,
        conv2d_grad_input(g, h, size=x.shape[2:], **params) if ctx.needs[1] else None,
    )


def pair(name: str, what: str, value: Any, least: int = 1) -> Pair:
    """One number for both axes, or two."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or any(
        isinstance(v, bool) or not hasattr(v, "__index__") or v < least for v in values
    ):
        raise ValueError(
            f"{name}: expected {what} to be a whole number from {least} up, or two, got {value!r}"
        )
    return int(values[0]), int(values[1])


def sides(name: str, padding: Any, window: tuple[int, ...], stride: Pair, dilation: Pair) -> Sides:
    """Padding above and below, left and right, from a number, a pair, "valid" or "same"."""
    if not isinstance(padding, str):
        down, across = pair(name, "padding", padding, 0)
        return (down, down), (across, across)
    if padding == "valid":
        return _NONE
    if padding != "same":
        raise ValueError(f"{name}: expected padding to be numbers, 'valid' or 'same', got {padding!r}")
    if stride != (1, 1):
        raise ValueError(f"{name}: expected stride 1 with padding='same', got {stride}")
    spread = [d * (k - 1) for k, d in zip(window, dilation, strict=True)]
    return (spread[0] // 2, spread[0] - spread[0] // 2), (spread[1] // 2, spread[1] - spread[1] // 2)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Slide windows over images: out[n, o, i, j] = bias[o] + sum over c, a, b of
    weight[o, c, a, b] * input[n, c, i * stride + a * dilation - padding, ...].

    input (n, in, h, w), weight (out, in / groups, kh, kw), bias (out,) -> (n, out, h', w') with
    h' = (h + 2 padding - dilation (kh - 1) - 1) // stride + 1.  padding: numbers, "valid" or "same".
    Raises ValueError for channels that do not fit and windows larger than the padded image.
    Cost 2 n out h' w' in / groups kh kw FLOP; no matrix of columns is made.

    >>> import tinytorch as tt
    >>> tt.conv2d(tt.ones(1, 1, 3, 3), tt.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    inputs = as_tensors(correlate2d, (input, weight, bias))
    stride, dilation = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    around = sides("conv2d", padding, inputs[1].shape[2:], stride, dilation)
    return correlate2d(*inputs, stride=stride, padding=around, dilation=dilation, groups=groups)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` of signals: input (n, in, length), weight (out, in / groups, k) -> (n, out, length').

    >>> import tinytorch as tt
    >>> tt.conv1d(tt.tensor([[[1.0, 2.0, 4.0]]]), tt.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    x, weight, bias = as_tensors(correlate2d, (input, weight, bias))
    if x.ndim != 3 or weight.ndim != 3:
        raise ValueError(
            "conv1d: expected an input (n, channels, length) and a weight of three dimensions, got "
            f"{x.shape} and {weight.shape}"
        )
    one = {}
    for name, value in (("stride", stride), ("dilation", dilation), ("padding", padding)):
        neutral = 0 if name == "padding" else 1
        value = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
        one[name] = value if isinstance(value, str) else (neutral, value)
    return squeeze(conv2d(unsqueeze(x, 2), unsqueeze(weight, 2), bias, groups=groups, **one), 2)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of `conv2d` to its input, as a layer.

    input (n, in, h, w), weight (in, out / groups, kh, kw).  The result (n, out, h', w') has
    h' = (h - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.

    >>> import tinytorch as tt
    >>> tt.conv_transpose2d(tt.ones(1, 1, 1, 2), tt.ones(1, 1, 1, 2), stride=2)
    tensor([[[[1., 1., 1., 1.]]]])
    """
    name = "conv_transpose2d"
    x, weight, bias = as_tensors(correlate2d, (input, weight, bias))
    stride, dilation = pair(name, "stride", stride), pair(name, "dilation", dilation)
    around, more = pair(name, "padding", padding, 0), pair(name, "output_padding", output_padding, 0)
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != len(weight) or groups < 1 or len(weight) % groups:
        raise ValueError(
            f"{name}: expected an input (n, in, h, w) and a weight (in, out / groups, kh, kw) with groups "
            f"that divide in, got {x.shape}, {weight.shape} and groups {groups}"
        )
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding below stride or dilation, {stride} and {dilation}, got {more}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(
            x.shape[2:], stride, around, dilation, weight.shape[2:], more, strict=True
        )
    )
    if min(size) < 1:
        raise ValueError(f"{name}: expected a result of at least one pixel, got {size} for input {x.shape}")
    padded = tuple((p, p) for p in around)
    out = conv2d_grad_input(
        x, weight, size=size, stride=stride, padding=padded, dilation=dilation, groups=groups
    )
    return out if bias is None else out + bias.reshape((-1, 1, 1))
