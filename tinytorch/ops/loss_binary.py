"""Binary cross-entropy: fused with the sigmoid, or of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, op
from tinytorch.kernels import elementwise
from tinytorch.kernels import loss as kernels
from tinytorch.kernels import reduce as sums
from tinytorch.ops.common import Array
from tinytorch.ops.loss_regression import check_reduction, check_same_shape, reduce_losses

# Keeps the gradient finite where a probability is 0 or 1: PyTorch's number, a float32 in every dtype.
_LEAST_VARIANCE = float(np.float32(1e-12))


def _fitting(name: str, what: str, extra: Array, x: Array) -> Array:
    try:
        np.broadcast_to(extra, x.shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected a {what} that broadcasts to {x.shape}, got {extra.shape}"
        ) from None
    return extra.astype(x.dtype, copy=False)


def _in_dtype(dtype: np.dtype, *arrays: Array | None) -> list[Any]:
    return [a if a is None or a.dtype is dtype else a.astype(dtype) for a in arrays]


def _bad_targets(name: str) -> Any:
    def refusals(s: Any) -> list[Refusal]:
        x, t = s(3, low=0.1, high=0.9), s(3, low=0.1, high=0.9)
        none = (None, None) if name == "bce_with_logits" else ()
        return [
            Refusal(
                (s(3, 1, low=0.1), t, *none),
                {},
                ValueError,
                rf"{name}: expected a target of shape \(3, 1\).* got \(3,\)",
            ),
            Refusal(
                (x, np.array([0, 1, 1]), *none),
                {},
                TypeError,
                rf"{name}: expected a floating point target, got int64",
            ),
            Refusal(
                (x, t - 2.0, *none),
                {},
                ValueError,
                rf"{name}: expected targets from 0 to 1, got -\d\S+ at position \(0,\)",
            ),
            Refusal(
                (x * np.nan, t * np.nan, *none),
                {},
                ValueError,
                rf"{name}: expected (targets|probabilities) from 0 to 1, got nan",
            ),
        ]

    return refusals


def _scores(s: Any) -> list[Sample]:
    x, t = s(5, 3, low=-3.0, high=3.0), s(5, 3, low=0.0, high=1.0)
    return [
        Sample(x, t, None, None),
        Sample(x, t, None, None, reduction="sum"),
        Sample(x, t, s(3, low=0.5), None, reduction="none"),
        Sample(x, t, None, s(3, low=0.5, high=3.0)),
        Sample(x, t, s(5, 1, low=0.5), s(3, low=0.5, high=3.0)),
        Sample(x * 100, np.round(t), None, None, smooth=False),
    ]


@op(
    name="bce_with_logits",
    saves=(0, 1, 2, 3),
    constants=(2, 3),
    cost=lambda x, t, w, p, out, **_: 8 * x.size,
    samples=_scores,
    refuses=lambda s: [
        *_bad_targets("bce_with_logits")(s),
        Refusal(
            (s(0, 1), s(0, 1), None, None),
            {},
            ValueError,
            r"bce_with_logits: the batch is empty, got shape \(0, 1\)",
        ),
        Refusal(
            (s(3), s(3, low=0.0), None, s(2)),
            {},
            ValueError,
            r"bce_with_logits: expected a pos_weight .* \(3,\), got \(2,\)",
        ),
    ],
    reference=lambda x, t, w, p, reduction="mean": _naive_bce_with_logits(x, t, w, p, reduction),
    oracle=lambda t, x, target, w, p, reduction="mean": t.nn.functional.binary_cross_entropy_with_logits(
        x, target, w, pos_weight=p, reduction=reduction
    ),
)
def fused_bce(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, /, reduction: str = "mean"
) -> Array:
    """Binary cross-entropy of `sigmoid(x)`, stable for scores of any size."""
    name = "bce_with_logits"
    check_reduction(name, reduction)
    target = check_same_shape(name, x, target, reduction)
    weight = weight if weight is None else _fitting(name, "weight", weight, x)
    pos_weight = pos_weight if pos_weight is None else _fitting(name, "pos_weight", pos_weight, x)
    return kernels.bce_with_logits(x, target, weight, pos_weight, reduction)


@fused_bce.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    if ctx.arrays and ctx.needs[1]:
        return NotImplemented
    x, target = ctx[0], ctx[1]
    weight, positive = ctx.get(2), ctx.get(3)
    reduction = ctx.params.get("reduction", "mean")
    to_x = bce_with_logits_grad(g, x, target, weight, positive, reduction=reduction) if ctx.needs[0] else None
    to_target = None
    if ctx.needs[1]:
        to_target = -x if positive is None else (positive - 1.0) * (-x).softplus() - x
        to_target = to_target * _factor(g, weight, x, reduction)
    return to_x, to_target, None, None


def _factor(g: Any, weight: Any, x: Any, reduction: str) -> Any:
    """What every element's derivative is multiplied with: g, its weight, and 1 / n for a mean."""
    g = g * (1.0 / x._data.size) if reduction == "mean" else g
    return g if weight is None else g * weight


