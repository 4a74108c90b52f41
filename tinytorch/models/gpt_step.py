"""A GPT's next token: each block in one launch, where nobody would notice that its layers are not called.

The layers may be those that `GPT` made, or have their weights in integers: any layer whose `panels()` gives
what `kernels.weight_only` reads, as those of `systems.quantize_weight_only`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import observers
from tinytorch.kernels import decode, weight_only
from tinytorch.models.kv_cache import KVCache
from tinytorch.nn import Embedding, LayerNorm, Linear, Module
from tinytorch.tensor import Tensor

if TYPE_CHECKING:
    from tinytorch.models.gpt import GPT, Block

FEW = 8  # sequences up to which the weights are read for each of them, rather than the layers called
_FLOAT32 = np.dtype(np.float32)
_NONE = {dtype: np.empty(0, dtype) for dtype in (_FLOAT32, np.dtype(np.float64))}


def layers_of(model: GPT) -> tuple[Module, ...] | None:
    """All modules inside `model` where each is what a step knows, else None."""
    outside = [part for part in (model.wte, model.wpe, model.ln_f) if part is not None]
    modules = tuple(module for part in (*outside, *model.h) for module in part.modules())
    coded: list[Any] = [module for module in modules if hasattr(module, "panels")]
    kinds = {type(module) for module in modules if module not in coded} - {Linear, LayerNorm, Embedding}
    if {kind.__module__ for kind in (*kinds, type(model)._embed)} != {"tinytorch.models.gpt"}:
        return None
    if coded and any(type(module) is Linear for module in modules):
        return None
    inside = [layer for layer in coded if layer not in outside]
    if len({layer.bits for layer in inside}) > 1 or any(layer.in_features % 4 for layer in inside):
        return None
    return modules


def next_hidden(model: GPT, tokens: Any, cache: KVCache) -> Tensor | None:
    """What the output layer sees after one more token (b, 1) of each of a few sequences: (b, 1, c).

    The cache holds one token more afterwards. None, and nothing done, where the layers have to be called:
    something is recorded or watched, somebody has hooked into a layer or put a forward of another kind into
    it, or the tokens are not of this kind.
    """
    if modes.grad or observers or cache.modules is None or (model.training and model.config.dropout):
        return None
    tokens = tokens._data if isinstance(tokens, Tensor) else tokens
    if not isinstance(tokens, np.ndarray) or tokens.dtype.kind not in "iu" or tokens.ndim != 2:
        return None
    place, config = cache.length, model.config
    if tokens.shape[1] != 1 or tokens.shape[0] > FEW or place >= config.block_size:
        return None
    column = tokens[:, 0]
    if not all(0 <= token < config.vocab_size for token in column.tolist()):
        return None
    if any(module._hooks is not None or "forward" in module.__dict__ for module in cache.modules):
        return None
    rows = _looked_up(model.wte, column)
    if model.wpe is not None:
        rows += _looked_up(model.wpe, np.array([place]))
    _through_blocks(model, rows, cache)
    norm = model.ln_f
    return Tensor(decode.final_norm(rows, *_parts(norm), norm.eps)[:, None])


def _looked_up(table: Any, numbers: np.ndarray) -> np.ndarray:
    """Rows of an embedding as an array of their own."""
    return table.rows(numbers) if hasattr(table, "panels") else table.weight._data[numbers]


def _through_blocks(model: GPT, rows: np.ndarray, cache: KVCache) -> None:
    """Carry rows (b, c) through all blocks, in place."""
    start = cache.length
    if cache.weights is None:
        cache.weights = [_weights(block) for block in model.h]
    for block, layer, weights in zip(model.h, cache.layers, cache.weights, strict=True):
        epsilon, inside = block.ln_1.eps, block.mlp.c_fc.out_features
        if isinstance(weights[2], tuple):
            weight_only.block_step(
                rows, weights, inside, epsilon, cache.turns, start, layer.keys, layer.values
            )
        else:
            decode.block_step(rows, weights, epsilon, cache.turns, start, layer.keys, layer.values)
        layer.length = start + 1


def _weights(block: Block) -> Sequence[Any]:
    """Weight and bias of each layer of a block."""
    attention, mlp = block.attn, block.mlp
    layers = block.ln_1, attention.c_attn, attention.c_proj, block.ln_2, mlp.c_fc, mlp.c_proj
    return [part for layer in layers for part in _parts(layer)]


def _parts(layer: Any) -> tuple[Any, np.ndarray]:
    bias = layer.bias
    weight = layer.panels() if hasattr(layer, "panels") else layer.weight._data
    if bias is not None:
        return weight, bias._data
    return weight, _NONE[_FLOAT32 if isinstance(weight, tuple) else weight.dtype]
