"""`QuantizedMultiheadAttention`: attention whose projections are int8; scores and weights stay float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.nn import Linear, MultiheadAttention
from tinytorch.nn._parameter import Parameter
from tinytorch.systems.quantization._linear import QuantizedLinear


class QuantizedMultiheadAttention(MultiheadAttention):
    """`MultiheadAttention` with four `QuantizedLinear`: `q_proj`, `k_proj`, `v_proj` and `out_proj`.

    Each row of what they are given has a scale of its own. Made by `from_float`, called as the float layer.
    """

    q_proj: QuantizedLinear
    k_proj: QuantizedLinear
    v_proj: QuantizedLinear

    @classmethod
    def from_float(cls, layer: MultiheadAttention, per_channel: bool = True) -> QuantizedMultiheadAttention:
        """The codes of a `MultiheadAttention`, which stays as it is."""
        made = object.__new__(cls)
        for name, value in vars(layer).items():
            if not isinstance(value, (Parameter, Linear)):
                object.__setattr__(made, name, value)
        if layer.in_proj_weight is None:
            parameters: Any = layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight
            weights = [parameter._data for parameter in parameters]
        else:
            weights = np.split(layer.in_proj_weight._data, 3)
        biases = [None] * 3 if layer.in_proj_bias is None else np.split(layer.in_proj_bias._data, 3)
        for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
            setattr(made, name, QuantizedLinear.from_arrays(weight, bias, per_channel=per_channel))
        made.out_proj = QuantizedLinear.from_float(layer.out_proj, per_channel=per_channel)  # pyright: ignore
        made.bias_k, made.bias_v = layer.bias_k, layer.bias_v
        made.in_proj_weight = made.in_proj_bias = None
        made.q_proj_weight = made.k_proj_weight = made.v_proj_weight = None
        return made

    def _projected(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        return q, self._with_more_keys(k, self.bias_k), self._with_more_keys(v, self.bias_v)