@op(
    saves=(0, 1, 2, 3, 4),
    constants=(3, 4),
    cost=lambda g, x, t, w, p, out, **_: 8 * x.size,
    samples=lambda s: [
        Sample(s(5, 3) if p.params.get("reduction") == "none" else s(), *p.args, **p.params)
        for p in _scores(s)[:-1]
    ],
    reference=lambda g, x, t, w, p, reduction="mean": _naive_bce_with_logits_grad(g, x, t, w, p, reduction),
)
def bce_with_logits_grad(
    g: Array,
    x: Array,
    target: Array,
    weight: Array | None,
    pos_weight: Array | None,
    /,
    reduction: str = "mean",
) -> Array:
    """The gradient of `bce_with_logits` to the scores."""
    target, weight, pos_weight = _in_dtype(x.dtype, target, weight, pos_weight)
    return kernels.bce_with_logits_grad(g, x, target, weight, pos_weight, reduction)


@bce_with_logits_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, x, target = ctx[0], ctx[1], ctx[2]
    weight, positive = ctx.get(3), ctx.get(4)
    s = x.sigmoid()
    h = _factor(h, weight, x, ctx.params.get("reduction", "mean"))
    at_one = target if positive is None else positive * target
    mass = 1.0 if positive is None else 1.0 + (positive - 1.0) * target
    to_g = h * (s * mass - at_one) if ctx.needs[0] else None
    to_x = h * g * (s * (1.0 - s) * mass) if ctx.needs[1] else None
    to_target = None
    if ctx.needs[2]:
        to_target = -h * g if positive is None else h * g * (s * (positive - 1.0) - positive)
    return to_g, to_x, to_target, None, None


def _naive_bce_with_logits(x: Array, t: Array, w: Array | None, p: Array | None, reduction: str) -> Array:
    w, p = (np.ones(1) if a is None else a for a in (w, p))
    losses = w * (p * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x))
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _naive_bce_with_logits_grad(
    g: Array, x: Array, t: Array, w: Array | None, p: Array | None, reduction: str
) -> Array:
    w, p = (np.ones(1) if a is None else a for a in (w, p))
    s = 1 / (1 + np.exp(-x))
    return g * w * (s * (1 - t) - p * t * (1 - s)) / (x.size if reduction == "mean" else 1)


