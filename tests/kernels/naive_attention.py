"""Attention as the formula says it, with all scores in memory: what the kernels are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np


def probabilities(q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    """softmax(scale * q @ k^T + mask), and the log-sum-exp of each row; without any key 0 and inf."""
    group = q.shape[1] // k.shape[1]
    scores = scale * q @ np.repeat(k, group, axis=1).swapaxes(-1, -2)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = e.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.where(total > 0, top + np.log(total), np.inf)[..., 0]
    return e / np.where(total == 0, 1, total), lse


def attention(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, kept: Any = 1.0) -> Any:
    """(kept * probabilities) @ v and the log-sum-exp of each row, in float64.

    q (b, h, l, e), k (b, h', s, e), v (b, h', s, f), mask broadcast to (b, h, l, s); kept: what dropout
    multiplies.
    """
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    p, lse = probabilities(q, k, mask, causal, scale)
    return (p * kept) @ np.repeat(v, q.shape[1] // v.shape[1], axis=1), lse


def attention_grad(
    g: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, kept: Any = 1.0
) -> tuple[Any, Any, Any]:
    """Gradients to q, k and v."""
    g, q, k, v = (a.astype(np.float64) for a in (g, q, k, v))
    group = q.shape[1] // k.shape[1]
    k_all, v_all = (np.repeat(a, group, axis=1) for a in (k, v))
    p, _ = probabilities(q, k, mask, causal, scale)
    to_p = g @ v_all.swapaxes(-1, -2) * kept
    to_scores = p * (to_p - (p * to_p).sum(axis=-1, keepdims=True)) * scale
    to_k, to_v = to_scores.swapaxes(-1, -2) @ q, (p * kept).swapaxes(-1, -2) @ g

    def of_groups(x: Any) -> Any:
        return x.reshape(x.shape[0], x.shape[1] // group, group, *x.shape[2:]).sum(axis=2)

    return to_scores @ k_all, of_groups(to_k), of_groups(to_v)
