"""What the attention ops share: operands as (b, heads, t, width), refusals, the gradient by formula."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels import attention as kernels
from tinytorch.ops.common import Array
from tinytorch.ops.select import where
from tinytorch.ops.softmax import softmax
from tinytorch.random import Generator, default_generator

Dropout = tuple[float, int, int] | None  # probability, seed, offset of the random numbers


def fold(
    name: str,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> tuple[tuple[int, ...], tuple[Array, Array, Array, Array | None], float]:
    """The leading axes of the result, the operands as (b, heads, t, width), and the scale; it refuses."""
    if not q.dtype is k.dtype is v.dtype:
        _check_dtypes(name, q, k, v)
    if q.dtype.kind != "f" or min(q.ndim, k.ndim, v.ndim) < 2 or not 0 < q.shape[-1] == k.shape[-1]:
        _check_dtypes(name, q, k, v)
        _check_shapes(name, q, k, v)
    if k.shape[-2] != v.shape[-2]:
        _check_shapes(name, q, k, v)
    lead = q.shape[:-2]
    if not (len(lead) == 2 and lead == k.shape[:2] == v.shape[:2]):
        lead, of_keys = _leading(name, q, k, v, enable_gqa)
        q, k, v = as_batch(q, lead), as_batch(k, of_keys), as_batch(v, of_keys)
    if mask is not None or is_causal:
        check_mask(name, mask, (*lead, q.shape[2], k.shape[2]), is_causal)
        if mask is not None:
            if mask.dtype != np.bool_:
                mask = mask.astype(q.dtype, copy=False)
            mask = np.broadcast_to(mask, (*lead, q.shape[2], k.shape[2]))
            mask = mask if len(lead) == 2 else as_batch(mask, lead)
    return lead, (q, k, v, mask), 1 / math.sqrt(q.shape[3]) if scale is None else scale


def _check_dtypes(name: str, q: Array, k: Array, v: Array) -> None:
    if not q.dtype == k.dtype == v.dtype or q.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected query, key and value of one floating point dtype, got {q.dtype}, {k.dtype} "
            f"and {v.dtype}. Convert them with .float()."
        )


def _check_shapes(name: str, q: Array, k: Array, v: Array) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ValueError(
            f"{name}: expected query, key and value of shape (..., t, width), got {q.shape}, {k.shape} and "
            f"{v.shape}"
        )
    if not 0 < q.shape[-1] == k.shape[-1]:
        raise ValueError(
            f"{name}: expected a query and a key of one width in the last axis, got {q.shape[-1]} and "
            f"{k.shape[-1]} (query {q.shape}, key {k.shape})"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"{name}: expected as many values as keys, got {v.shape[-2]} and {k.shape[-2]} "
            f"(key {k.shape}, value {v.shape})"
        )


def _leading(
    name: str, q: Array, k: Array, v: Array, enable_gqa: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Leading axes of queries, and of keys and values: equal but for the heads of grouped queries."""
    leads = [x.shape[:-2] for x in (q, k, v)]
    grouped = enable_gqa and min(map(len, leads)) > 0
    try:
        if not grouped:
            lead = np.broadcast_shapes(*leads)
            return lead, lead
        batch = np.broadcast_shapes(*(lead[:-1] for lead in leads))
    except ValueError:
        more = "" if enable_gqa else ". For grouped queries pass enable_gqa=True"
        raise ValueError(
            f"{name}: the leading axes {leads[0]}, {leads[1]} and {leads[2]} of query, key and value do not "
            f"broadcast{more}"
        ) from None
    heads, of_keys, of_values = (lead[-1] for lead in leads)
    if of_keys != of_values or of_keys == 0 or heads % of_keys:
        raise ValueError(
            f"{name}: expected query heads that are a multiple of the key and value heads, got {heads} query "
            f"heads, {of_keys} key heads and {of_values} value heads"
        )
    return (*batch, heads), (*batch, of_keys)


