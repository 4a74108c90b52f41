"""Scaled dot-product attention, of queries, keys and values apart or packed; its gradients are kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, new_tensor, op
from tinytorch.kernels import attention as kernels
from tinytorch.kernels.attention_grad import attention_grad
from tinytorch.ops.attention_parts import (
    Dropout,
    as_batch,
    draw,
    fold,
    grad_cost,
    gradients_by_formula,
    pairs,
)
from tinytorch.ops.common import Array
from tinytorch.random import Generator

_DROPPED: Dropout = (0.4, 3, 7)


_NAME = "scaled_dot_product_attention"


def _samples(s: Any) -> list[Sample]:
    return [
        Sample(s(2, 2, 5, 3), s(2, 2, 5, 3), s(2, 2, 5, 3), None),
        Sample(s(1, 2, 5, 4), s(1, 2, 5, 4), s(1, 2, 5, 4), None, is_causal=True),
        Sample(s(2, 4, 3, 2), s(2, 2, 4, 2), s(2, 2, 4, 3), None, enable_gqa=True, scale=0.7),
        Sample(s(3, 4), s(5, 4), s(5, 2), np.array([[1, 1, 0, 1, 0], [0] * 5, [0, 1, 1, 1, 1]], bool)),
        Sample(s(2, 1, 3, 4), s(3, 6, 4), s(1, 6, 4), s(3, 1, 6)),
        Sample(s(2, 4, 3, 2), s(2, 2, 4, 2), s(2, 2, 4, 2), s(4, 3, 4), enable_gqa=True),
        Sample(s(2, 6, 3), s(2, 4, 3), s(2, 4, 3), None, is_causal=True),
        Sample(s(2, 4, 3, 2), s(2, 2, 5, 2), s(2, 2, 5, 2), None, enable_gqa=True, dropout=_DROPPED),
        Sample(s(1, 1, 2, 3), s(1, 1, 4, 3), s(1, 1, 4, 3), s.mask(1, 1, 1, 4) | True),
        Sample(s(0, 2, 3, 4), s(0, 2, 3, 4), s(0, 2, 3, 4), None),
        Sample(s(1, 2, 3, 4), s(1, 2, 0, 4), s(1, 2, 0, 4), None),
    ]


def _naive(
    q: Array, k: Array, v: Array, mask: Array | None, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False, dropout: Dropout = None,
) -> Array:  # fmt: skip
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    e = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True, initial=-np.inf), -1e300))
    p = e / np.maximum(e.sum(axis=-1, keepdims=True), 1e-300)
    if dropout is not None:
        p = p * kernels.dropout_mask(p.shape, p.dtype, dropout)
    return p @ v


def _oracle(
    t: Any, q: Any, k: Any, v: Any, mask: Any, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False, dropout: Dropout = None,
) -> Any:  # fmt: skip
    mask = t.from_numpy(mask) if isinstance(mask, np.ndarray) else mask
    if dropout is None:
        return t.nn.functional.scaled_dot_product_attention(
            q, k, v, mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )
    k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    p = t.softmax(q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale), -1)
    return (p * t.from_numpy(kernels.dropout_mask(tuple(p.shape), np.float64, dropout)).to(p.dtype)) @ v


def _cost(
    q: Array, k: Array, v: Array, mask: Array | None, *, out: Array, is_causal: bool = False, **_: Any
) -> float:
    rows = out.size // max(1, v.shape[-1] * q.shape[-2])
    return 2.0 * rows * pairs(q.shape[-2], k.shape[-2], is_causal) * (q.shape[-1] + v.shape[-1])


@op(
    name=_NAME,
    extras=True,
    saves=("output", 0, 1, 2, 3),
    cost=_cost,
    samples=_samples,
    refuses=lambda s: [
        Refusal(
            (s(3, 4), s(5, 6), s(5, 6), None), {}, ValueError,
            r"expected a query and a key of one width in the last axis, got 4 and 6 \(query \(3, 4\), key",
        ),
        Refusal(
            (s(3, 4), s(5, 4), s(6, 4), None), {}, ValueError, "expected as many values as keys, got 6 and 5"
        ),
        Refusal(
            (s(2, 4, 3, 8), s(2, 4, 5, 8), s(2, 4, 5, 8), s.mask(5, 3)), {}, ValueError,
            r"mask must broadcast to \(B, H, L, S\)=\(2, 4, 3, 5\). Got \(5, 3\)",
        ),
        Refusal(
            (s(3, 4), s(3, 4), s(3, 4), s.mask(3, 3)), {"is_causal": True}, ValueError,
            "expected attn_mask or is_causal, got both",
        ),
        Refusal(
            (s(3, 4), s(3, 4), s(3, 4), s.ints(3, 3, high=2)), {}, TypeError,
            "expected an attn_mask of dtype bool .* got int64",
        ),
        Refusal(
            (s(1, 6, 3, 4), s(1, 4, 3, 4), s(1, 4, 3, 4), None), {"enable_gqa": True}, ValueError,
            "expected query heads that are a multiple of the key and value heads, got 6 query heads, 4 key",
        ),
        Refusal(
            (s(1, 4, 3, 4), s(1, 2, 3, 4), s(1, 2, 3, 4), None), {}, ValueError,
            r"leading axes \(1, 4\), \(1, 2\) and \(1, 2\) of .* pass enable_gqa=True",
        ),
        Refusal((s(4), s(4), s(4), None), {}, ValueError, r"expected query, key and value of shape \(..., t"),
        Refusal(
            (s.ints(3, 4, high=3),) * 3 + (None,), {}, TypeError,
            "expected query, key and value of one floating point dtype, got int64, int64 and int64",
        ),
    ],
    reference=_naive,
    oracle=_oracle,
)  # fmt: skip
def attend(
    query: Array, key: Array, value: Array, attn_mask: Array | None, /, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False, dropout: Dropout = None,
) -> tuple[Array, Array]:  # fmt: skip
    """`dropout(softmax(scale * query @ key^T + mask)) @ value`; also each row's log-sum-exp."""
    lead, operands, scale = fold(_NAME, query, key, value, attn_mask, is_causal, scale, enable_gqa)
    out, lse = kernels.attention(*operands, is_causal, scale, dropout)
    return out if len(lead) == 2 else out.reshape((*lead, *out.shape[2:])), lse


