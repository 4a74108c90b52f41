"""Losses for numbers and distributions: mean square, mean absolute, smooth L1, Huber, Kullback-Leibler."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, new_tensor, op
from tinytorch.kernels import loss as kernels
from tinytorch.ops.arithmetic import sub
from tinytorch.ops.common import Array, count, elements
from tinytorch.ops.elementary import square


def check_reduction(name: str, reduction: str) -> None:
    """Refuse a reduction that does not exist."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: expected reduction 'mean', 'sum' or 'none', got {reduction!r}")


def check_same_shape(name: str, x: Array, target: Array, reduction: str) -> Array:
    """`target` in the dtype of `x`; refuses what would broadcast into a wrong loss, and an empty mean."""
    if x.dtype is target.dtype and x.shape == target.shape and x.dtype.kind == "f" and x.size:
        return target
    if x.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating point input, got {x.dtype}. Convert it with .float() first."
        )
    if target.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected a floating point target, got {target.dtype}. Convert it with .float() first."
        )
    if target.shape != x.shape:
        raise ValueError(
            f"{name}: expected a target of shape {x.shape}, that of the input, got {target.shape}. "
            "A reshape or .squeeze() is missing; broadcasting them would compare every pair."
        )
    if not x.size and reduction == "mean":
        raise ValueError(f"{name}: the batch is empty, got shape {x.shape}. Expected at least one element.")
    return target.astype(x.dtype, copy=False)


def reduce_losses(name: str, losses: Any, reduction: str) -> Any:
    """The losses themselves, their sum, or their mean."""
    check_reduction(name, reduction)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if not losses._data.size:
        raise ValueError(
            f"{name}: the batch is empty, got shape {losses.shape}. Expected at least one element."
        )
    return losses.mean()


def _pairs(s: Any) -> list[Sample]:
    return [
        Sample(s(5, 3), s(5, 3)),
        Sample(s(5, 3), s(5, 3), reduction="sum"),
        Sample(s(), s()),
        Sample(s(1), s(1)),
    ]


def _mismatched(s: Any) -> list[Refusal]:
    return [
        Refusal(
            (s(3, 1), s(3)), {}, ValueError, r"mse_loss: expected a target of shape \(3, 1\).* got \(3,\)"
        ),
        Refusal(
            (s(3), np.array([1, 2, 3])),
            {},
            TypeError,
            "mse_loss: expected a floating point target, got int64",
        ),
        Refusal((s(0, 2), s(0, 2)), {}, ValueError, r"mse_loss: the batch is empty, got shape \(0, 2\)"),
        Refusal(
            (s(2), s(2)),
            {"reduction": "avg"},
            ValueError,
            "expected reduction 'mean', 'sum' or 'none', got 'avg'",
        ),
    ]


@op(
    name="mse_loss",
    saves=(0, 1),
    cost=lambda x, t, out, **_: 3 * x.size,
    samples=_pairs,
    refuses=_mismatched,
    reference=lambda x, t, reduction="mean": (
        np.mean((x - t) ** 2) if reduction == "mean" else np.sum((x - t) ** 2)
    ),
    oracle=lambda t, x, target, reduction="mean": t.nn.functional.mse_loss(x, target, reduction=reduction),
)
def fused_mse(x: Array, target: Array, /, reduction: str = "mean") -> Array:
    """Mean (or sum) of `(x - target) ** 2`, in one pass."""
    check_reduction("mse_loss", reduction)
    return kernels.mse(x, check_same_shape("mse_loss", x, target, reduction), reduction)


@fused_mse.gradient
def _(ctx: Node, g: Any) -> Any:
    to_x = mse_grad(g, ctx[0], ctx[1], reduction=ctx.params.get("reduction", "mean"))
    return to_x, -to_x if ctx.needs[1] else None


@op(
    saves=(0, 1, 2),
    cost=lambda g, x, t, out, **_: 3 * x.size,
    samples=lambda s: [Sample(s(), *p.args, **p.params) for p in _pairs(s)],
    reference=lambda g, x, t, reduction="mean": g * 2 * (x - t) / (x.size if reduction == "mean" else 1),
)
def mse_grad(g: Array, x: Array, target: Array, /, reduction: str = "mean") -> Array:
    """`2 * g * (x - target)`, divided by the number of elements for a mean."""
    return kernels.mse_grad(g, x, target.astype(x.dtype, copy=False), reduction)


