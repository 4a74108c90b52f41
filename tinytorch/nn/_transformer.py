"""`TransformerEncoder`, `TransformerDecoder` and `Transformer`: stacks of layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.nn import init
from tinytorch.nn._attention import causal
from tinytorch.nn._containers import ModuleList
from tinytorch.nn._module import Module
from tinytorch.nn._norm import LayerNorm
from tinytorch.nn._transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer
from tinytorch.tensor import Tensor


def _causal_mask(size: int, dtype: Any) -> np.ndarray:
    """True, or minus infinity, above the diagonal; False, or 0, elsewhere."""
    above = causal(size, size)
    return above if dtype == np.bool_ else np.where(above, -np.inf, 0.0).astype(dtype)


def _is_causal(mask: Any, said: bool | None) -> bool:
    """What was said, or else whether `mask` is the causal one, for which attention has a faster way."""
    if said is not None or mask is None:
        return bool(said)
    if getattr(mask, "requires_grad", False) or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    return np.array_equal(np.asarray(mask), _causal_mask(len(mask), mask.dtype))


class _Stack(Module):
    layers: ModuleList
    norm: Module | None

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None):
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def _run(self, x: Any, *args: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *args)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """`num_layers` deep copies of a layer, one after the other, and `norm` behind them.

    The copies start with the same numbers, as in PyTorch.

    enable_nested_tensor, mask_check: accepted, and change nothing.

    >>> import tinytorch as tt
    >>> layer = tt.nn.TransformerEncoderLayer(16, 4, dim_feedforward=32, batch_first=True)
    >>> tt.nn.TransformerEncoder(layer, num_layers=2)(tt.randn(2, 5, 16)).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        """Of src's shape; the masks are those of `MultiheadAttention`.

        is_causal: that `mask` is the causal one; None: it is looked at.
        """
        return self._run(src, mask, src_key_padding_mask, _is_causal(mask, is_causal))


class TransformerDecoder(_Stack):
    """`num_layers` deep copies of a decoder layer, one after the other, and `norm` behind them.

    >>> import tinytorch as tt
    >>> layer = tt.nn.TransformerDecoderLayer(16, 4, dim_feedforward=32, batch_first=True)
    >>> tt.nn.TransformerDecoder(layer, num_layers=2)(tt.randn(2, 5, 16), tt.randn(2, 7, 16)).shape
    (2, 5, 16)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Of tgt's shape; the masks are those of `MultiheadAttention`.

        tgt_is_causal: that `tgt_mask` is the causal one; None: it is looked at.
        """
        return self._run(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            _is_causal(tgt_mask, tgt_is_causal), memory_is_causal,
        )  # fmt: skip


class Transformer(Module):
    """An encoder for the source, and a decoder that looks at what it made of it.

    Shapes: src (S, N, d_model), tgt (T, N, d_model) -> that of tgt; with batch_first the batch comes first,
    and without a batch its axis is left out. Embeddings, positions and the last layer are up to the caller.

    custom_encoder, custom_decoder: modules to take instead. The other arguments are those of
    `TransformerEncoderLayer`. All matrices start as Glorot's uniform.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> import tinytorch as tt
    >>> model = tt.nn.Transformer(16, 4, 1, 1, dim_feedforward=32, batch_first=True)
    >>> mask = model.generate_square_subsequent_mask(5)
    >>> model(tt.randn(2, 7, 16), tt.randn(2, 5, 16), tgt_mask=mask).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ):
        settings = d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first
        options: dict[str, Any] = {"bias": bias, "dtype": dtype}

        def norm() -> Module:
            return LayerNorm(d_model, layer_norm_eps, **options)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings, norm_first, **options), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings, norm_first, **options), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Of tgt's shape; the masks are those of `MultiheadAttention`."""
        for name, x in (("src", src), ("tgt", tgt)):
            if x.shape[-1] != self.d_model:
                raise ValueError(
                    f"Transformer: expected a {name} of width d_model={self.d_model}, got {x.shape[-1]} "
                    f"({name} {x.shape})"
                )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal,
            memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = np.float32) -> Tensor:
        """The causal mask (sz, sz): 0, and minus infinity above the diagonal; with dtype bool, True there.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        return new_tensor(_causal_mask(sz, dtype))
