"""bfloat16 as a way to store: half the bytes of float32, expanded when used, computed in float32.

A bfloat16 is the upper half of a float32: the same exponent, 8 bits of precision instead of 24. NumPy has no
such dtype, so arrays of them are uint16, and expanding is a shift. Whether that pays is measured by
`bfloat16_study`: bytes are halved, time is lost where weights are expanded before a product reads them.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.memory import empty
from tinytorch.nn import Conv2d, Embedding, Linear, Module
from tinytorch.systems.benchmarking.files import file_bytes
from tinytorch.systems.benchmarking.latency import measure_together, speedup
from tinytorch.systems.inference.sweeps import evaluating
from tinytorch.tensor import Tensor


def to_bfloat16(array: np.ndarray) -> np.ndarray:
    """float32 -> bfloat16 as uint16, of the same shape: to the nearest, ties to the even one.

    What is beyond the largest bfloat16 (3.39e38) becomes infinity; a NaN stays one. Other floats go through
    float32. Raises TypeError for anything else.

    >>> from_bfloat16(to_bfloat16(np.array([1.0, 1.00390625, 1.01171875], np.float32))).tolist()
    [1.0, 1.0, 1.015625]
    """
    if array.dtype.kind != "f":
        raise TypeError(f"to_bfloat16: expected floating point numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, np.float32)
    bits = values.view(np.uint32)
    halves = ((bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16).astype(np.uint16)
    # The carry of a NaN's bits could make it an infinity or a zero: cut it off instead, and keep it quiet.
    np.copyto(halves, (bits >> 16).astype(np.uint16) | np.uint16(0x40), where=np.isnan(values))
    return halves.reshape(array.shape)


def from_bfloat16(halves: np.ndarray) -> np.ndarray:
    """bfloat16 as uint16 -> float32 of the same shape, exactly. Raises TypeError for another dtype."""
    if halves.dtype != np.uint16:
        raise TypeError(f"from_bfloat16: expected uint16, as to_bfloat16 makes them, got {halves.dtype}")
    wide = empty(halves.shape, np.dtype(np.float32))
    np.left_shift(halves, 16, out=wide.view(np.uint32), dtype=np.uint32)
    return wide


def save_bfloat16(tensors: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a safetensors file in which every float tensor is BF16, and the others are as they are.

    tensors: names and tensors or arrays, as a `state_dict()`. `tinytorch.load` and every other reader of
    safetensors know the format; it is written by hand because safetensors' NumPy API has no bfloat16.
    """
    header, parts, end = {}, [], 0
    for name, tensor in tensors.items():
        array = tensor._data if isinstance(tensor, Tensor) else np.asarray(tensor)
        stored = to_bfloat16(array) if array.dtype.kind == "f" else array
        little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
        parts.append(np.ascontiguousarray(little).tobytes())
        begin, end = end, end + len(parts[-1])
        header[name] = {"dtype": _kind(array.dtype), "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def _kind(dtype: np.dtype) -> str:
    """What a safetensors header calls it."""
    if dtype.kind == "b":
        return "BOOL"
    return "BF16" if dtype.kind == "f" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"


class _Stored(Module):
    """A layer whose weight is a buffer of bfloat16s, and is float32 only while it is used."""

    weight_bf16: Tensor
    bias: Tensor | None

    def __init__(self, layer: Module):
        super().__init__()
        own: Any = layer
        self.layer_repr = own.extra_repr()
        self.register_buffer("weight_bf16", Tensor(to_bfloat16(own.weight._data)))

    @property
    def weight(self) -> Tensor:
        """The weight in float32, expanded now."""
        return Tensor(from_bfloat16(self.weight_bf16._data))

    def extra_repr(self) -> str:
        """The settings of the layer that it stands for."""
        return self.layer_repr


class Bfloat16Linear(_Stored):
    """`Linear` with its weight in bfloat16: x (..., in) -> (..., out). The bias stays float32.

    Cost: that of `Linear`, and 6 bytes read and written for each weight.

    >>> import tinytorch as tt
    >>> layer = Bfloat16Linear(tt.nn.Linear(4, 2))
    >>> layer.weight_bf16.dtype, layer(tt.zeros(3, 4)).shape
    (dtype('uint16'), (3, 2))
    """

    def __init__(self, layer: Linear):
        super().__init__(layer)
        self.register_buffer("bias", None if layer.bias is None else Tensor(layer.bias._data))

    def forward(self, input: Any) -> Any:
        """(..., in) -> (..., out)."""
        return ops.linear(input, self.weight, self.bias)


class Bfloat16Conv2d(_Stored):
    """`Conv2d` with its weight in bfloat16: (n, in, h, w) -> (n, out, h', w'). The bias stays float32."""

    def __init__(self, layer: Conv2d):
        super().__init__(layer)
        self.register_buffer("bias", None if layer.bias is None else Tensor(layer.bias._data))
        self.settings = layer.stride, layer.padding, layer.dilation, layer.groups

    def forward(self, input: Any) -> Any:
        """(n, in, h, w) -> (n, out, h', w')."""
        return ops.conv2d(input, self.weight, self.bias, *self.settings)


class Bfloat16Embedding(_Stored):
    """`Embedding` with its table in bfloat16: indices (...) -> (..., width). Only rows asked for expand."""

    def forward(self, input: Any) -> Any:
        """(...) -> (..., width)."""
        indices = input._data if isinstance(input, Tensor) else np.asarray(input)
        table = self.weight_bf16._data
        if indices.size and not (indices.min() >= 0 and indices.max() < len(table)):
            raise IndexError(
                f"Bfloat16Embedding: expected indices from 0 to {len(table) - 1}, got {indices.min()} to "
                f"{indices.max()}"
            )
        return Tensor(from_bfloat16(table[indices]))

    def as_output(self, hidden: Any) -> Any:
        """(..., width) -> scores of all rows: the table as the output layer of a language model."""
        return ops.linear(hidden, self.weight, None)


_STORED: dict[type, Callable[[Any], Module]] = {
    Linear: Bfloat16Linear,
    Conv2d: Bfloat16Conv2d,
    Embedding: Bfloat16Embedding,
}


def store_bfloat16(model: Module) -> Module:
    """A copy of `model` for inference, in which linear, convolutional and embedding layers keep bfloat16s.

    Norms and biases stay float32: they are a percent of the bytes. Raises ValueError where there is nothing
    to replace, and TypeError for something that is no module.
    """
    if not isinstance(model, Module):
        raise TypeError(f"store_bfloat16: expected a module, got {type(model).__name__}")
    own = copy.deepcopy(model).eval()
    if type(own) in _STORED:
        return _STORED[type(own)](own)
    made: dict[int, Module] = {}
    for module in list(own.modules()):
        for name, child in list(vars(module).items()):
            if type(child) in _STORED:
                made[id(child)] = made.get(id(child)) or _STORED[type(child)](child)
                setattr(module, name, made[id(child)])
    if not made:
        raise ValueError(
            "store_bfloat16: expected a model with Linear, Conv2d or Embedding layers, got "
            f"{type(model).__name__} without"
        )
    return own.eval()


def bfloat16_study(
    model: Module, evaluate: Callable[[Module], float], batch: Any, *, seconds: float = 2.0
) -> dict[str, Any]:
    """What bfloat16 storage costs and brings on this machine, side by side with float32.

    evaluate: the quality of a model. batch: what a timed call is given.

    Returns bytes, quality and seconds (`Latency`) of "float32" and "bfloat16"; "speedup", above 1 where
    bfloat16 is faster, with its interval; "file_bytes" of a safetensors file with BF16; "smaller" (how many
    times), and "pays_in_time": whether the whole interval of the speedup is above 1.
    """
    stored = store_bfloat16(model)
    x = batch if isinstance(batch, Tensor) else Tensor(np.asarray(batch))
    with evaluating(model, stored):
        qualities = float(evaluate(model)), float(evaluate(stored))
        times = measure_together(
            {"float32": lambda: model(x), "bfloat16": lambda: stored(x)}, seconds=seconds, batch=len(x)
        )
    ratio, interval = speedup(times["float32"], times["bfloat16"])
    sizes = file_bytes(model), file_bytes(stored)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_bfloat16(model.state_dict(), path)
        on_disk = path.stat().st_size
    return {
        "float32": {"bytes": sizes[0], "quality": qualities[0], "latency": times["float32"]},
        "bfloat16": {"bytes": sizes[1], "quality": qualities[1], "latency": times["bfloat16"]},
        "file_bytes": on_disk,
        "smaller": sizes[0] / sizes[1],
        "speedup": ratio,
        "speedup_ci95": interval,
        "pays_in_time": interval[0] > 1,
    }