@attend.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    arrays, params = ctx.arrays, ctx.params
    if ctx.needs[3] or (modes.grad and not arrays):
        return NotImplemented if arrays else _by_formula(ctx, g)
    operands = ctx[0], ctx[1], ctx[2], ctx.get(3)
    if arrays:
        return *_grad(g, *operands, ctx.output, ctx.extras, **params), None
    numbers = attend_grad(g, *operands, ctx.output, new_tensor(ctx.extras), **params)._data
    return *_unflatten(numbers, g.shape[:-2], *operands[:3], params.get("enable_gqa", False)), None


def _by_formula(ctx: Node, g: Any) -> Any:
    q, k, v, mask = ctx[0], ctx[1], ctx[2], ctx.get(3)
    causal, scale, dropout = _read(q, **ctx.params)
    return gradients_by_formula(g, q, k, v, mask, causal, scale, dropout, ctx.params.get("enable_gqa", False))


def _read(
    q: Any, is_causal: bool = False, scale: float | None = None, dropout: Dropout = None, **_: Any
) -> tuple[bool, float, Dropout]:
    """Parameters of the op with their defaults."""
    return is_causal, 1 / math.sqrt(q.shape[-1]) if scale is None else scale, dropout


def _grad(
    g: Array, q: Array, k: Array, v: Array, mask: Array | None, out: Array, lse: Array,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False, dropout: Dropout = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Gradients to query, key and value, with the leading axes of the result."""
    lead, operands, scale = fold(_NAME, q, k, v, mask, is_causal, scale, enable_gqa)
    g, out = as_batch(g, lead), as_batch(out, lead)
    gradients = attention_grad(g, *operands, out, lse, is_causal, scale, dropout)
    if len(lead) == 2:
        return gradients
    to_q, to_k, to_v = gradients
    of_keys = (*lead[:-1], to_k.shape[1]) if lead else ()
    return (
        to_q.reshape((*lead, *to_q.shape[2:])),
        to_k.reshape((*of_keys, *to_k.shape[2:])),
        to_v.reshape((*of_keys, *to_v.shape[2:])),
    )


def _grad_samples(s: Any) -> list[Sample]:
    samples = []
    for sample in _samples(s):
        if sample.args[0].ndim == 4 and sample.args[0].shape[:1] == sample.args[1].shape[:1]:
            out, lse = attend.forward(*sample.args, **sample.params)
            samples.append(Sample(s(*out.shape), *sample.args, out, lse, **sample.params))
    return samples


def _naive_grad(
    g: Array, q: Array, k: Array, v: Array, mask: Array | None, out: Array, lse: Array, **params: Any
) -> Array:
    """Through the formula on tensors, which the derivatives of second order check."""
    g_, q_, k_, v_, mask_ = (a if a is None else new_tensor(a) for a in (g, q, k, v, mask))
    causal, scale, dropout = _read(q, **params)
    grouped = params.get("enable_gqa", False)
    found = gradients_by_formula(g_, q_, k_, v_, mask_, causal, scale, dropout, grouped)
    return flat([t._data for t in found[:3]])


@op(
    name=f"{_NAME}_grad",
    differentiable=False,  # what differentiates it goes by the formula instead
    cost=lambda g, q, k, v, mask, out_, lse, *, out, is_causal=False, **_: grad_cost(
        lse.size, q.shape[-2], k.shape[-2], is_causal, q.shape[-1], v.shape[-1]
    ),
    samples=_grad_samples,
    reference=_naive_grad,
)
def attend_grad(
    g: Array, query: Array, key: Array, value: Array, attn_mask: Array | None, output: Array, lse: Array, /,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False, dropout: Dropout = None,
) -> Array:  # fmt: skip
    """Gradients of the attention to query, key and value, one after the other in one flat array."""
    return flat(_grad(g, query, key, value, attn_mask, output, lse, is_causal, scale, enable_gqa, dropout))


def flat(arrays: Sequence[Array]) -> Array:
    """The numbers of several arrays, one after the other."""
    return np.concatenate([a.ravel() for a in arrays])


def _unflatten(
    numbers: Array, lead: tuple[int, ...], q: Any, k: Any, v: Any, grouped: bool
) -> tuple[Any, Any, Any]:
    """The gradients that are in the flat array."""
    of_keys = (*lead[:-1], k.shape[-3]) if grouped else lead
    shapes = (*lead, *q.shape[-2:]), (*of_keys, *k.shape[-2:]), (*of_keys, *v.shape[-2:])
    first, second = math.prod(shapes[0]), math.prod(shapes[0]) + math.prod(shapes[1])
    parts = numbers[:first], numbers[first:second], numbers[second:]
    to_q, to_k, to_v = (new_tensor(x.reshape(shape)) for x, shape in zip(parts, shapes, strict=True))
    return to_q, to_k, to_v


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False, generator: Generator | None = None,
) -> Any:  # fmt: skip
    """`dropout(softmax(scale * query @ key^T + mask)) @ value`, without the scores ever being in memory.

    query (..., H, L, E), key (..., H, S, E), value (..., H, S, F) -> (..., H, L, F); leading axes broadcast.
    attn_mask: broadcast to (..., H, L, S): booleans, True where a key takes part, or numbers that are added
    to the scores. A query that meets no key gives zeros. A mask that requires a gradient has all scores in
    memory on the way back.
    dropout_p: the probability with which a weight is dropped, whether one trains or not; the weights are
    drawn again on the way back, from `generator`'s counter.
    is_causal: query i meets the keys 0 to i.
    scale: 1 / sqrt(E) by default.
    enable_gqa: H of key and value may be a divisor of the query's; neighbouring query heads share a key head.

    Memory beside the result: one number a row of scores, and some 100 KiB a thread. Derivatives of higher
    order have all scores in memory. Cost 2 L S (E + F) FLOP a head, about half of it where causal.
    Raises ValueError for shapes that do not fit, an attn_mask together with is_causal, and a dropout_p
    outside of 0 to 1; TypeError for integers.
    Vaswani et al., "Attention is all you need", 2017; tile by tile: Dao et al., "FlashAttention", 2022.

    >>> import tinytorch as tt
    >>> q, k, v = tt.zeros(1, 2, 4), tt.ones(1, 2, 4), tt.tensor([[[1.0], [3.0]]])
    >>> tt.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    tensor([[[1.],
             [2.]]])
    """
    tensors = as_tensors(attend, (query, key, value, attn_mask))
    params: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    if dropout_p:
        leads = (reversed(x.shape[:-2]) for x in tensors[:3])
        rows = math.prod(map(max, zip_longest(*leads, fillvalue=1)))
        queries, keys = (math.prod(x.shape[-2:-1]) for x in tensors[:2])
        params["dropout"] = draw(_NAME, dropout_p, rows * queries, keys, generator)
    return apply(attend, tensors, params)
