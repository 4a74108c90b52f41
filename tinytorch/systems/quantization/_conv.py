"""`QuantizedConv2d`: a convolution of uint8 images, channels last, with int8 weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.kernels import int8_conv
from tinytorch.nn import Conv2d
from tinytorch.ops.conv import pair, sides
from tinytorch.systems.quantization._codes import Codes, Pair, result
from tinytorch.systems.quantization._layers import QuantizedLayer
from tinytorch.systems.quantization._scheme import QParams, weight_qparams


class QuantizedConv2d(QuantizedLayer):
    """`Conv2d`, then ReLU where `relu` is set, on codes with int32 sums.

    Shapes: x (n, in, h, w) -> (n, out, h', w'); codes (out, in, kh, kw). x is float32, and is quantised and
    turned to channels last here; or codes of a layer before this one. Returns float32, or codes where
    `hand_codes_to` says who takes them, with a border of `out_padding` pixels for a convolution behind.

    Raises ValueError for an input of another number of channels, or smaller than the window.
    Cost: 2 · out · h' · w' · in · kh · kw integer operations an image.
    """

    out_padding: Pair = (0, 0)

    def __init__(self, *arguments: Any, stride: Pair, padding: Pair, dilation: Pair, **more: Any):
        super().__init__(*arguments, **more)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    @classmethod
    def from_float(
        cls, layer: Conv2d, activation: QParams, per_channel: bool = True, relu: bool = False
    ) -> QuantizedConv2d:
        """The codes of a `Conv2d`, which stays as it is. Raises ValueError where `obstacle` finds one."""
        why = obstacle(layer)
        if why is not None:
            raise ValueError(f"QuantizedConv2d: {why}")
        weight = layer.weight._data
        p = weight_qparams(weight, per_channel)
        return cls(
            p.quantize(weight), p.scale, None if layer.bias is None else layer.bias._data, activation, relu,
            stride=_stride(layer), padding=numeric_padding(layer), dilation=_dilation(layer),
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        """(n, in, h, w) -> (n, out, h', w')."""
        self._check(input.shape)
        plan = self._plan()
        if type(input) is Codes and input.channels is not None:
            images, given = input.with_border(self.padding), input.scale
        else:
            given = plan.given
            assert given is not None
            floats = input._data.astype(np.float32, copy=False)
            images = int8_conv.to_nhwc(floats, given.factor, given.code, self.padding)
        packed = plan.packed.get(None)
        if packed is None:
            packed = plan.packed[None] = int8_conv.pack_conv_weight(self.codes._data)
        to = plan.to
        factor, code = (None, None) if to is None else (to.factor, to.code)
        out = int8_conv.int8_conv2d(
            images, given.scale, given.zero, packed, plan.scale, plan.bias, self.stride, self.dilation,
            self.relu, factor, code, self.out_padding,
        )  # fmt: skip
        if to is None:
            return result(out, input)
        return Codes(out, to, len(self.codes._data), self.out_padding)

    def _check(self, shape: tuple[int, ...]) -> None:
        channels, *window = self.codes._data.shape[1:]
        if len(shape) != 4 or shape[1] != channels:
            raise ValueError(
                f"QuantizedConv2d: expected an input (n, {channels}, h, w), got one of shape {shape}"
            )
        for size, k, pad, spread in zip(shape[2:], window, self.padding, self.dilation, strict=True):
            if size + 2 * pad < spread * (k - 1) + 1:
                raise ValueError(
                    f"QuantizedConv2d: expected images at least as large as the window {tuple(window)} "
                    f"(dilation {self.dilation}, padding {self.padding}), got {shape}"
                )

    def extra_repr(self) -> str:
        """The sizes and the scheme."""
        out, channels, *window = self.codes._data.shape
        return (
            f"{channels}, {out}, kernel_size={tuple(window)}, stride={self.stride}, padding={self.padding}, "
            f"{self._scheme()}"
        )


def obstacle(layer: Conv2d) -> str | None:
    """Why a convolution cannot be done on codes; None where it can."""
    if layer.groups != 1:
        return f"int8 convolutions have one group, not {layer.groups}"
    around = sides("conv2d", layer.padding, layer.weight.shape[2:], _stride(layer), _dilation(layer))
    if any(before != behind for before, behind in around):
        return f"int8 convolutions pad both sides alike, not by {around}"
    return None


def _stride(layer: Conv2d) -> Pair:
    return pair("conv2d", "stride", layer.stride)


def _dilation(layer: Conv2d) -> Pair:
    return pair("conv2d", "dilation", layer.dilation)


def numeric_padding(layer: Conv2d) -> Pair:
    """Its padding above and left, in pixels."""
    around = sides("conv2d", layer.padding, layer.weight.shape[2:], _stride(layer), _dilation(layer))
    return around[0][0], around[1][0]
