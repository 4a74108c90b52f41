"""Losses for classes: cross-entropy fused with log-softmax, negative log-likelihood, binary cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, new_tensor, op
from tinytorch.kernels import loss as kernels
from tinytorch.ops.common import Array
from tinytorch.ops.gather import gather_along
from tinytorch.ops.loss_regression import check_reduction, check_same_shape, reduce_losses
from tinytorch.ops.shape import movedim, reshape
from tinytorch.ops.softmax import log_softmax, softmax, softmax_grad

# --- cross-entropy --------------------------------------------------------------------------------------


def _labelled(s: Any) -> list[Sample]:
    x, weight = s(6, 4), s(4, low=0.5, high=1.5)
    labels = s.ints(6, high=4)
    some = np.where(np.arange(6) % 3 == 0, -100, labels)
    return [
        Sample(x, labels, None),
        Sample(x, labels, None, reduction="sum"),
        Sample(x, some, None, reduction="none"),
        Sample(x, some, weight),
        Sample(x, labels, weight, label_smoothing=0.1),
        Sample(x, some, weight, label_smoothing=0.2, reduction="sum"),
        Sample(x, np.where(labels == 2, 7, labels), weight, ignore_index=7, label_smoothing=0.2),
        Sample(x * 100, labels, None, smooth=False),
    ]


def _bad_labels(s: Any) -> list[Refusal]:
    x, labels = s(3, 4), np.array([0, 3, 1])
    return [
        Refusal((x, np.array([0, 4, 1]), None), {}, IndexError, r"cross_entropy: expected labels from 0 to 3 .* got 4 at position 1"),
        Refusal((x, np.array([0, 1, -1]), None), {}, IndexError, r"cross_entropy: expected labels from 0 to 3 .* got -1 at position 2"),
        Refusal((x, s(3), None), {}, TypeError, r"cross_entropy: expected labels of an integer dtype.* got float"),
        Refusal((x, np.zeros((3, 1), np.int64), None), {}, ValueError, r"cross_entropy: expected labels of shape \(3,\).* got \(3, 1\)"),
        Refusal((x, labels, s(3)), {}, ValueError, r"cross_entropy: expected a weight for each class, of shape \(4,\), got \(3,\)"),
        Refusal((x, labels, None), {"reduction": "avg"}, ValueError, "cross_entropy: expected reduction 'mean', 'sum' or 'none', got 'avg'"),
        Refusal((x, labels, None), {"label_smoothing": 1.5}, ValueError, "cross_entropy: expected label_smoothing from 0 to 1, got 1.5"),
        Refusal((s(0, 4), np.zeros(0, np.int64), None), {}, ValueError, r"cross_entropy: the batch is empty, got logits of shape \(0, 4\)"),
        Refusal((np.zeros((3, 4), np.int64), labels, None), {}, TypeError, "cross_entropy: expected floating point logits, got int64"),
    ]


@op(
    name="cross_entropy",
    extras=True,
    saves=(0, 1, 2),
    constants=(2,),
    cost=lambda x, labels, weight, out, **_: 5 * x.size,
    samples=_labelled,
    refuses=_bad_labels,
    reference=lambda x, labels, weight, **params: _naive_cross_entropy(x, labels, weight, **params),
    oracle=lambda t, x, labels, weight, **params: t.nn.functional.cross_entropy(x, labels, weight, **params),
)
def cross_entropy_of_labels(
    logits: Array, labels: Array, weight: Array | None, /,
    ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean",
) -> tuple[Array, Any]:  # fmt: skip
    """Cross-entropy of logits (n, classes) and labels (n,); also what the gradient needs."""
    check_reduction("cross_entropy", reduction)
    if logits.dtype.kind != "f":
        raise TypeError(f"cross_entropy: expected floating point logits, got {logits.dtype}")
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy: expected labels of an integer dtype, one class number a row, got {labels.dtype} of shape "
            f"{labels.shape}. Convert them with .long(), or give probabilities of the logits' shape {logits.shape}."
        )
    if labels.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy: expected labels of shape {logits.shape[:1]}, a class for each row of logits "
            f"{logits.shape}, got {labels.shape}"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: expected label_smoothing from 0 to 1, got {label_smoothing}")
    if weight is not None:
        if weight.shape != logits.shape[1:]:
            raise ValueError(
                f"cross_entropy: expected a weight for each class, of shape {logits.shape[1:]}, got {weight.shape}"
            )
        weight = weight.astype(logits.dtype, copy=False)
    if not logits.size and reduction == "mean":
        raise ValueError(f"cross_entropy: the batch is empty, got logits of shape {logits.shape}. Expected a row or more.")
    labels = labels.astype(np.int64, copy=False)
    loss, *saved = kernels.cross_entropy(logits, labels, weight, ignore_index, label_smoothing, reduction)
    return loss, saved


@cross_entropy_of_labels.gradient
def _(ctx: Node, g: Any) -> Any:
    weight = ctx[2] if 2 in ctx.saved else None
    return cross_entropy_grad(g, ctx[0], ctx[1], weight, saved=ctx.extras, **ctx.params), None, None


@op(
    saves=(0, 1, 2, 3),
    constants=(3,),
    cost=lambda g, x, labels, weight, out, **_: 4 * x.size,
    samples=lambda s: [
        Sample(s(6) if p.params.get("reduction") == "none" else s(), *p.args, **p.params) for p in _labelled(s)[:-1]
    ],
    reference=lambda g, x, labels, weight, **params: _naive_cross_entropy_grad(g, x, labels, weight, **params),
)
def cross_entropy_grad(
    g: Array, logits: Array, labels: Array, weight: Array | None, /,
    ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean", saved: Any = None,
) -> Array:  # fmt: skip
    """The gradient of the cross-entropy to the logits: (softmax - target) * g, weighted and reduced like the loss.

    saved: what the forward kept; computed again where there is none.
    """
    labels = labels.astype(np.int64, copy=False)
    weight = None if weight is None else weight.astype(logits.dtype, copy=False)
    options = (weight, ignore_index, label_smoothing, reduction)
    if saved is None:
        saved = kernels.cross_entropy(logits, labels, *options)[1:]
    return kernels.cross_entropy_grad(g, logits, labels, *saved, *options)


@cross_entropy_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    weight = ctx[3]._data if 3 in ctx.saved else None
    options = {k: v for k, v in ctx.params.items() if k != "saved"}
    slope, target = _linear_part(ctx[1]._data, ctx[2]._data, weight, **options)
    slope, target = new_tensor(slope), new_tensor(target)
    p = softmax(ctx[1], dim=1)
    to_g = (h * (p * slope - target)).sum(1) if ctx.needs[0] else None
    to_logits = softmax_grad(h, p, dim=1) * (slope * ctx[0].reshape((-1, 1))) if ctx.needs[1] else None
    return to_g, to_logits, None, None


def _linear_part(
    logits: Array, labels: Array, weight: Array | None,
    ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean",
) -> tuple[Array, Array]:  # fmt: skip
    """(n, 1) and (n, classes) with which the gradient is `softmax * slope - target`."""
    n, classes = logits.shape
    w = np.ones(classes, logits.dtype) if weight is None else weight.astype(logits.dtype)
    used = labels != ignore_index
    rows = np.flatnonzero(used)
    target = np.zeros_like(logits)
    target[rows] = label_smoothing / classes * w
    target[rows, labels[rows]] += (1.0 - label_smoothing) * w[labels[rows]]
    if reduction == "mean":
        target /= w[labels[rows]].sum()
    return target.sum(axis=1, keepdims=True), target


def _naive_cross_entropy(
    x: Array, labels: Array, weight: Array | None,
    ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean",
) -> Array:  # fmt: skip
    losses, total = [], 0.0
    w = np.ones(x.shape[1]) if weight is None else weight
    for row, label in zip(x, labels, strict=True):
        if label == ignore_index:
            losses.append(0.0)
            continue
        nll = np.log(np.exp(row - row.max()).sum()) + row.max() - row
        losses.append((1 - label_smoothing) * w[label] * nll[label] + label_smoothing / len(row) * (w * nll).sum())
        total += w[label]
    if reduction == "none":
        return np.array(losses)
    return np.sum(losses) / (total if reduction == "mean" else 1.0)


def _naive_cross_entropy_grad(g: Array, x: Array, labels: Array, weight: Array | None, **params: Any) -> Array:
    slope, target = _linear_part(x, labels, weight, **params)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return g.reshape(-1, 1) * (e / e.sum(axis=1, keepdims=True) * slope - target)


def cross_entropy(
    logits: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """`-log(softmax(logits)[target])`: what a classifier is trained with.

    logits: (classes,), (n, classes) or (n, classes, ...), before any softmax.
    target: class numbers, of the logits' shape without the classes; or probabilities, of the logits' shape.
    weight: one factor a class. ignore_index: a label that counts for nothing. The mean divides by the weights used.
    Raises IndexError for a label that is no class, saying which and where; TypeError and ValueError for dtypes and shapes.

    >>> import tinytorch as tt
    >>> tt.cross_entropy(tt.tensor([[2.0, 0.0], [0.0, 2.0]]), tt.tensor([0, 1]))
    tensor(0.1269)
    """
    logits, target, weight = as_tensors(cross_entropy_of_labels, (logits, target, weight))
    if logits.ndim == 0:
        raise ValueError("cross_entropy: expected logits with an axis of classes, got a 0-d tensor")
    if target.dtype.kind == "f" and target.shape == logits.shape:
        return _cross_entropy_of_probabilities(logits, target, weight, reduction, label_smoothing)
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction}
    if logits.ndim == 2:
        return cross_entropy_of_labels(logits, target, weight, **options)
    expected = (*logits.shape[:1], *logits.shape[2:]) if logits.ndim > 1 else ()
    if target.shape != expected:
        raise ValueError(
            f"cross_entropy: expected labels of shape {expected} for logits {logits.shape}, got {target.shape}"
        )
    classes = logits.shape[1] if logits.ndim > 1 else logits.shape[0]
    rows = reshape(movedim(logits, 1, -1) if logits.ndim > 1 else logits, shape=(-1, classes))
    loss = cross_entropy_of_labels(rows, reshape(target, shape=(-1,)), weight, **options)
    return reshape(loss, shape=expected) if reduction == "none" else loss


def _cross_entropy_of_probabilities(
    logits: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    check_reduction("cross_entropy", reduction)
    axis = min(1, logits.ndim - 1)
    classes = logits.shape[axis]
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    terms = log_softmax(logits, dim=axis) * target
    if weight is not None:
        terms = terms * reshape(weight, shape=(-1,) + (1,) * (logits.ndim - axis - 1))
    losses = -terms.sum(axis)
    return reduce_losses("cross_entropy", losses, reduction)


def nll_loss(
    log_probabilities: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """`-log_probabilities[target]`, for what `log_softmax` gave: (n, classes) and (n,), or (n, classes, ...).

    >>> import tinytorch as tt
    >>> tt.nll_loss(tt.tensor([[-0.5, -1.0]]), tt.tensor([1]))
    tensor(1.)
    """
    x, target, weight = as_tensors(cross_entropy_of_labels, (log_probabilities, target, weight))
    check_reduction("nll_loss", reduction)
    if target.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: expected labels of an integer dtype, got {target.dtype}. Convert with .long().")
    if x.ndim == 1:
        x = reshape(x, shape=(1, -1))
        target = reshape(target, shape=(1,) * (1 - target.ndim) + target.shape)
    expected = (*x.shape[:1], *x.shape[2:])
    if target.shape != expected:
        raise ValueError(f"nll_loss: expected labels of shape {expected} for input {x.shape}, got {target.shape}")
    classes, labels = x.shape[1], target._data
    used = labels != ignore_index
    wrong = used & ((labels < 0) | (labels >= classes))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IndexError(
            f"nll_loss: expected labels from 0 to {classes - 1} (or ignore_index {ignore_index}), got {labels[place]} "
            f"at position {place[0] if len(place) == 1 else place}"
        )
    if not labels.size and reduction == "mean":
        raise ValueError(f"nll_loss: the batch is empty, got input of shape {x.shape}. Expected a row or more.")
    index = np.where(used, labels, 0).astype(np.int64)
    factors = used.astype(x.dtype) if weight is None else used * weight._data.astype(x.dtype)[index]
    picked = reshape(gather_along(x, np.expand_dims(index, 1), dim=1), shape=expected)
    losses = -picked * new_tensor(factors)
    return losses.sum() / float(factors.sum()) if reduction == "mean" else reduce_losses("nll_loss", losses, reduction)


# --- binary cross-entropy -------------------------------------------------------------------------------


def _check_binary(name: str, x: Array, target: Array, reduction: str) -> Array:
    check_reduction(name, reduction)
    target = check_same_shape(name, x, target, reduction)
    if target.size and not (target.min() >= 0 and target.max() <= 1):
        place = tuple(int(i) for i in np.argwhere(~((target >= 0) & (target <= 1)))[0])
        raise ValueError(f"{name}: expected targets from 0 to 1, got {target[place]} at position {place}")
    return target


def _fitting(name: str, what: str, extra: Array | None, x: Array) -> Array | None:
    if extra is None:
        return None
    try:
        np.broadcast_to(extra, x.shape)
    except ValueError:
        raise ValueError(f"{name}: expected a {what} that broadcasts to {x.shape}, got {extra.shape}") from None
    return extra.astype(x.dtype, copy=False)


def _bad_targets(name: str) -> Any:
    def refusals(s: Any) -> list[Refusal]:
        x, t = s(3, low=0.1, high=0.9), s(3, low=0.1, high=0.9)
        none = (None, None) if name == "bce_with_logits" else ()
        return [
            Refusal((s(3, 1, low=0.1), t, *none), {}, ValueError, rf"{name}: expected a target of shape \(3, 1\).* got \(3,\)"),
            Refusal((x, np.array([0, 1, 1]), *none), {}, TypeError, rf"{name}: expected a floating point target, got int64"),
            Refusal((x, t - 2.0, *none), {}, ValueError, rf"{name}: expected targets from 0 to 1, got -\d\S+ at position \(0,\)"),
            Refusal((x * np.nan, t * np.nan, *none), {}, ValueError, rf"{name}: expected (targets|probabilities) from 0 to 1, got nan"),
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
        Refusal((s(0, 1), s(0, 1), None, None), {}, ValueError, r"bce_with_logits: the batch is empty, got shape \(0, 1\)"),
        Refusal((s(3), s(3, low=0.0), None, s(2)), {}, ValueError, r"bce_with_logits: expected a pos_weight .* \(3,\), got \(2,\)"),
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
    target = _check_binary(name, x, target, reduction)
    weight, pos_weight = _fitting(name, "weight", weight, x), _fitting(name, "pos_weight", pos_weight, x)
    return kernels.bce_with_logits(x, target, weight, pos_weight, reduction)


@fused_bce.gradient
def _(ctx: Node, g: Any) -> Any:
    x, target = ctx[0], ctx[1]
    weight, positive = (ctx[i] if i in ctx.saved else None for i in (2, 3))
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
        Sample(s(5, 3) if p.params.get("reduction") == "none" else s(), *p.args, **p.params) for p in _scores(s)[:-1]
    ],
    reference=lambda g, x, t, w, p, reduction="mean": _naive_bce_with_logits_grad(g, x, t, w, p, reduction),
)
def bce_with_logits_grad(
    g: Array, x: Array, target: Array, weight: Array | None, pos_weight: Array | None, /, reduction: str = "mean"
) -> Array:
    """The gradient of `bce_with_logits` to the scores."""
    target, weight, pos_weight = (
        None if a is None else a.astype(x.dtype, copy=False) for a in (target, weight, pos_weight)
    )
    return kernels.bce_with_logits_grad(g, x, target, weight, pos_weight, reduction)


@bce_with_logits_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    g, x, target = ctx[0], ctx[1], ctx[2]
    weight, positive = (ctx[i] if i in ctx.saved else None for i in (3, 4))
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
    w, p = (1.0 if a is None else a for a in (w, p))
    losses = w * (p * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x))
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _naive_bce_with_logits_grad(
    g: Array, x: Array, t: Array, w: Array | None, p: Array | None, reduction: str
) -> Array:
    w, p = (1.0 if a is None else a for a in (w, p))
    s = 1 / (1 + np.exp(-x))
    return g * w * (s * (1 - t) - p * t * (1 - s)) / (x.size if reduction == "mean" else 1)


def bce_with_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of `sigmoid(logits)` against targets from 0 to 1, of the same shape.

    weight multiplies the losses, pos_weight those of the targets 1; both broadcast.

    >>> import tinytorch as tt
    >>> tt.bce_with_logits(tt.tensor([0.0, 100.0]), tt.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    return fused_bce(logits, target, weight, pos_weight, reduction=reduction)


def _probabilities(s: Any) -> list[Sample]:
    return [Sample(s(5, 3, low=0.05, high=0.95), s(5, 3, low=0.0, high=1.0)), Sample(s(3, low=0.1, high=0.9), s(3, low=0.0))]


@op(
    name="binary_cross_entropy",
    saves=(0, 1),
    cost=lambda p, t, out: 6 * p.size,
    samples=_probabilities,
    refuses=lambda s: [
        *_bad_targets("binary_cross_entropy")(s),
        Refusal((np.array([0.5, 1.5]), np.array([0.0, 1.0])), {}, ValueError, r"binary_cross_entropy: expected probabilities from 0 to 1, got 1.5 at position \(1,\).*bce_with_logits"),
    ],
    reference=lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    oracle=lambda torch, p, t: torch.nn.functional.binary_cross_entropy(p, t, reduction="none"),
)  # fmt: skip
def bce_losses(p: Array, target: Array, /) -> Array:
    """`-(t * log(p) + (1 - t) * log(1 - p))`, elementwise, with logarithms not below -100."""
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        place = tuple(int(i) for i in np.argwhere(~((p >= 0) & (p <= 1)))[0])
        raise ValueError(
            f"binary_cross_entropy: expected probabilities from 0 to 1, got {p[place]} at position {place}. "
            "For scores that were not through a sigmoid, use bce_with_logits."
        )
    target = _check_binary("binary_cross_entropy", p, target, "none")
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    return np.asarray(-(target * yes + (1 - target) * no))


@bce_losses.gradient
def _(ctx: Node, g: Any) -> Any:
    p, target = ctx[0], ctx[1]
    to_p = g * (p - target) / (p * (1.0 - p)).clip(1e-12) if ctx.needs[0] else None
    to_target = None
    if ctx.needs[1]:
        to_target = g * ((1.0 - p).log().clip(-100.0) - p.log().clip(-100.0))
    return to_p, to_target


def binary_cross_entropy(p: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Binary cross-entropy of probabilities against targets from 0 to 1, of the same shape.

    For scores before a sigmoid `bce_with_logits` is faster and exact for large ones.
    """
    check_reduction("binary_cross_entropy", reduction)
    losses = bce_losses(p, target)
    return reduce_losses("binary_cross_entropy", losses if weight is None else losses * weight, reduction)
