"""`QuantizedLinear`: int8 weights, uint8 inputs, int32 sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.kernels import int8, quantize
from tinytorch.nn import Linear
from tinytorch.systems.quantization._codes import Codes, Image, result
from tinytorch.systems.quantization._layers import QuantizedLayer
from tinytorch.systems.quantization._scheme import QParams, weight_qparams


class QuantizedLinear(QuantizedLayer):
    """`y = (q_x - zero) @ codes^T · (scale_x · scale) + bias`, then ReLU where `relu` is set.

    Shapes: x (..., in) -> (..., out); codes (out, in). x is float32, and is quantised here: each row by its
    own range, or all by `activation`; or codes of a layer before this one, which are taken as they are.
    Returns float32, or codes where `hand_codes_to` says who takes them.

    Raises ValueError for an input of another width.
    Cost: 2 · in · out integer operations a row.

    >>> import tinytorch as tt
    >>> layer = tt.nn.Linear(64, 8)
    >>> x, small = tt.randn(5, 64), QuantizedLinear.from_float(layer)
    >>> (small(x) - layer(x)).abs().max().item() < 0.05, small.codes.dtype
    (True, dtype('int8'))
    """

    @classmethod
    def from_float(
        cls, layer: Linear, activation: QParams | None = None, per_channel: bool = True, relu: bool = False
    ) -> QuantizedLinear:
        """The codes of a `Linear`, which stays as it is."""
        bias = None if layer.bias is None else layer.bias._data
        return cls.from_arrays(layer.weight._data, bias, activation, per_channel, relu)

    @classmethod
    def from_arrays(
        cls, weight: np.ndarray, bias: np.ndarray | None, activation: QParams | None = None,
        per_channel: bool = True, relu: bool = False,
    ) -> QuantizedLinear:  # fmt: skip
        """The same of a weight (out, in) and a bias (out,) or None."""
        p = weight_qparams(weight, per_channel)
        return cls(p.quantize(weight), p.scale, bias, activation, relu)

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self.codes._data.shape[1]

    @property
    def out_features(self) -> int:
        """Width of the result."""
        return self.codes._data.shape[0]

    def forward(self, input: Any) -> Any:
        """x (..., in) -> (..., out)."""
        plan = self._plan()
        if type(input) is Codes and input.channels is None:
            rows, image, given = input.codes, input.image, input.scale
            scale, zero, leading = given.scale, given.zero, rows.shape[:-1]
        else:
            floats, image = input._data, None
            leading = floats.shape[:-1]
            if not floats.ndim or floats.shape[-1] != self.codes._data.shape[1]:
                self._refuse(floats.shape)
            if floats.ndim != 2 or floats.dtype != np.float32:
                floats = floats.astype(np.float32, copy=False).reshape(-1, floats.shape[-1])
            if plan.given is None:
                rows, scale, zero = quantize.quantize_rows(floats)
            else:
                scale, zero, factor, code = plan.given
                rows = quantize.quantize(floats, factor, code)
        packed = plan.packed.get(image)
        if packed is None:
            packed = plan.packed[image] = self._pack(image)
        if rows.ndim != 2:
            rows = rows.reshape(-1, rows.shape[-1])
        if rows.shape[1] != packed.k:
            self._refuse(input.shape)
        to = plan.to
        if to is None:
            out = int8.int8_linear(rows, scale, zero, packed, plan.scale, plan.bias, self.relu)
            return result(out if len(leading) == 1 else out.reshape(*leading, packed.n), input)
        out = int8.int8_linear(
            rows, scale, zero, packed, plan.scale, plan.bias, self.relu, to.factor, to.code
        )
        return Codes(out if len(leading) == 1 else out.reshape(*leading, packed.n), to)

    def _refuse(self, shape: tuple[int, ...]) -> None:
        raise ValueError(f"QuantizedLinear: expected an input with {self.in_features} features, got {shape}")

    def _pack(self, image: Image | None) -> Any:
        """The weights for the kernel, in the order of the input's numbers in memory."""
        codes = self.codes._data
        if image is not None:
            c, h, w, stored = image
            pixels = codes.reshape(-1, c, h, w).transpose(0, 2, 3, 1)
            codes = np.pad(pixels, ((0, 0),) * 3 + ((0, stored - c),)).reshape(len(codes), -1)
        return int8.pack_weight(np.ascontiguousarray(codes))

    def extra_repr(self) -> str:
        """The sizes and the scheme."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, {self._scheme()}"
