"""Losses for classes: cross-entropy fused with log-softmax, and the negative log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, new_tensor, op
from tinytorch.kernels import loss as kernels
from tinytorch.ops.common import Array
from tinytorch.ops.gather import gather_along
from tinytorch.ops.loss_regression import check_reduction, reduce_losses
from tinytorch.ops.shape import movedim, reshape
from tinytorch.ops.softmax import log_softmax, softmax, softmax_grad

_INT64 = np.dtype(np.int64)


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
        Refusal(
            (x, np.array([0, 4, 1]), None),
            {},
            IndexError,
            r"cross_entropy: expected labels from 0 to 3 .* got 4 at position 1",
        ),
        Refusal(
            (x, np.array([0, 1, -1]), None),
            {},
            IndexError,
            r"cross_entropy: expected labels from 0 to 3 .* got -1 at position 2",
        ),
        Refusal(
            (x, s(3), None), {}, TypeError, r"cross_entropy: expected labels of an integer dtype.* got float"
        ),
        Refusal(
            (x, np.zeros((3, 1), np.int64), None),
            {},
            ValueError,
            r"cross_entropy: expected labels of shape \(3,\).* got \(3, 1\)",
        ),
        Refusal(
            (x, labels, s(3)),
            {},
            ValueError,
            r"cross_entropy: expected a weight for each class, of shape \(4,\), got \(3,\)",
        ),
        Refusal(
            (x, labels, None),
            {"reduction": "avg"},
            ValueError,
            "cross_entropy: expected reduction 'mean', 'sum' or 'none', got 'avg'",
        ),
        Refusal(
            (x, labels, None),
            {"label_smoothing": 1.5},
            ValueError,
            "cross_entropy: expected label_smoothing from 0 to 1, got 1.5",
        ),
        Refusal(
            (s(0, 4), np.zeros(0, np.int64), None),
            {},
            ValueError,
            r"cross_entropy: the batch is empty, got logits of shape \(0, 4\)",
        ),
        Refusal(
            (np.zeros((3, 4), np.int64), labels, None),
            {},
            TypeError,
            "cross_entropy: expected floating point logits, got int64",
        ),
    ]


@op(
    name="cross_entropy",
    extras=True,
    constants=(2,),
    saves=(0, 1, 2),
    cost=lambda x, labels, weight, out, **_: 5 * x.size,
    samples=_labelled,
    refuses=_bad_labels,
    reference=lambda x, labels, weight, **params: _naive_cross_entropy(x, labels, weight, **params),
    oracle=lambda t, x, labels, weight, **params: t.nn.functional.cross_entropy(x, labels, weight, **params),
)
def cross_entropy_of_labels(
    logits: Array,
    labels: Array,
    weight: Array | None,
    /,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Any]:
    """Cross-entropy of logits (n, classes) and labels (n,); also what the gradient needs."""
    check_reduction("cross_entropy", reduction)
    if logits.dtype.kind != "f":
        raise TypeError(f"cross_entropy: expected floating point logits, got {logits.dtype}")
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy: expected labels of an integer dtype, one class number a row, got {labels.dtype} "
            f"of shape {labels.shape}. Convert them with .long(), or give probabilities of the logits' shape "
            f"{logits.shape}."
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
                f"cross_entropy: expected a weight for each class, of shape {logits.shape[1:]}, "
                f"got {weight.shape}"
            )
        weight = weight.astype(logits.dtype, copy=False)
    if not logits.size and reduction == "mean":
        raise ValueError(
            f"cross_entropy: the batch is empty, got logits of shape {logits.shape}. Expected a row or more."
        )
    labels = labels if labels.dtype is _INT64 else labels.astype(np.int64)
    loss, *saved = kernels.cross_entropy(logits, labels, weight, ignore_index, label_smoothing, reduction)
    return loss, saved


@cross_entropy_of_labels.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return cross_entropy_grad(g, ctx[0], ctx[1], ctx.get(2), saved=ctx.extras, **ctx.params), None, None


@op(
    saves=(0, 1, 2, 3),
    constants=(3,),
    cost=lambda g, x, labels, weight, out, **_: 4 * x.size,
    samples=lambda s: [
        Sample(s(6) if p.params.get("reduction") == "none" else s(), *p.args, **p.params)
        for p in _labelled(s)[:-1]
    ],
    reference=lambda g, x, labels, weight, **params: _naive_cross_entropy_grad(
        g, x, labels, weight, **params
    ),
)
def cross_entropy_grad(
    g: Array,
    logits: Array,
    labels: Array,
    weight: Array | None,
    /,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    saved: Any = None,
) -> Array:
    """The gradient of the cross-entropy to the logits: (softmax - target) * g, reduced like the loss.

    saved: what the forward kept; computed again where there is none.
    """
    labels = labels if labels.dtype is _INT64 else labels.astype(np.int64)
    weight = None if weight is None else weight.astype(logits.dtype, copy=False)
    options = (weight, ignore_index, label_smoothing, reduction)
    if saved is None:
        saved = kernels.cross_entropy(logits, labels, *options)[1:]
    logsumexp, label_weights = saved
    return kernels.cross_entropy_grad(g, logits, labels, logsumexp, label_weights, *options)


@cross_entropy_grad.gradient
def _(ctx: Node, h: Any) -> Any:
    weight = None if ctx.get(3) is None else ctx[3]._data
    options = {k: v for k, v in ctx.params.items() if k != "saved"}
    slope, target = _linear_part(ctx[1]._data, ctx[2]._data, weight, **options)
    slope, target = new_tensor(slope), new_tensor(target)
    p = softmax(ctx[1], dim=1)
    to_g = (h * (p * slope - target)).sum(1) if ctx.needs[0] else None
    to_logits = softmax_grad(h, p, dim=1) * (slope * ctx[0].reshape((-1, 1))) if ctx.needs[1] else None
    return to_g, to_logits, None, None


def _linear_part(
    logits: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    """(n, 1) and (n, classes) with which the gradient is `softmax * slope - target`."""
    classes = logits.shape[1]
    w = np.ones(classes, logits.dtype) if weight is None else weight.astype(logits.dtype)
    used = labels != ignore_index
    rows = np.flatnonzero(used)
    target = np.zeros_like(logits)
    target[rows] = label_smoothing / classes * w
    target[rows, labels[rows]] += (1.0 - label_smoothing) * w[labels[rows]]
    if reduction == "mean":
        with np.errstate(invalid="ignore"):  # with every label ignored the mean is NaN, and so is this
            target /= w[labels[rows]].sum()
    return target.sum(axis=1, keepdims=True), target


def _naive_cross_entropy(
    x: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    losses, total = [], 0.0
    w = np.ones(x.shape[1]) if weight is None else weight
    for row, label in zip(x, labels, strict=True):
        if label == ignore_index:
            losses.append(0.0)
            continue
        nll = np.log(np.exp(row - row.max()).sum()) + row.max() - row
        losses.append(
            (1 - label_smoothing) * w[label] * nll[label] + label_smoothing / len(row) * (w * nll).sum()
        )
        total += w[label]
    if reduction == "none":
        return np.array(losses)
    return np.sum(losses) / (total if reduction == "mean" else 1.0)


def _naive_cross_entropy_grad(
    g: Array, x: Array, labels: Array, weight: Array | None, **params: Any
) -> Array:
    slope, target = _linear_part(x, labels, weight, **params)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return g.reshape(-1, 1) * (e / e.sum(axis=1, keepdims=True) * slope - target)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """`-log(softmax(input)[target])`: what a classifier is trained with.

    input: logits, (classes,), (n, classes) or (n, classes, ...), before any softmax.
    target: class numbers, of the logits' shape without the classes; or probabilities, of the logits' shape.
    weight: one factor a class. ignore_index: a label that counts for nothing. The mean divides by the weights
    used. Raises IndexError for a label that is no class, saying which and where; TypeError and ValueError for
    wrong dtypes and shapes.

    >>> import tinytorch as tt
    >>> tt.cross_entropy(tt.tensor([[2.0, 0.0], [0.0, 2.0]]), tt.tensor([0, 1]))
    tensor(0.1269)
    """
    logits, target, weight = as_tensors(cross_entropy_of_labels, (input, target, weight))
    if logits._data.ndim == 0:
        raise ValueError("cross_entropy: expected logits with an axis of classes, got a 0-d tensor")
    if target._data.dtype.kind == "f" and target.shape == logits.shape:
        return _cross_entropy_of_probabilities(logits, target, weight, reduction, label_smoothing)
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction}
    if logits._data.ndim == 2:
        return apply(cross_entropy_of_labels, (logits, target, weight), options)
    expected = (*logits.shape[:1], *logits.shape[2:]) if logits.ndim > 1 else ()
    if target.shape != expected:
        raise ValueError(
            f"cross_entropy: expected labels of shape {expected} for logits {logits.shape}, "
            f"got {target.shape}"
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
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """`-input[target]`, for what `log_softmax` gave: (n, classes) and (n,), or (n, classes, ...).

    >>> import tinytorch as tt
    >>> tt.nll_loss(tt.tensor([[-0.5, -1.0]]), tt.tensor([1]))
    tensor(1.)
    """
    x, target, weight = as_tensors(cross_entropy_of_labels, (input, target, weight))
    check_reduction("nll_loss", reduction)
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"nll_loss: expected labels of an integer dtype, got {target.dtype}. Convert with .long()."
        )
    if x.ndim == 1:
        if target.shape not in ((), (1,)):
            raise ValueError(
                f"nll_loss: expected one label, of shape (), for input {x.shape}, got {target.shape}"
            )
        loss = nll_loss(
            reshape(x, shape=(1, -1)), reshape(target, shape=(1,)), weight, ignore_index, reduction
        )
        return reshape(loss, shape=()) if reduction == "none" else loss
    expected = (*x.shape[:1], *x.shape[2:])
    if target.shape != expected:
        raise ValueError(
            f"nll_loss: expected labels of shape {expected} for input {x.shape}, got {target.shape}"
        )
    classes, labels = x.shape[1], target._data
    used = labels != ignore_index
    wrong = used & ((labels < 0) | (labels >= classes))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IndexError(
            f"nll_loss: expected labels from 0 to {classes - 1} (or ignore_index {ignore_index}), "
            f"got {labels[place]} at position {place[0] if len(place) == 1 else place}"
        )
    if not labels.size and reduction == "mean":
        raise ValueError(
            f"nll_loss: the batch is empty, got input of shape {x.shape}. Expected a row or more."
        )
    index = np.where(used, labels, 0).astype(np.int64)
    factors = used.astype(x.dtype) if weight is None else used * weight._data.astype(x.dtype)[index]
    picked = reshape(gather_along(x, np.expand_dims(index, 1), dim=1), shape=expected)
    losses = -picked * new_tensor(factors)
    return (
        losses.sum() / float(factors.sum())
        if reduction == "mean"
        else reduce_losses("nll_loss", losses, reduction)
    )