def check_mask(name: str, mask: Array | None, shape: tuple[int, ...], is_causal: bool) -> None:
    """Refuse a mask that does not broadcast to the scores, or whose dtype says nothing about them."""
    if mask is None:
        return
    if is_causal:
        raise ValueError(
            f"{name}: expected attn_mask or is_causal, got both. Put the triangle into the mask: "
            "mask & tt.ones(L, S, dtype=bool).tril()"
        )
    if mask.dtype != np.bool_ and mask.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected an attn_mask of dtype bool (True takes part) or floating point (added to the "
            f"scores), got {mask.dtype}. Convert it with .bool()."
        )
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        names = "(B, H, L, S)" if len(shape) == 4 else "(..., L, S)"
        raise ValueError(f"{name}: mask must broadcast to {names}={shape}. Got {mask.shape}")


def as_batch(x: Array, lead: tuple[int, ...]) -> Array:
    """x (..., t, width) repeated to the leading axes `lead`, which become two: (b, heads, t, width)."""
    if x.ndim == 4 and x.shape[:2] == lead:
        return x
    x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    heads = lead[-1] if lead else 1
    return x.reshape(math.prod(lead[:-1]), heads, *x.shape[-2:])


def draw(
    name: str, p: float, rows: int, keys: int, generator: Generator | None
) -> tuple[float, int, int] | None:
    """Reserve the random numbers that drop weights with probability p: what the ops take as `dropout`."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: expected dropout_p from 0 to 1, got {p}")
    return (p, *(generator or default_generator).take(kernels.dropout_blocks(rows, keys)))


def grad_cost(rows: int, queries: int, keys: int, is_causal: bool, width: int, of_values: int) -> float:
    """FLOPs of the gradient: five products, one of which computes the scores again."""
    return 2.0 * rows / max(1, queries) * pairs(queries, keys, is_causal) * (3 * width + 2 * of_values)


def pairs(queries: int, keys: int, is_causal: bool) -> float:
    """How many queries meet how many keys."""
    if not is_causal:
        return queries * keys
    few = min(queries, keys)
    return few * (few + 1) / 2 + (queries - few) * keys


def _in_groups(x: Any, group: int) -> Any:
    """(..., heads, t, width) as (..., heads / group, group, t, width); one head or none broadcasts."""
    if x.ndim < 3 or x.shape[-3] == 1:
        return x if x.ndim < 3 else x.unsqueeze(-3)
    return x.reshape((*x.shape[:-3], x.shape[-3] // group, group, *x.shape[-2:]))


def gradients_by_formula(
    g: Any, q: Any, k: Any, v: Any, mask: Any, is_causal: bool, scale: float, dropout: Dropout, grouped: bool
) -> tuple[Any, Any, Any, Any]:
    """Gradients to query, key, value and an additive mask, by ops that are differentiable in turn.

    All scores are in memory: this is for derivatives of higher order and for masks that are learnt.
    """
    group = q.shape[-3] // k.shape[-3] if grouped else 1
    if group > 1:
        q, g, k, v = _in_groups(q, group), _in_groups(g, group), k.unsqueeze(-3), v.unsqueeze(-3)
        mask = mask if mask is None else _in_groups(mask, group)
    scores = (q @ k.transpose(-1, -2)) * scale
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype == np.bool_ else scores + mask
    if is_causal:
        seen = np.tri(*scores.shape[-2:], dtype=np.bool_)
        scores = where(new_tensor(seen), scores, -math.inf)
    seen = new_tensor((scores._data > -np.inf).any(axis=-1, keepdims=True))  # rows that have a key
    p = softmax(where(seen, scores, 0.0), -1) * seen.to(scores.dtype)
    kept = 1.0
    if dropout is not None:
        kept = new_tensor(kernels.dropout_mask(p.shape, p.dtype, dropout))
    to_p = (g @ v.transpose(-1, -2)) * kept
    to_scores = p * (to_p - (p * to_p).sum(-1, keepdim=True))
    to_q, to_k = (to_scores @ k) * scale, (to_scores.transpose(-1, -2) @ q) * scale
    to_v = (p * kept).transpose(-1, -2) @ g
    to_mask = to_scores if mask is not None and mask.dtype != np.bool_ else None
    if group > 1:
        to_q = to_q.reshape((*to_q.shape[:-4], -1, *to_q.shape[-2:]))
        to_k, to_v = to_k.sum(-3), to_v.sum(-3)
        if to_mask is not None:
            to_mask = to_mask.reshape((*to_mask.shape[:-4], -1, *to_mask.shape[-2:]))
    return to_q, to_k, to_v, to_mask
