"""Attention heads taken out of a model: fewer rows of the projections, and fewer heads to attend with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinytorch.models.gpt import CausalSelfAttention
from tinytorch.models.kv_cache import LayerCache
from tinytorch.nn import Linear, Module, MultiheadAttention
from tinytorch.systems.compression.importance import each_gradient
from tinytorch.systems.compression.structured import check_fraction, checked_indices, take
from tinytorch.tensor import Tensor

Array = np.ndarray


class NarrowSelfAttention(CausalSelfAttention):
    """A GPT's attention with fewer heads than the model's configuration says.

    Its own `config` says how many there are, and how wide they are together; it takes as many of the heads of
    a cache. Being of another class, it is called for each token, where a whole block is otherwise one kernel.
    """

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """x (b, t, c) -> (b, t, c); with a cache, x are the tokens that follow those in it."""
        if cache is not None:
            heads = self.config.n_head
            cache.keys, cache.values = cache.keys[:, :heads], cache.values[:, :heads]
        return super().forward(x, cache)


def attention_heads(model: Module) -> dict[str, int]:
    """The attention layers of `model` (a GPT's, and `nn.MultiheadAttention`), and the heads of each.

    >>> import tinytorch as tt
    >>> config = tt.models.GPTConfig(vocab_size=65, block_size=16, n_layer=2, n_head=4, n_embd=32)
    >>> attention_heads(tt.models.GPT(config))
    {'h.0.attn': 4, 'h.1.attn': 4}
    """
    return {name: _heads(layer) for name, layer in _attention_layers(model).items()}


def prune_heads(
    model: Module,
    fraction: float | None = None,
    *,
    keep: Mapping[str, int | Sequence[int]] | None = None,
    importance: str | Mapping[str, Array] = "l2",
) -> Any:
    """A smaller copy of `model` with fewer attention heads; `model` stays as it is.

    A head leaves the rows that make its queries, keys and values, and the columns of the projection that
    reads it. The width between the layers, and that of the heads that stay, do not change. The result equals
    `model` with those columns set to zero.

    fraction: the share of heads to take out of every attention layer. keep: instead, or besides, by layer's
    name how many heads to keep, or which.
    importance: "l2", the norm of a head's weights in all four projections, or scores for each layer, such as
    those of `taylor_head_importance`.

    Raises ValueError for a fraction outside of 0 to 1, names that are no attention layers, a layer of which
    no head would be left, and a model without attention.
    Source: P. Michel, O. Levy, G. Neubig, "Are sixteen heads really better than one?", 2019.

    >>> import tinytorch as tt
    >>> config = tt.models.GPTConfig(vocab_size=65, block_size=16, n_layer=2, n_head=4, n_embd=32)
    >>> smaller = prune_heads(tt.models.GPT(config), 0.5)
    >>> attention_heads(smaller), smaller(tt.zeros(1, 5, dtype=tt.int64)).shape
    ({'h.0.attn': 2, 'h.1.attn': 2}, (1, 5, 65))
    """
    layers, keep = _attention_layers(model), keep or {}
    if fraction is None and not keep:
        raise ValueError("prune_heads: expected a fraction to take out, or what to keep; got neither")
    if not layers:
        raise ValueError(f"prune_heads: {type(model).__name__} has no attention layers")
    for name in keep:
        if name not in layers:
            raise ValueError(f"prune_heads: {name!r} is no attention layer; these are: {', '.join(layers)}")
    wanted: dict[str, int | Sequence[int]] = {}
    if fraction is not None:
        check_fraction("prune_heads", fraction)
        wanted = {name: _heads(layer) - round(fraction * _heads(layer)) for name, layer in layers.items()}
    smaller = copy.deepcopy(model)
    for name, heads in {**wanted, **keep}.items():
        kept = _chosen(name, layers[name], heads, importance)
        _shrink(smaller, name, kept)
    return smaller


def taylor_head_importance(
    model: Module, batches: Iterable[Any], loss: Callable[[Any, Any], Any]
) -> dict[str, Array]:
    """For each attention layer, how much the loss would change, to first order, without each head.

    That is `|∂loss/∂ξ|` for a factor ξ = 1 on the head's output, which is `|Σ g · w|` over the columns that
    read it; summed over the batches. The model runs in evaluation mode; its weights and gradients stay.

    batches: pairs of inputs and targets. loss: of the model's output and the targets.
    Source: as `prune_heads`.
    """
    layers = _attention_layers(model)
    scores = {name: np.zeros(_heads(layer)) for name, layer in layers.items()}
    for _ in each_gradient("taylor_head_importance", model, batches, loss):
        for name, layer in layers.items():
            weight = _projection(layer).weight
            assert weight.grad is not None
            products = (weight.grad._data.astype(np.float64) * weight._data).sum(0)
            scores[name] += np.abs(products.reshape(_heads(layer), -1).sum(1))
    return scores


def _attention_layers(model: Module) -> dict[str, Any]:
    kinds = (CausalSelfAttention, MultiheadAttention)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def _heads(layer: Any) -> int:
    return layer.config.n_head if isinstance(layer, CausalSelfAttention) else layer.num_heads


def _size(layer: Any) -> int:
    return layer.config.head_size if isinstance(layer, CausalSelfAttention) else layer.head_dim


def _projection(layer: Any) -> Linear:
    return layer.c_proj if isinstance(layer, CausalSelfAttention) else layer.out_proj


def _chosen(
    name: str, layer: Any, wanted: int | Sequence[int], importance: str | Mapping[str, Array]
) -> Array:
    count = _heads(layer)
    if not isinstance(wanted, (int, np.integer)):
        return checked_indices("prune_heads", f"heads of {name!r}", wanted, count)
    if not 1 <= wanted <= count:
        raise ValueError(f"prune_heads: expected to keep from 1 to {count} heads of {name!r}, got {wanted}")
    if isinstance(importance, str):
        if importance != "l2":
            raise ValueError(
                f'prune_heads: expected importance "l2" or scores for each layer, got {importance!r}'
            )
        scores = _norms(layer)
    else:
        scores = np.asarray(importance.get(name, ()), np.float64)
    if scores.shape != (count,):
        raise ValueError(
            f"prune_heads: expected an importance for each of the {count} heads of {name!r}, got scores of "
            f"shape {scores.shape}"
        )
    return np.sort(np.argsort(-scores, kind="stable")[:wanted])


def _norms(layer: Any) -> Array:
    heads = _heads(layer)
    if isinstance(layer, CausalSelfAttention):
        inputs = [layer.c_attn.weight]
    else:
        inputs = [layer.in_proj_weight, layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
    squares = np.square(_projection(layer).weight._data).sum(0).reshape(heads, -1).sum(1)
    for weight in inputs:
        if weight is not None:
            squares = squares + np.square(weight._data).sum(1).reshape(-1, heads, _size(layer)).sum((0, 2))
    return np.sqrt(squares)


def _shrink(model: Any, name: str, kept: Array) -> None:
    layer: Any = model.get_submodule(name)
    size = _size(layer)
    rows = (kept[:, None] * size + np.arange(size)).ravel()
    packed = (np.arange(3)[:, None] * _heads(layer) * size + rows).ravel()
    projection = _projection(layer)
    take(projection, "weight", rows, axis=1)
    projection.in_features = len(rows)
    if isinstance(layer, CausalSelfAttention):
        take(layer.c_attn, "weight", packed)
        take(layer.c_attn, "bias", packed)
        layer.c_attn.out_features = len(packed)
        narrow = NarrowSelfAttention.__new__(NarrowSelfAttention)
        narrow.__dict__.update(layer.__dict__)
        narrow.config = replace(layer.config, n_head=len(kept), n_embd=len(rows))
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, narrow)
        return
    take(layer, "in_proj_weight", packed)
    take(layer, "in_proj_bias", packed)
    for weight in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        take(layer, weight, rows)
    for bias in ("bias_k", "bias_v"):
        take(layer, bias, rows, axis=2)
    layer.num_heads = len(kept)
