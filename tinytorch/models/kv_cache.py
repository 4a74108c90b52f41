"""Keys and values of the tokens that a GPT has read, kept so that the next token costs one row of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.memory import empty
from tinytorch.nn import Module
from tinytorch.tensor import Tensor


class LayerCache:
    """Keys and values of one layer, each (batch, heads, context, head size), filled up to `length`."""

    def __init__(self, batch: int, heads: int, context: int, head_size: int, dtype: Any):
        self.keys = empty((batch, heads, context, head_size), np.dtype(dtype))
        self.values = empty((batch, heads, context, head_size), np.dtype(dtype))
        self.length = 0

    def attend(self, qkv: Tensor) -> Tensor:
        """Add the keys and values of new tokens, and attend with their queries to all that are here.

        qkv: (batch, t, 3 · heads · head size), as `ops.self_attention` takes it. Returns (batch, t, width).
        """
        batch, heads, context, size = self.keys.shape
        t, start = qkv.shape[1], self.length
        if start + t > context:
            raise ValueError(
                f"KVCache: expected at most {context - start} more tokens ({start} of {context} are taken), "
                f"got {t}. Reset the cache and read the last tokens again, as `generate` does."
            )
        split = qkv.data.reshape(batch, t, 3, heads, size).transpose(2, 0, 3, 1, 4)
        self.keys[:, :, start : start + t] = split[1]
        self.values[:, :, start : start + t] = split[2]
        self.length = end = start + t
        mask = np.tri(t, end, start, dtype=np.bool_) if start and t > 1 else None
        attended = ops.scaled_dot_product_attention(
            Tensor(split[0]), Tensor(self.keys[:, :, :end]), Tensor(self.values[:, :, :end]),
            mask, is_causal=start == 0 and t > 1,
        )  # fmt: skip
        return attended.transpose(1, 2).reshape(batch, t, heads * size)


class KVCache:
    """One `LayerCache` for each layer of a GPT, allocated once for a whole context.

    Nothing in it has a gradient: it is for generation, under `no_grad`.

    turns: cosines and sines of all places, (2, context, head size / 2), or nothing; modules: those of the
    model that fills it, where `gpt_step` may stand in for them; weights: the arrays of each block that it
    found there with the first token after `reset()`: collecting them takes as long as half a block.

    Memory: 2 · layers · batch · context · width numbers; see `nbytes`.
    """

    def __init__(
        self, layers: int, batch: int, heads: int, context: int, head_size: int, dtype: Any = np.float32,
        turns: np.ndarray | None = None, modules: Sequence[Module] | None = None,
    ):  # fmt: skip
        self.modules = modules
        self.weights: list[Sequence[Any]] | None = None
        self.layers = [LayerCache(batch, heads, context, head_size, dtype) for _ in range(layers)]
        self.turns = np.empty((2, 0, 0), dtype) if turns is None else turns

    @property
    def length(self) -> int:
        """Tokens that all layers have seen."""
        return self.layers[-1].length

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values, filled or not."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)

    def reset(self) -> None:
        """Forget everything; the memory stays."""
        self.weights = None
        for layer in self.layers:
            layer.length = 0
