"""Attention of a sequence to itself, queries, keys and values packed side by side, as models have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, new_tensor, op
from tinytorch.kernels import attention as kernels
from tinytorch.kernels.attention_grad import attention_grad
from tinytorch.kernels.memory import empty
from tinytorch.ops.attention_parts import (
    Dropout,
    check_mask,
    draw,
    grad_cost,
    gradients_by_formula,
    pairs,
)
from tinytorch.ops.common import Array
from tinytorch.ops.join import cat
from tinytorch.random import Generator


def _turn(x: Any) -> Any:
    """Axes 1 and 2 of an array or a tensor exchanged; a view."""
    return x.swapaxes(1, 2) if isinstance(x, np.ndarray) else x.transpose(1, 2)


def _unpack(qkv: Any, heads: int, kv_heads: int | None, scale: float | None) -> tuple[Any, Any, Any, float]:
    """Views (b, heads, t, d) of queries, keys and values, of an array or a tensor, and the scale."""
    of_keys = heads if kv_heads is None else kv_heads
    if (
        qkv.ndim != 3
        or heads < 1
        or of_keys < 1
        or heads % of_keys
        or not qkv.shape[2]
        or (qkv.shape[2] % (heads + 2 * of_keys))
    ):
        _refuse(qkv, heads, of_keys)
    b, t, width = qkv.shape
    d = width // (heads + 2 * of_keys)
    split = _turn(qkv.reshape((b, t, heads + 2 * of_keys, d)))
    q, k, v = split[:, :heads], split[:, heads : heads + of_keys], split[:, heads + of_keys :]
    return q, k, v, d**-0.5 if scale is None else scale


def _refuse(qkv: Any, heads: int, of_keys: int) -> None:
    if heads < 1 or of_keys < 1 or heads % of_keys:
        raise ValueError(
            f"self_attention: expected heads to be a multiple of kv_heads, got {heads} and {of_keys}"
        )
    if qkv.ndim != 3:
        raise ValueError(f"self_attention: expected a qkv of shape (b, t, width), got {qkv.shape}")
    raise ValueError(
        f"self_attention: expected a packed width that {heads} query heads and {of_keys} key and value heads "
        f"each divide, a multiple of {heads + 2 * of_keys}, got {qkv.shape[2]} (qkv {qkv.shape})"
    )


def _merge(x: Any) -> Any:
    """(b, heads, t, d) as (b, t, heads * d)."""
    b, heads, t, d = x.shape
    return _turn(x).reshape((b, t, heads * d))


def _folded(qkv: Array, mask: Array | None, heads: int, is_causal: bool) -> Array | None:
    """The mask as (b, heads, t, t); refusals that are about it and about dtypes."""
    if qkv.dtype.kind != "f":
        raise TypeError(
            f"self_attention: expected a floating point qkv, got {qkv.dtype}. Convert it with .float()."
        )
    if mask is None:
        return None
    shape = (len(qkv), heads, qkv.shape[1], qkv.shape[1])
    check_mask("self_attention", mask, shape, is_causal)
    mask = mask if mask.dtype == np.bool_ else mask.astype(qkv.dtype, copy=False)
    return np.broadcast_to(mask, shape)


def _samples(s: Any) -> list[Sample]:
    return [
        Sample(s(2, 5, 12), None, heads=2),
        Sample(s(1, 5, 12), None, heads=2, is_causal=True, scale=0.9),
        Sample(s(2, 4, 16), None, heads=4, kv_heads=2, is_causal=True),
        Sample(s(2, 3, 8), np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]], bool), heads=2, kv_heads=1),
        Sample(s(1, 3, 12), s(2, 1, 3), heads=2),
        Sample(s(1, 4, 9), None, heads=1, dropout=(0.4, 3, 7)),
        Sample(s(0, 4, 6), None, heads=2),
    ]  # fmt: skip


def _naive(
    qkv: Array, mask: Array | None, heads: int, kv_heads: int | None = None, is_causal: bool = False,
    scale: float | None = None, dropout: Dropout = None,
) -> Array:  # fmt: skip
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    k, v = (np.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    scores = q @ k.swapaxes(2, 3) * scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if is_causal:
        scores = np.where(np.tri(scores.shape[2], dtype=bool), scores, -np.inf)
    e = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True), -1e300)) if scores.size else scores
    p = e / np.maximum(e.sum(axis=-1, keepdims=True), 1e-300)
    return _merge((p if dropout is None else p * kernels.dropout_mask(p.shape, p.dtype, dropout)) @ v)


def _oracle(
    t: Any, qkv: Any, mask: Any, heads: int, kv_heads: int | None = None, is_causal: bool = False,
    scale: float | None = None, dropout: Dropout = None,
) -> Any:  # fmt: skip
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    mask = t.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
    if dropout is None:
        out = t.nn.functional.scaled_dot_product_attention(
            q, k, v, mask, is_causal=is_causal, scale=scale, enable_gqa=True
        )
    else:
        p = t.softmax(q @ k.transpose(-1, -2) * scale, -1)
        out = (p * t.from_numpy(kernels.dropout_mask(tuple(p.shape), np.float64, dropout)).to(p.dtype)) @ v
    return out.transpose(1, 2).reshape(len(qkv), qkv.shape[1], heads * v.shape[3])


def _sizes(qkv: Array, heads: int, kv_heads: int | None) -> tuple[int, int, int]:
    """(b * heads, t, d)."""
    return len(qkv) * heads, qkv.shape[1], qkv.shape[2] // (heads + 2 * (kv_heads or heads))


def _cost(
    qkv: Array, mask: Array | None, *, out: Array, heads: int, kv_heads: int | None = None,
    is_causal: bool = False, **_: Any,
) -> float:  # fmt: skip
    rows, t, d = _sizes(qkv, heads, kv_heads)
    return 4.0 * rows * pairs(t, t, is_causal) * d


def _grad_cost(
    g: Array, qkv: Array, mask: Array | None, output: Array, lse: Array, *, out: Array, heads: int,
    kv_heads: int | None = None, is_causal: bool = False, **_: Any,
) -> float:  # fmt: skip
    rows, t, d = _sizes(qkv, heads, kv_heads)
    return grad_cost(rows * t, t, t, is_causal, d, d)


@op(
    name="self_attention",
    extras=True,
    saves=("output", 0, 1),
    cost=_cost,
    samples=_samples,
    refuses=lambda s: [
        Refusal(
            (s(2, 3, 10), None), {"heads": 2}, ValueError,
            "expected a packed width that 2 query heads and 2 key and value heads each divide, a multiple of "
            "6, got 10",
        ),
        Refusal(
            (s(2, 3, 16), None), {"heads": 4, "kv_heads": 3}, ValueError,
            "expected heads to be a multiple of kv_heads, got 4 and 3",
        ),
        Refusal((s(3, 12), None), {"heads": 2}, ValueError, r"expected a qkv of shape \(b, t, width\), got"),
        Refusal((s.ints(2, 3, 6, high=3), None), {"heads": 1}, TypeError, "expected a floating point qkv"),
        Refusal(
            (s(2, 3, 12), s.mask(2, 3)), {"heads": 2}, ValueError,
            r"self_attention: mask must broadcast to \(B, H, L, S\)=\(2, 2, 3, 3\). Got \(2, 3\)",
        ),
        Refusal(
            (s(2, 3, 12), s.mask(3, 3)), {"heads": 2, "is_causal": True}, ValueError,
            "self_attention: expected attn_mask or is_causal, got both",
        ),
    ],
    reference=_naive,
    oracle=_oracle,
)  # fmt: skip
def attend_itself(
    qkv: Array, attn_mask: Array | None, /, heads: int, kv_heads: int | None = None, is_causal: bool = False,
    scale: float | None = None, dropout: Dropout = None,
) -> tuple[Array, Array]:  # fmt: skip
    """`scaled_dot_product_attention` of packed queries, keys and values; also the log-sum-exp of each row."""
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    mask = _folded(qkv, attn_mask, heads, is_causal)
    out = empty((len(qkv), qkv.shape[1], heads * q.shape[3]), qkv.dtype)
    into = out.reshape(len(qkv), qkv.shape[1], heads, q.shape[3]).swapaxes(1, 2)
    _, lse = kernels.attention(q, k, v, mask, is_causal, scale, dropout, into)
    return out, lse


@attend_itself.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    arrays, params = ctx.arrays, ctx.params
    if ctx.needs[1] or (modes.grad and not arrays):
        return NotImplemented if arrays else _by_formula(ctx, g, **params)
    lse = ctx.extras if arrays else new_tensor(ctx.extras)
    return attend_itself_grad(g, ctx[0], ctx.get(1), ctx.output, lse, **params), None


def _by_formula(
    ctx: Node, g: Any, heads: int, kv_heads: int | None = None, is_causal: bool = False,
    scale: float | None = None, dropout: Dropout = None,
) -> tuple[Any, Any]:  # fmt: skip
    qkv, of_keys = ctx[0], kv_heads or heads
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    b, t, _ = qkv.shape
    g = _turn(g.reshape((b, t, heads, q.shape[3])))
    *gradients, to_mask = gradients_by_formula(
        g, q, k, v, ctx.get(1), is_causal, scale, dropout, heads != of_keys
    )
    return cat([_merge(x) for x in gradients], 2), to_mask


def _grad_samples(s: Any) -> list[Sample]:
    samples = []
    for sample in _samples(s):
        out, lse = attend_itself.forward(*sample.args, **sample.params)
        samples.append(Sample(s(*out.shape), *sample.args, out, lse, **sample.params))
    return samples


def _naive_grad(
    g: Array, qkv: Array, mask: Array | None, out: Array, lse: Array, heads: int, kv_heads: int | None = None,
    is_causal: bool = False, scale: float | None = None, dropout: Dropout = None,
) -> Array:  # fmt: skip
    """Through the formula on tensors, which the derivatives of second order check."""
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    g = g.reshape(len(g), q.shape[2], heads, q.shape[3]).swapaxes(1, 2)
    g_, q_, k_, v_, mask_ = (a if a is None else new_tensor(a) for a in (g, q, k, v, mask))
    found = gradients_by_formula(g_, q_, k_, v_, mask_, is_causal, scale, dropout, heads != k.shape[1])
    return np.concatenate([_merge(t._data) for t in found[:3]], axis=2)


@op(
    name="self_attention_grad",
    differentiable=False,  # what differentiates it goes by the formula instead
    cost=_grad_cost,
    samples=_grad_samples,
    reference=_naive_grad,
)
def attend_itself_grad(
    g: Array, qkv: Array, attn_mask: Array | None, output: Array, lse: Array, /, heads: int,
    kv_heads: int | None = None, is_causal: bool = False, scale: float | None = None, dropout: Dropout = None,
) -> Array:  # fmt: skip
    """The gradient of `self_attention` to qkv, packed as it is."""
    q, k, v, scale = _unpack(qkv, heads, kv_heads, scale)
    mask = _folded(qkv, attn_mask, heads, is_causal)
    b, t, _ = qkv.shape
    out, g = (x.reshape(b, t, heads, q.shape[3]).swapaxes(1, 2) for x in (output, g))
    packed = empty(qkv.shape, qkv.dtype)
    into = _unpack(packed, heads, kv_heads, scale)[:3]
    attention_grad(g, q, k, v, mask, out, lse, is_causal, scale, dropout, into)
    return packed


def self_attention(
    qkv: Any, heads: int, kv_heads: int | None = None, is_causal: bool = False, scale: float | None = None,
    dropout_p: float = 0.0, attn_mask: Any = None, generator: Generator | None = None,
) -> Any:  # fmt: skip
    """Attention of a sequence to itself: qkv (b, t, (heads + 2 kv_heads) d) -> (b, t, heads d).

    qkv: the queries of all heads side by side, then their keys, then their values, as one linear layer gives
    them; nothing is copied to take them apart, and the gradient is packed in the same way.
    kv_heads: heads of keys and values, a divisor of `heads`; as many by default.
    The others as in `scaled_dot_product_attention`.

    >>> import tinytorch as tt
    >>> from tinytorch.ops import self_attention
    >>> qkv = tt.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]])
    >>> self_attention(qkv, heads=1, is_causal=True)
    tensor([[[1.],
             [2.]]])
    """
    tensors = as_tensors(attend_itself, (qkv, attn_mask))
    params: dict[str, Any] = {"heads": heads, "kv_heads": kv_heads, "is_causal": is_causal, "scale": scale}
    if dropout_p:
        rows, keys = math.prod(tensors[0].shape[:-1]) * heads, math.prod(tensors[0].shape[-2:-1])
        params["dropout"] = draw("self_attention", dropout_p, rows, keys, generator)
    return apply(attend_itself, tensors, params)