def bce_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of `sigmoid(input)` against targets from 0 to 1, of the same shape.

    weight multiplies the losses, pos_weight those of the targets 1; both broadcast.

    >>> import tinytorch as tt
    >>> tt.bce_with_logits(tt.tensor([0.0, 100.0]), tt.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    inputs = as_tensors(fused_bce, (input, target, weight, pos_weight))
    return apply(fused_bce, inputs, {"reduction": reduction})


def _probabilities(s: Any) -> list[Sample]:
    p, t = s(5, 3, low=0.05, high=0.95), s(5, 3, low=0.0, high=1.0)
    sure = np.array([0.0, 0.0, 1.0, 1.0], s.dtype)
    return [
        Sample(p, t),
        Sample(p, t, reduction="sum"),
        Sample(p, t, reduction="none"),
        Sample(s(3, low=0.1, high=0.9), s(3, low=0.0)),
        Sample(sure, np.array([0.0, 1.0, 0.0, 1.0], s.dtype), smooth=False),
    ]


@op(
    name="binary_cross_entropy",
    saves=(0, 1),
    cost=lambda p, t, out, **_: 6 * p.size,
    samples=_probabilities,
    refuses=lambda s: [
        *_bad_targets("binary_cross_entropy")(s),
        Refusal(
            (np.array([0.5, 1.5]), np.array([0.0, 1.0])),
            {},
            ValueError,
            r"expected probabilities from 0 to 1, got 1.5 at position \(1,\).*bce_with_logits",
        ),
        Refusal((s(0), s(0)), {}, ValueError, r"binary_cross_entropy: the batch is empty, got shape \(0,\)"),
    ],
    reference=lambda p, t, reduction="mean": _naive_bce(p, t, reduction),
    oracle=lambda torch, p, t, reduction="mean": torch.nn.functional.binary_cross_entropy(
        p, t, reduction=reduction
    ),
)
def bce_of_probabilities(p: Array, target: Array, /, reduction: str = "mean") -> Array:
    """`-(t * log(p) + (1 - t) * log(1 - p))`, with logarithms not below -100, reduced."""
    check_reduction("binary_cross_entropy", reduction)
    target = check_same_shape("binary_cross_entropy", p, target, reduction)
    if target.size and not (target.min() >= 0 and target.max() <= 1):
        kernels.refuse_targets("binary_cross_entropy", target)
    losses, other = elementwise.log(p), elementwise.log1p(-p)
    np.maximum(losses, -100, out=losses)
    np.maximum(other, -100, out=other)
    losses *= target
    other *= 1 - target
    losses += other
    np.negative(losses, out=losses)
    if reduction == "none":
        loss = losses
    else:
        loss = sums.mean(losses) if reduction == "mean" else sums.sum(losses)
    if np.isnan(
        loss
    ).any():  # a logarithm of what is no probability: cheaper to notice here than to look first
        _refuse_probabilities(p)
    return loss


def _refuse_probabilities(p: Array) -> None:
    place = tuple(int(i) for i in np.argwhere(~((p >= 0) & (p <= 1)))[0])
    raise ValueError(
        f"binary_cross_entropy: expected probabilities from 0 to 1, got {p[place]} at position {place}. "
        "For scores that were not through a sigmoid, use bce_with_logits."
    )


@bce_of_probabilities.gradient
def _(ctx: Node, g: Any) -> Any:
    p, target, reduction = ctx[0], ctx[1], ctx.params.get("reduction", "mean")
    to_p = bce_of_probabilities_grad(g, p, target, reduction=reduction) if ctx.needs[0] else None
    to_target = None
    if ctx.needs[1]:
        to_target = _factor(g, None, p, reduction) * ((1.0 - p).log() - p.log())
    return to_p, to_target


@op(
    saves=(0, 1, 2),
    cost=lambda g, p, t, out, **_: 5 * p.size,
    samples=lambda s: [
        Sample(s(*(p.args[0].shape if p.params.get("reduction") == "none" else ())), *p.args, **p.params)
        for p in _probabilities(s)[:-1]
    ],
    reference=lambda g, p, t, reduction="mean": (
        g * (p - t) / (p * (1 - p)) / (p.size if reduction == "mean" else 1)
    ),
)
def bce_of_probabilities_grad(g: Array, p: Array, target: Array, /, reduction: str = "mean") -> Array:
    """`g * (p - t) / (p * (1 - p))`, divided by the number of elements for a mean."""
    slope = p - target
    variance = 1 - p
    variance *= p
    np.maximum(variance, _LEAST_VARIANCE, out=variance)
    slope /= variance
    slope *= g / p.size if reduction == "mean" else g
    return slope.astype(p.dtype, copy=False)


@bce_of_probabilities_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, p, target = ctx[0], ctx[1], ctx[2]
    h = _factor(h, None, p, ctx.params.get("reduction", "mean"))
    variance = (p * (1.0 - p)).clip(_LEAST_VARIANCE)
    slope = (p - target) / variance
    to_g = h * slope if ctx.needs[0] else None
    to_p = h * g * (1.0 - slope * (1.0 - p * 2.0)) / variance if ctx.needs[1] else None
    return to_g, to_p, -h * g / variance if ctx.needs[2] else None


def _naive_bce(p: Array, t: Array, reduction: str) -> Array:
    with np.errstate(divide="ignore"):
        losses = -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log(1 - p), -100))
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Binary cross-entropy of probabilities against targets from 0 to 1, of the same shape.

    For scores before a sigmoid `bce_with_logits` is faster, and exact for large ones.

    >>> import tinytorch as tt
    >>> tt.binary_cross_entropy(tt.tensor([0.5, 1.0]), tt.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    if weight is None:
        return bce_of_probabilities(input, target, reduction=reduction)
    losses = bce_of_probabilities(input, target, reduction="none") * weight
    return reduce_losses("binary_cross_entropy", losses, reduction)
