"""Activations that stay uint8 from one layer to the next, and the layers that only hand them on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels import int8_conv, quantize
from tinytorch.nn import AdaptiveMaxPool2d, Flatten, MaxPool2d
from tinytorch.ops.conv import pair
from tinytorch.systems.quantization._layers import Scale
from tinytorch.tensor import Tensor

Pair = tuple[int, int]
Image = tuple[int, int, int, int]  # channels, height, width, and channels as they are stored


class Codes(Tensor):
    """A tensor whose numbers are `(codes - scale.zero) · scale.scale`, computed when somebody reads them.

    Quantised layers hand it to each other; whoever else gets it sees an ordinary float32 tensor.

    codes: uint8. (..., k) rows; or with `channels` given images (n, h, w, c), the channels last and filled up
    to a multiple of four, with borders of `padding` pixels that hold the zero point.
    image: of rows that are flattened images, how these lay in memory.
    """

    def __init__(
        self, codes: np.ndarray, scale: Scale, channels: int | None = None, padding: Pair = (0, 0),
        image: Image | None = None,
    ):  # fmt: skip
        self.codes, self.scale = codes, scale
        self.channels, self.padding, self.image = channels, padding, image
        self._floats: np.ndarray | None = None

    @property
    def _data(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._floats is None:
            self._floats = self._dequantized()
        return self._floats

    @_data.setter
    def _data(self, value: np.ndarray) -> None:
        raise TypeError("Codes: the result of a quantised layer cannot be changed in place. Use .clone().")

    def _dequantized(self) -> np.ndarray:
        if self.channels is not None:
            return int8_conv.from_nhwc(
                self.without_border(), self.channels, self.scale.factor, self.scale.code
            )
        codes = self.codes
        if self.image is not None:
            c, h, w, stored = self.image
            images = codes.reshape(-1, h, w, stored)[..., :c].transpose(0, 3, 1, 2)
            codes = np.ascontiguousarray(images).reshape(len(codes), c * h * w)
        return quantize.dequantize(codes, self.scale.factor, self.scale.code)

    @property
    def shape(self) -> tuple[int, ...]:
        """As a float32 tensor has it: (n, channels, h, w) of images, without borders."""
        if self.channels is not None:
            n, h, w, _ = self.codes.shape
            return n, self.channels, h - 2 * self.padding[0], w - 2 * self.padding[1]
        if self.image is not None:
            c, h, w, _ = self.image
            return len(self.codes), c * h * w
        return self.codes.shape

    @property
    def dtype(self) -> np.dtype:
        """float32, which they stand for."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """The number of dimensions of `shape`."""
        return len(self.shape)

    def without_border(self) -> np.ndarray:
        """The codes of images (n, h, w, c) without their padding."""
        down, across = self.padding
        if not (down or across):
            return self.codes
        _, h, w, _ = self.codes.shape
        return np.ascontiguousarray(self.codes[:, down : h - down, across : w - across])

    def with_border(self, padding: Pair) -> np.ndarray:
        """The codes of images (n, h, w, c) with so much padding."""
        if padding == self.padding:
            return self.codes
        down, across = padding
        borders = ((0, 0), (down, down), (across, across), (0, 0))
        return np.pad(self.without_border(), borders, constant_values=self.scale.code)


def result(array: np.ndarray, given: Any) -> Tensor:
    """A tensor around `array`, which remembers where a graph that led to `given` ended."""
    out = new_tensor(array)
    if given.requires_grad and modes.grad:
        out._cut = "a quantised layer, which has no gradient,", given._name()
    elif given._cut is not None:
        out._cut = given._cut
    return out


class QuantizedFlatten(Flatten):
    """`Flatten(1, -1)` that takes codes too: images stay as they lie, and the `Linear` behind has its weights
    in that order."""

    def forward(self, input: Any) -> Any:
        """(n, ...) -> (n, product)."""
        if type(input) is not Codes:
            array = input._data
            if input.requires_grad or array.ndim < 2 or not array.size:
                return super().forward(input)
            return result(array.reshape(len(array), -1), input)
        if input.channels is None:
            rows, image = input.codes.reshape(len(input.codes), -1), input.image
        else:
            images = input.without_border()
            n, h, w, stored = images.shape
            rows, image = images.reshape(n, h * w * stored), (input.channels, h, w, stored)
        return Codes(rows, input.scale, image=image)


def joins_all(layer: Flatten) -> bool:
    """Whether it joins all dimensions but the first."""
    return layer.start_dim == 1 and layer.end_dim == -1


class QuantizedMaxPool2d(MaxPool2d):
    """`MaxPool2d` that takes codes too: the largest number has the largest code.

    out_padding: of the convolution behind it.
    """

    out_padding: Pair = (0, 0)

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, h', w')."""
        if type(input) is not Codes or input.channels is None or not pools_codes(self):
            return super().forward(input)
        window, stride = (pair("MaxPool2d", "kernel_size", x) for x in (self.kernel_size, self.stride))
        return _pooled(input, window, stride, self.out_padding)


def pools_codes(layer: MaxPool2d) -> bool:
    """Whether its windows lie inside the image and their maxima are all that is asked for."""
    plain = pair("MaxPool2d", "padding", layer.padding, 0) == (0, 0) and not layer.ceil_mode
    return plain and pair("MaxPool2d", "dilation", layer.dilation) == (1, 1) and not layer.return_indices


class QuantizedGlobalMaxPool2d(AdaptiveMaxPool2d):
    """`AdaptiveMaxPool2d(1)` that takes codes too."""

    out_padding: Pair = (0, 0)

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, 1, 1)."""
        if type(input) is not Codes or input.channels is None:
            return super().forward(input)
        return _pooled(input, input.shape[2:], (1, 1), self.out_padding)


def _pooled(x: Codes, window: Any, stride: Any, padding: Pair) -> Codes:
    pooled = int8_conv.int8_max_pool2d(x.without_border(), window, stride, padding, x.scale.code)
    return Codes(pooled, x.scale, x.channels, padding)
