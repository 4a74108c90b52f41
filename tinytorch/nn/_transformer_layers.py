"""`TransformerEncoderLayer` and `TransformerDecoderLayer`: attention, then a small network at each place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.nn import _functional_activations as activations
from tinytorch.nn._attention import MultiheadAttention
from tinytorch.nn._dropout import Dropout
from tinytorch.nn._linear import Linear
from tinytorch.nn._module import Module
from tinytorch.nn._norm import LayerNorm
from tinytorch.nn._sequential import _is_plain

_ACTIVATIONS = {"relu": activations.relu, "gelu": activations.gelu}


def _activation(name: str, activation: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    if callable(activation):
        return activation
    if activation not in _ACTIVATIONS:
        raise ValueError(f"{name}: expected activation 'relu', 'gelu' or a function, got {activation!r}")
    return _ACTIVATIONS[activation]


class TransformerEncoderLayer(Module):
    """Every position looks at all others, then goes through a small network of its own.

    `x = norm1(x + attention(x))`, `x = norm2(x + linear2(activation(linear1(x))))`; with norm_first
    `x = x + attention(norm1(x))`, `x = x + linear2(activation(linear1(norm2(x))))`, which trains more evenly.

    Shapes: src (L, N, d_model) -> the same; with batch_first (N, L, d_model), without a batch (L, d_model).

    d_model, nhead: the width, and the number of heads, which divides it. dim_feedforward: the width between
    linear1 and linear2. dropout: of attention weights, and behind the activation, the attention and linear2.
    activation: "relu", "gelu" or a function. layer_norm_eps: added to the variances. bias: False leaves it
    out everywhere. dtype: float32 or float64.

    Raises ValueError for heads that do not divide the width, and whatever `MultiheadAttention` refuses.
    Source: Vaswani et al., "Attention is all you need", 2017; norm_first: Xiong et al., "On layer
    normalization in the transformer architecture", 2020.

    >>> import tinytorch as tt
    >>> layer = tt.nn.TransformerEncoderLayer(16, 4, dim_feedforward=32, batch_first=True)
    >>> layer(tt.randn(2, 5, 16)).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ):
        options = {"bias": bias, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        self.norm1, self.norm2 = (LayerNorm(d_model, layer_norm_eps, **options) for _ in range(2))
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(type(self).__name__, activation)

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Any:
        """Of src's shape; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            y, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(y)

        if self.norm_first:
            x = src + attend(self.norm1(src))
            return x + self.dropout2(_feed_forward(self, self.norm2(x)))
        x = self.norm1(src + attend(src))
        return self.norm2(x + self.dropout2(_feed_forward(self, x)))


class TransformerDecoderLayer(Module):
    """An encoder layer that, after looking at itself, looks at what an encoder made, the memory.

    Shapes: tgt (L, N, d_model) and memory (S, N, d_model) -> that of tgt; with batch_first the batch comes
    first, and without a batch its axis is left out. The other arguments, and the source, are those of
    `TransformerEncoderLayer`.

    >>> import tinytorch as tt
    >>> layer = tt.nn.TransformerDecoderLayer(16, 4, dim_feedforward=32, batch_first=True)
    >>> layer(tt.randn(2, 5, 16), tt.randn(2, 7, 16), tgt_is_causal=True).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ):
        options = {"bias": bias, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (LayerNorm(d_model, layer_norm_eps, **options) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(3))
        self.activation = _activation(type(self).__name__, activation)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Of tgt's shape; the masks are those of `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            y, _ = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(y)

        def remember(x: Any) -> Any:
            y, _ = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )
            return self.dropout2(y)

        if self.norm_first:
            x = tgt + attend(self.norm1(tgt))
            x = x + remember(self.norm2(x))
            return x + self.dropout3(_feed_forward(self, self.norm3(x)))
        x = self.norm1(tgt + attend(tgt))
        x = self.norm2(x + remember(x))
        return self.norm3(x + self.dropout3(_feed_forward(self, x)))


def _feed_forward(layer: TransformerEncoderLayer | TransformerDecoderLayer, x: Any) -> Any:
    first = layer.linear1
    fused = next((name for name, function in _ACTIVATIONS.items() if layer.activation is function), None)
    if fused and _is_plain(first):
        hidden = ops.linear(x, first.weight, first.bias, activation=fused)  # while the product is written
    else:
        hidden = layer.activation(first(x))
    return layer.linear2(layer.dropout(hidden))
