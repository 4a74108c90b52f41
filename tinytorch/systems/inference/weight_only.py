"""Weight-only quantisation: weights in 8 or 4 bits, everything else in float32, for models that generate.

With one row at a time a layer costs what reading its weights costs. Here they are a quarter or an eighth as
many bytes, on disk, in memory, and on the way to the processor. Activations are never rounded.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import observers
from tinytorch.kernels import weight_only as kernels
from tinytorch.kernels.maps import ready
from tinytorch.models import GPT
from tinytorch.nn import Embedding, Linear, Module, Parameter
from tinytorch.ops.common import check_indices
from tinytorch.tensor import Tensor

FEW = 16  # rows up to which codes are widened for each of them, rather than once into a matrix
_SHRUNK = np.linspace(0.7, 1, 13, dtype=np.float32)  # scales that are tried for 4 bits, of the largest


def quantize_weight_only(model: Module, bits: int = 8, group: int = 64) -> Any:
    """A copy of `model` whose linear layers keep their weights as integers of `bits` bits.

    bits: 8: one scale for each output, largest magnitude / 127. 4: one for each output and `group` inputs,
    that of 26 with the least squared error; codes from -8 to 7.
    group: inputs that share a scale, a multiple of 4; with 8 bits of no effect.

    Every `Linear` becomes a `WeightOnlyLinear`. In a `GPT` the table of tokens, which is its output layer
    too, and that of positions become `WeightOnlyEmbedding`, of 8 bits in any case. All other layers stay, but
    are frozen: the copy is for inference. The given model is untouched.

    To read one back from a file, quantise a model of the same shape and call `load_state_dict`.

    Raises ValueError for other bits or groups, for weights that are not finite, and for a model without
    linear layers; TypeError for weights that are not float32.
    Source: E. Frantar et al., "GPTQ", 2022, whose round-to-nearest baseline this is.

    >>> import tinytorch as tt
    >>> model = tt.nn.Sequential(tt.nn.Linear(64, 32), tt.nn.ReLU(), tt.nn.Linear(32, 10))
    >>> small = quantize_weight_only(model, bits=4, group=32)
    >>> small[0].codes.dtype, small[0].codes.data.nbytes, small(tt.ones(2, 64)).shape
    (dtype('uint8'), 1024, (2, 10))
    """
    if bits not in (8, 4):
        raise ValueError(f"quantize_weight_only: expected bits of 8 or 4, got {bits!r}")
    if isinstance(group, bool) or not isinstance(group, int) or group < 4 or group % 4:
        raise ValueError(f"quantize_weight_only: expected a group that is a multiple of 4, got {group!r}")
    if not any(type(module) is Linear for module in model.modules()):
        raise ValueError(
            f"quantize_weight_only: expected a model with nn.Linear layers, got {type(model).__name__} "
            "without any: there is nothing to quantise."
        )
    small = copy.deepcopy(model)
    made: dict[Module, Module] = {}  # a layer that is shared stays shared
    for name, layer in model.named_modules():
        if type(layer) is Linear:
            made[small.get_submodule(name)] = WeightOnlyLinear(layer, bits, group, name)
        elif type(layer) is Embedding and isinstance(model, GPT):
            made[small.get_submodule(name)] = WeightOnlyEmbedding(layer, name)
    if small in made:
        return made[small]
    for module in list(small.modules()):
        for name, child in list(module.__dict__.items()):
            if isinstance(child, Module) and child in made:
                module.add_module(name, made[child])
    return small.requires_grad_(False)


class _Panels(Module):
    """Weights (out_features, in_features) as codes and scales, in the layout of `kernels.weight_only`."""

    codes: Tensor
    scales: Tensor

    def __init__(self, weight: np.ndarray, bits: int, group: int, name: str):
        super().__init__()
        _check(name, weight)
        self.out_features, self.in_features = weight.shape
        inputs = -(-self.in_features // 4) * 4
        self.bits, self.group = bits, group if bits == 4 else max(4, inputs)
        codes, scales = _quantize(weight, bits, self.group)
        panels = kernels.in_panels(codes)
        by_panel = np.zeros((len(panels) * kernels.LANES, scales.shape[1]), np.float32)
        by_panel[: self.out_features] = scales
        by_panel = by_panel.reshape(len(panels), kernels.LANES, -1).transpose(0, 2, 1)
        self.register_buffer("codes", Tensor(kernels.pack_int4(panels) if bits == 4 else panels))
        self.register_buffer("scales", Tensor(np.ascontiguousarray(by_panel)))

    def panels(self) -> kernels.Weights:
        """Codes, scales, and how many inputs share a scale, as `kernels.weight_only` takes them."""
        scales = self.scales._data
        if scales.dtype != np.float32:
            raise TypeError(
                f"{type(self).__name__}: expected scales in float32, got {scales.dtype}. "
                "A model with weight-only quantisation computes in float32: call float() on it."
            )
        return ready(self.codes._data), ready(scales), self.group

    @property
    def weight(self) -> Tensor:
        """The weights that the codes stand for, float32 (out_features, in_features), computed anew."""
        return Tensor(kernels.dequantize(self.panels(), self.out_features, self.in_features))

    def product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x @ weight^T + bias."""
        rows = x._data
        recorded = modes.grad and (x.requires_grad or (bias is not None and bias.requires_grad))
        fits = rows.dtype == np.float32 and rows.ndim > 0 and rows.shape[-1] == self.in_features > 0
        if recorded or observers or not fits or rows.size > FEW * self.in_features:
            return ops.linear(x, self.weight, bias)
        out = kernels.rows_times_codes(
            rows.reshape(-1, self.in_features), self.panels(), self.out_features,
            None if bias is None else bias._data,
        )  # fmt: skip
        return Tensor(out.reshape(*rows.shape[:-1], self.out_features))

    def extra_repr(self) -> str:
        """The sizes, and how many bits and inputs a scale is for."""
        group = f", group={self.group}" if self.bits == 4 else ""
        return f"in_features={self.in_features}, out_features={self.out_features}, bits={self.bits}{group}"


