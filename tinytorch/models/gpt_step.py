"""A GPT's next token: each block in one launch, where nobody would notice that its layers are not called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import observers
from tinytorch.kernels.decode import block_step
from tinytorch.models.kv_cache import KVCache
from tinytorch.nn import LayerNorm, Linear, Module
from tinytorch.tensor import Tensor

if TYPE_CHECKING:
    from tinytorch.models.gpt import GPT, Block

FEW = 8  # sequences up to which the weights are read for each of them, rather than the layers called
_NONE = {dtype: np.empty(0, dtype) for dtype in (np.dtype(np.float32), np.dtype(np.float64))}


def layers_of(model: GPT) -> tuple[Module, ...] | None:
    """All modules inside the blocks where each is what `GPT` made it, else None."""
    modules = tuple(module for block in model.h for module in block.modules())
    kinds = {type(module) for module in modules} - {Linear, LayerNorm}
    return modules if {kind.__module__ for kind in kinds} == {"tinytorch.models.gpt"} else None


def may_step(model: GPT, x: Tensor, cache: KVCache) -> bool:
    """Whether x (b, t, c) is one token of a few sequences, nothing is recorded or watched, and nobody has
    hooked into a layer of the blocks or put a forward of another kind into it."""
    if x.shape[1] != 1 or x.shape[0] > FEW or modes.grad or observers or cache.modules is None:
        return False
    if model.training and model.config.dropout:
        return False
    return all(module._hooks is None and "forward" not in module.__dict__ for module in cache.modules)


def step(model: GPT, x: Tensor, cache: KVCache) -> Tensor:
    """x (b, 1, c) through all blocks; the cache holds one token more afterwards."""
    start = cache.length
    rows = np.array(x._data[:, 0])
    for block, layer in zip(model.h, cache.layers, strict=True):
        block_step(rows, _weights(block), block.ln_1.eps, cache.turns, start, layer.keys, layer.values)
        layer.length = start + 1
    return Tensor(rows[:, None])


def _weights(block: Block) -> list[np.ndarray]:
    layers: tuple[Any, ...] = (
        block.ln_1, block.attn.c_attn, block.attn.c_proj, block.ln_2, block.mlp.c_fc, block.mlp.c_proj
    )  # fmt: skip
    arrays = []
    for layer in layers:
        weight, bias = layer.weight._data, layer.bias
        arrays += [weight, _NONE[weight.dtype] if bias is None else bias._data]
    return arrays