@mse_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, x, target = ctx[0], ctx[1], ctx[2]
    h = h * (2.0 / x._data.size if ctx.params.get("reduction", "mean") == "mean" else 2.0)
    to_x = h * g
    return (h * (x - target)).sum() if ctx.needs[0] else None, to_x, -to_x if ctx.needs[2] else None


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean of `(input - target) ** 2`; the two have one shape.

    >>> import tinytorch as tt
    >>> tt.mse_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
    tensor(2.)
    """
    if reduction != "none":
        return fused_mse(input, target, reduction=reduction)
    return square(_difference("mse_loss", input, target, reduction))


def _difference(name: str, x: Any, target: Any, reduction: str) -> Any:
    x, target = as_tensors(sub, (x, target))
    check_reduction(name, reduction)
    check_same_shape(name, x._data, target._data, reduction)
    return x - target.to(x.dtype)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean of `|input - target|`; the two have one shape.

    >>> import tinytorch as tt
    >>> tt.l1_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
    tensor(1.)
    """
    return reduce_losses("l1_loss", _difference("l1_loss", input, target, reduction).abs(), reduction)


def _differences(s: Any) -> list[Sample]:
    return [
        *(Sample(*p.args, beta=1.0) for p in elements(-3.0, 3.0)(s)),
        Sample(s(4, 3), beta=0.5),
        Sample(np.array([-1.0, 0.0, 1.0], s.dtype), beta=1.0, smooth=False),
    ]


def _naive_smooth_abs(d: Array, beta: float) -> Array:
    return np.where(np.abs(d) < beta, 0.5 * d * d / beta, np.abs(d) - 0.5 * beta)


@op(
    saves=0,
    cost=count,
    samples=_differences,
    reference=_naive_smooth_abs,
    oracle=lambda t, d, beta: t.nn.functional.smooth_l1_loss(d, t.zeros_like(d), reduction="none", beta=beta),
)
def smooth_abs(d: Array, /, beta: float) -> Array:
    """`|d| - beta / 2`, and the parabola `d * d / (2 * beta)` where `|d|` is below beta."""
    size = np.abs(d)
    bent = np.minimum(size, beta)
    return np.asarray(size - bent + bent * bent * (0.5 / beta))


@smooth_abs.gradient
def _(ctx: Node, g: Any) -> Any:
    return g * (ctx[0] * (1.0 / ctx.params["beta"])).clip(-1.0, 1.0)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Mean of `|d| - beta / 2`, or `d * d / (2 * beta)` where `|d| < beta`, for `d = input - target`.

    Girshick 2015, arXiv:1504.08083.

    >>> import tinytorch as tt
    >>> tt.smooth_l1_loss(tt.tensor([0.0, 3.0]), tt.tensor([1.0, 0.0]))
    tensor(1.5)
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: expected beta not below 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    d = _difference("smooth_l1_loss", input, target, reduction)
    return reduce_losses("smooth_l1_loss", smooth_abs(d, beta=beta), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """`delta` times the smooth L1 loss with `beta = delta`: half the square near 0. Huber 1964.

    >>> import tinytorch as tt
    >>> tt.huber_loss(tt.tensor([0.0, 3.0]), tt.tensor([1.0, 0.0]))
    tensor(1.5)
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: expected a positive delta, got {delta}")
    return smooth_l1_loss(input, target, reduction, delta) * delta


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """`target * (log(target) - input)`: how far the log-probabilities `input` are from `target`.

    reduction: "batchmean" divides by the first axis, which is what the divergence is defined as; "mean"
    divides by the number of elements. log_target: `target` holds log-probabilities too.

    >>> import tinytorch as tt
    >>> p = tt.tensor([[0.5, 0.5]])
    >>> tt.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    x, target = as_tensors(sub, (input, target))
    if reduction != "batchmean":
        check_reduction("kl_div", reduction)
    check_same_shape("kl_div", x._data, target._data, "sum" if reduction == "batchmean" else reduction)
    if log_target:
        losses = target.exp() * (target - x)
    else:
        safe = target.masked_fill(new_tensor(np.asarray(target._data <= 0)), 1.0)  # 0 * log(0) is 0
        losses = target * (safe.log() - x)
    if reduction == "batchmean":
        return losses.sum() * (1.0 / max(len(x), 1))
    return reduce_losses("kl_div", losses, reduction)