class WeightOnlyLinear(_Panels):
    """`nn.Linear` with its weights in 8 or 4 bits: x (..., in_features) float32 -> (..., out_features).

    Up to `FEW` rows read the codes as they are. For more, and where gradients flow to the input, the weights
    are computed from them first, into a buffer of the pool: out · in multiplications, and once that much
    memory in float32.

    Buffers: codes and scales as `kernels.weight_only` describes them. Parameter: bias, or None.
    `weight` is the matrix that they stand for, as a tensor of its own.
    """

    bias: Parameter | None

    def __init__(self, linear: Linear, bits: int = 8, group: int = 64, name: str = ""):
        super().__init__(linear.weight._data, bits, group, name)
        bias = linear.bias
        self.bias = None if bias is None else Parameter(bias._data.copy(), requires_grad=False)
        self.training = linear.training

    def forward(self, input: Any) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        return self.product(input if isinstance(input, Tensor) else Tensor(input), self.bias)


class WeightOnlyEmbedding(_Panels):
    """A table of vectors in 8 bits, a scale for each: integers of any shape -> (*shape, embedding_dim).

    Raises IndexError for an index that is no row.
    """

    def __init__(self, embedding: Embedding, name: str = ""):
        super().__init__(embedding.weight._data, 8, 4, name)
        self.training = embedding.training

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The vectors (n, embedding_dim) of indices (n,), which are not checked."""
        panel, lane = np.divmod(indices, kernels.LANES)
        factors = self.scales._data[panel, 0, lane]
        return self.codes._data[panel, : self.in_features, lane] * factors[:, None]

    def as_output(self, hidden: Tensor) -> Tensor:
        """The output layer that shares the table: (..., embedding_dim) -> (..., num_embeddings)."""
        return self.product(hidden, None)

    def forward(self, input: Any) -> Tensor:
        """Integers of any shape -> (*shape, embedding_dim)."""
        indices = input._data if isinstance(input, Tensor) else np.asarray(input)
        check_indices("WeightOnlyEmbedding", indices, self.out_features)
        return Tensor(self.rows(indices.ravel()).reshape(*indices.shape, self.in_features))


def _check(name: str, weight: np.ndarray) -> None:
    where = f" of {name!r}" if name else ""
    if weight.dtype != np.float32:
        raise TypeError(
            f"quantize_weight_only: expected float32 weights{where}, got {weight.dtype}. Call model.float()."
        )
    if not np.isfinite(weight).all():
        raise ValueError(f"quantize_weight_only: the weights{where} are not finite: NaN or infinity in them")


def _quantize(weight: np.ndarray, bits: int, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 (n, k) and scales (n, groups) of a matrix (n, k)."""
    n, k = weight.shape
    groups = -(-k // group)
    padded = np.zeros((n, groups * group), np.float32)
    padded[:, :k] = weight
    parts = padded.reshape(n, groups, group)
    codes, scales = _nearest_int8(parts) if bits == 8 else _nearest_int4(parts)
    return codes.reshape(n, -1)[:, :k], scales


def _nearest_int8(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scales = np.abs(parts).max(2, initial=0) / np.float32(127)
    return _rounded(parts, scales, -127, 127), scales


def _nearest_int4(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scales with the least squared error: the largest number becomes a -8, or a 7, or somewhat less."""
    largest = np.take_along_axis(parts, np.abs(parts).argmax(2)[:, :, None], 2)[:, :, 0]
    best, error = np.zeros_like(largest), np.full(largest.shape, np.inf, np.float32)
    codes = np.zeros(parts.shape, np.int8)
    for shrunk in _SHRUNK:
        for end in (np.float32(-8), np.float32(7)):
            scales = largest * shrunk / end
            tried = _rounded(parts, scales, -8, 7)
            lost = np.square(tried * scales[:, :, None] - parts).sum(2)
            better = lost < error
            best[better], error[better], codes[better] = scales[better], lost[better], tried[better]
    return codes, best


def _rounded(parts: np.ndarray, scales: np.ndarray, low: int, high: int) -> np.ndarray:
    divisor = np.where(scales == 0, 1, scales)[:, :, None]
    return np.clip(np.rint(parts / divisor), low, high).astype(np.int8)
