"""What quantised layers share: int8 codes with their scales, the scale of their input, and packed weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinytorch.nn import Module
from tinytorch.systems.quantization._scheme import QParams
from tinytorch.tensor import Tensor


class Scale(NamedTuple):
    """Scale and zero point of activations: as vectors of one number, and as numbers."""

    scale: np.ndarray
    zero: np.ndarray
    factor: float
    code: int


class _Plan(NamedTuple):
    """What a layer computes with, made from its buffers; `stamp` says of which version of them."""

    given: Scale | None
    to: Scale | None
    scale: np.ndarray
    bias: np.ndarray | None
    packed: dict[Any, Any]
    counters: tuple[list[int], ...]
    stamp: int


class QuantizedLayer(Module):
    """Buffers: `codes` (int8, in the shape of the float layer's weight), `scale` (float32, for each output
    or for all), `bias` (float32 or None), and `activation` (float32: scale and zero point of the input),
    which is None where each row of the input gets its own.

    relu: cut the result off at zero, in the kernel.

    There is no `weight`: what would read the codes as if they were weights fails.  `dequantized()` has them.
    """

    codes: Tensor
    scale: Tensor
    bias: Tensor | None
    activation: Tensor | None
    _made: _Plan | None = None

    def __init__(
        self, codes: np.ndarray, scale: np.ndarray, bias: Any = None, activation: QParams | None = None,
        relu: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.relu = relu
        self._behind: tuple[QuantizedLayer, ...] = ()  # in a tuple: it is no part of this module
        if codes.dtype != np.int8:
            raise TypeError(f"{type(self).__name__}: expected int8 codes, got {codes.dtype}")
        self.register_buffer("codes", Tensor(codes))
        self.register_buffer("scale", Tensor(np.asarray(scale, np.float32)))
        self.register_buffer("bias", None if bias is None else Tensor(np.array(bias, np.float32)))
        both = None
        if activation is not None:
            if activation.dtype != np.uint8 or activation.axis is not None:
                raise ValueError(
                    f"{type(self).__name__}: expected one uint8 scale for all activations, got "
                    f"{activation.dtype} along axis {activation.axis}"
                )
            both = Tensor(np.array([activation.scale[0], activation.zero[0]], np.float32))
        self.register_buffer("activation", both)

    def hand_codes_to(self, layer: QuantizedLayer | None) -> None:
        """Write results as codes with the input scale of `layer`, which takes them; None: as float32."""
        self._behind = () if layer is None else (layer,)

    def dequantized(self) -> np.ndarray:
        """The weights that the codes stand for, float32, of their shape."""
        scale = self.scale._data.reshape(-1, *(1,) * (self.codes.ndim - 1))
        return self.codes._data.astype(np.float32) * scale

    def _plan(self) -> _Plan:
        """Scales as numbers, and a place for packed weights; made anew when a buffer has changed, as by
        loading."""
        plan = self._made
        if plan is None or plan.stamp != sum([counter[0] for counter in plan.counters]):
            plan = self._make_plan()
            object.__setattr__(self, "_made", plan)
        return plan

    def _make_plan(self) -> _Plan:
        behind = self._behind[0].activation if self._behind else None
        counters = []
        for tensor in (self.codes, self.scale, self.bias, self.activation, behind):
            if tensor is not None:
                tensor._counter = tensor._counter or [0, 0]
                counters.append(tensor._counter)
        return _Plan(
            _numbers(self.activation), _numbers(behind), self.scale._data,
            None if self.bias is None else self.bias._data, {}, tuple(counters), sum(c[0] for c in counters),
        )  # fmt: skip

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__.pop("_made", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"}

    def _scheme(self) -> str:
        weights = "per channel" if self.scale._data.size > 1 else "per tensor"
        given = _numbers(self.activation)
        activations = "per row" if given is None else f"scale {given.factor:.3g} zero {given.code}"
        relu = ", relu=True" if self.relu else ""
        return f"int8 {weights}, input {activations}, output {'uint8' if self._behind else 'float32'}{relu}"


def _numbers(activation: Tensor | None) -> Scale | None:
    if activation is None:
        return None
    scale, zero = activation._data
    return Scale(np.array([scale], np.float32), np.array([zero], np.int32), float(scale), round(float(zero)))
