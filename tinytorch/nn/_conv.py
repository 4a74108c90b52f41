"""Convolution layers: `Conv1d`, `Conv2d`, `ConvTranspose2d`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.ops.conv import pair


class _Conv(Module):
    """What convolutions share: sizes, checked early, and a weight and bias that start as PyTorch's do."""

    weight: Parameter
    bias: Parameter | None
    _transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, window: tuple[int, ...], stride: Any, padding: Any,
        dilation: Any, groups: int, bias: bool, dtype: Any,
    ):  # fmt: skip
        name = type(self).__name__
        sizes = (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups))
        for what, size in sizes:
            if isinstance(size, bool) or not hasattr(size, "__index__") or size < 1:
                raise ValueError(f"{name}: expected {what} to be a whole number from 1 up, got {size!r}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: expected groups that divide {in_channels} and {out_channels} channels, got {groups}"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"{name}: expected padding to be numbers, 'valid' or 'same', got {padding!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.padding, self.dilation = window, stride, padding, dilation
        first, second = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        dtype = np.dtype(dtype)
        self.weight = Parameter(empty((first, second // groups, *window), dtype))
        self.bias = Parameter(empty((out_channels,), dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        shown = {"padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        for name, value in shown.items():
            plain = (
                value in ("valid",)
                if isinstance(value, str)
                else set(np.atleast_1d(value)) == {0 if name == "padding" else 1}
            )
            text += "" if plain else f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv2d(_Conv):
    """A bank of windows that slides over images; see `nn.functional.conv2d`.

    Shapes: x (n, in_channels, h, w) -> (n, out_channels, h', w') with
    h' = (h + 2 · padding - dilation · (kernel - 1) - 1) // stride + 1; weight (out_channels, in_channels /
    groups, *kernel_size); bias (out_channels,). Both start uniform in ±1/sqrt(fan-in), as in PyTorch.

    kernel_size, stride, padding, dilation: a number, or one for each axis; padding also "same" or "valid".
    groups: channels in as many parts that do not see each other; as many as channels: depthwise.

    Raises ValueError for sizes that make no sense, and in the call for other channels or small images.
    Cost: 2 · out · h' · w' · in / groups · kernel² FLOPs an image.
    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    >>> import tinytorch as tt
    >>> tt.nn.Conv2d(3, 8, 3, padding=1)(tt.zeros(2, 3, 32, 32)).shape
    (2, 8, 32, 32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: Any = np.float32,
    ):
        super().__init__(
            in_channels, out_channels, pair("Conv2d", "kernel_size", kernel_size),
            pair("Conv2d", "stride", stride),
            padding if isinstance(padding, str) else pair("Conv2d", "padding", padding, 0),
            pair("Conv2d", "dilation", dilation), groups, bias, dtype,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        """(n, in_channels, h, w) -> (n, out_channels, h', w')."""
        return ops.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """`Conv2d` of signals: x (n, in_channels, length) -> (n, out_channels, length').

    >>> import tinytorch as tt
    >>> tt.nn.Conv1d(2, 4, 3, padding="same")(tt.zeros(1, 2, 10)).shape
    (1, 4, 10)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: Any = np.float32,
    ):
        super().__init__(
            in_channels, out_channels, _single("kernel_size", kernel_size), _single("stride", stride),
            padding if isinstance(padding, str) else _single("padding", padding, 0),
            _single("dilation", dilation), groups, bias, dtype,
        )  # fmt: skip

    def forward(self, input: Any) -> Any:
        """(n, in_channels, length) -> (n, out_channels, length')."""
        return ops.conv1d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def _single(what: str, value: Any, least: int = 1) -> tuple[int]:
    (value,) = value if isinstance(value, (tuple, list)) and len(value) == 1 else (value,)
    return (pair("Conv1d", what, value, least)[0],)


class ConvTranspose2d(_Conv):
    """The gradient of a `Conv2d` to its input, as a layer: it makes images larger.

    Shapes: x (n, in_channels, h, w) -> (n, out_channels, h', w') with
    h' = (h - 1) · stride - 2 · padding + dilation · (kernel - 1) + output_padding + 1; weight (in_channels,
    out_channels / groups, *kernel_size).

    >>> import tinytorch as tt
    >>> tt.nn.ConvTranspose2d(4, 2, 2, stride=2)(tt.zeros(1, 4, 5, 5)).shape
    (1, 2, 10, 10)
    """

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        dtype: Any = np.float32,
    ):
        name = "ConvTranspose2d"
        super().__init__(
            in_channels, out_channels, pair(name, "kernel_size", kernel_size), pair(name, "stride", stride),
            pair(name, "padding", padding, 0), pair(name, "dilation", dilation), groups, bias, dtype,
        )  # fmt: skip
        self.output_padding = pair(name, "output_padding", output_padding, 0)

    def forward(self, input: Any) -> Any:
        """(n, in_channels, h, w) -> (n, out_channels, h', w')."""
        return ops.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups,
            self.dilation,
        )  # fmt: skip
