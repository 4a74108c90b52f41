"""Fused losses: cross-entropy with log-softmax, binary cross-entropy with sigmoid, mean of squares.

The forward kernels return the reduced loss directly, added up in float64 over fixed blocks, so a mean over a
batch is one launch.  Cross-entropy keeps one number a row for its gradient, the logarithm of the sum of
exponentials.

Rows of few classes are exponentiated together, as one flat run, so that rows of ten fill the vectors too;
rows of many, such as a vocabulary, one by one and without an array between: neither way stores a log-softmax.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import both, ready
from tinytorch.kernels.memory import empty

BLOCK = 4096  # elements that one iteration takes
PIECE = 1024
LONG = 1024  # classes from which a row goes through by itself
_SERIAL = 8192
_NONE = {np.dtype(kind): np.empty(0, kind) for kind in (np.float32, np.float64)}  # an absent operand


@kernel(inline=True)
def _sum_of_exponentials(row, top):
    """In pieces of PIECE numbers, whose sums in their own type are as exact as need be."""
    total = np.float64(0)
    for start in range(0, row.size, PIECE):
        piece = row[start : start + PIECE]
        part = type(top)(0)
        for j in range(piece.size):
            part += vecmath.normal_exp(piece[j] - top)
        total += part
    return total


def _cross_entropy_rows(logits, c, labels, weight, ignore_index, smoothing, logsumexp, losses):
    """Fills logsumexp (n,) and losses (n,); returns their sum, the labels' weights, and the first bad row."""
    n = labels.size
    block = max(1, BLOCK // c)
    tasks = (n + block - 1) // block
    totals = np.zeros((tasks, 2))
    bad = np.full(tasks, n)
    for task in prange(tasks):  # owns totals[task], bad[task] and `block` elements of logsumexp and losses
        first, last = task * block, min(n, (task + 1) * block)
        part = logits[first * c : last * c]
        shifted = np.empty(0 if c >= LONG else part.size, logits.dtype)
        for r in range(last - first):
            row = part[r * c : (r + 1) * c]
            top = row[0]
            for j in range(row.size):
                top = vecmath.maximum(top, row[j])
            logsumexp[first + r] = top
            out = shifted[r * c : (r + 1) * c]
            for j in range(out.size):
                out[j] = row[j] - top
        for i in range(shifted.size):
            shifted[i] = vecmath.exp(shifted[i])
        for r in range(last - first):
            row, out = part[r * c : (r + 1) * c], shifted[r * c : (r + 1) * c]
            total = np.float64(0)
            for j in range(out.size):
                total += out[j]
            if c >= LONG:
                total = _sum_of_exponentials(row, logsumexp[first + r])
            top, log_total = np.float64(logsumexp[first + r]), np.log(total)
            logsumexp[first + r] = top + log_total
            label = labels[first + r]
            losses[first + r] = 0
            if label == ignore_index:
                continue
            if label < 0 or label >= c:
                bad[task] = min(bad[task], first + r)
                continue
            label_weight = np.float64(weight[label]) if weight.size else 1.0
            loss = label_weight * (log_total - (row[label] - top))
            if smoothing != 0.0:
                smooth = np.float64(0)
                if weight.size:
                    for j in range(row.size):
                        smooth += weight[j] * (log_total - (row[j] - top))
                else:
                    for j in range(row.size):
                        smooth += log_total - (row[j] - top)
                loss = (1.0 - smoothing) * loss + smoothing / c * smooth
            losses[first + r] = loss
            totals[task, 0] += loss
            totals[task, 1] += label_weight
    loss, weights, worst = 0.0, 0.0, n
    for task in range(tasks):
        loss += totals[task, 0]
        weights += totals[task, 1]
        worst = min(worst, bad[task])
    return loss, weights, worst


def _cross_entropy_grad_rows(g, scale, logits, c, labels, weight, ignore_index, smoothing, logsumexp, out):
    """out[r] = scale * g[r] * d losses[r] / d logits[r]; g has one element or n."""
    n = labels.size
    block = max(1, BLOCK // c)
    weight_sum = np.float64(c)
    if weight.size:
        weight_sum = 0.0
        for j in range(weight.size):
            weight_sum += weight[j]
    for task in prange((n + block - 1) // block):  # owns `block` rows of out
        first, last = task * block, min(n, (task + 1) * block)
        part = out[first * c : last * c]
        if c < LONG:
            for r in range(first, last):
                row, shifted = logits[r * c : (r + 1) * c], out[r * c : (r + 1) * c]
                for j in range(row.size):
                    shifted[j] = row[j] - logsumexp[r]
            for i in range(part.size):
                part[i] = vecmath.exp(part[i])
        for r in range(last - first):
            row = part[r * c : (r + 1) * c]
            label = labels[first + r]
            if label == ignore_index:
                for j in range(row.size):
                    row[j] = 0
                continue
            outer = scale * g[first + r if g.size > 1 else 0]
            at_label = (1.0 - smoothing) * outer * (weight[label] if weight.size else 1.0)
            even = smoothing / c * outer
            slope = out.dtype.type(at_label + even * weight_sum)
            if c < LONG:
                for j in range(row.size):
                    row[j] *= slope
            else:
                given, shift = logits[(first + r) * c : (first + r + 1) * c], logsumexp[first + r]
                for j in range(row.size):
                    row[j] = vecmath.exp(given[j] - shift) * slope
            if smoothing != 0.0:
                for j in range(row.size):
                    row[j] -= out.dtype.type(even * (weight[j] if weight.size else 1.0))
            row[label] -= out.dtype.type(at_label)


def _bce_flat(x, target, weight, positive, losses):
    """Returns the sum of binary cross-entropies, and whether all targets are from 0 to 1.

    Fills losses unless it is empty.
    """
    tasks = (x.size + BLOCK - 1) // BLOCK
    totals = np.zeros(tasks)
    bad = np.zeros(tasks, np.bool_)
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for task in prange(tasks):  # owns totals[task], bad[task] and BLOCK elements of losses
        start, stop = task * BLOCK, min(x.size, (task + 1) * BLOCK)
        z, t, w, p = x[start:stop], target[start:stop], weight[start:stop], positive[start:stop]
        outside = False
        for i in range(t.size):
            outside |= not (t[i] >= zero and t[i] <= one)
        bad[task] = outside
        kept = np.empty(z.size, x.dtype)
        for i in range(kept.size):  # log(1 + exp(-z)), without overflow
            kept[i] = vecmath.log1p(vecmath.exp(-abs(z[i]))) + (zero if z[i] >= zero else -z[i])
        for i in range(p.size):
            kept[i] *= one + (p[i] - one) * t[i]
        for i in range(kept.size):
            kept[i] += (one - t[i]) * z[i]
        for i in range(w.size):
            kept[i] *= w[i]
        out = losses[start:stop]
        for i in range(out.size):
            out[i] = kept[i]
        total = np.float64(0)
        for i in range(kept.size):
            total += kept[i]
        totals[task] = total
    total, right = np.float64(0), True
    for task in range(tasks):
        total += totals[task]
        right &= not bad[task]
    return total, right


def _bce_grad_flat(g, scale, x, target, weight, positive, out):
    """out = scale * g * weight * (sigmoid(x) * (1 + (positive - 1) * t) - positive * t)."""
    one = x.dtype.type(1)
    factor = x.dtype.type(scale)
    for task in prange((x.size + BLOCK - 1) // BLOCK):  # owns BLOCK elements of out
        start, stop = task * BLOCK, min(x.size, (task + 1) * BLOCK)
        z, t, w, p = x[start:stop], target[start:stop], weight[start:stop], positive[start:stop]
        part = out[start:stop]
        if positive.size:
            for i in range(part.size):
                part[i] = vecmath.sigmoid(z[i]) * (one + (p[i] - one) * t[i]) - p[i] * t[i]
        else:
            for i in range(part.size):
                part[i] = vecmath.sigmoid(z[i]) - t[i]
        if weight.size:
            for i in range(part.size):
                part[i] *= w[i]
        if g.size > 1:
            outer = g[start:stop]
            for i in range(part.size):
                part[i] *= factor * outer[i]
        else:
            outer_all = factor * g[0]
            for i in range(part.size):
                part[i] *= outer_all


def _mse_flat(x, target):
    """Returns the sum of (x - target)**2."""
    tasks = (x.size + BLOCK - 1) // BLOCK
    totals = np.zeros(tasks)
    for task in prange(tasks):  # owns totals[task]
        z, t = x[task * BLOCK : (task + 1) * BLOCK], target[task * BLOCK : (task + 1) * BLOCK]
        total = np.float64(0)
        for i in range(z.size):
            difference = z[i] - t[i]
            total += difference * difference
        totals[task] = total
    total = np.float64(0)
    for task in range(tasks):
        total += totals[task]
    return total


def _mse_grad_flat(g, scale, x, target, out):
    """out = scale * g * (x - target)."""
    factor = x.dtype.type(scale * g[0])
    for task in prange((x.size + BLOCK - 1) // BLOCK):  # owns BLOCK elements of out
        z, t = x[task * BLOCK : (task + 1) * BLOCK], target[task * BLOCK : (task + 1) * BLOCK]
        part = out[task * BLOCK : (task + 1) * BLOCK]
        for i in range(part.size):
            part[i] = factor * (z[i] - t[i])


_cross_entropy = both(_cross_entropy_rows, "cross_entropy")
_cross_entropy_grad = both(_cross_entropy_grad_rows, "cross_entropy_grad")
_bce = both(_bce_flat, "bce_with_logits")
_bce_grad = both(_bce_grad_flat, "bce_with_logits_grad")
_mse = both(_mse_flat, "mse")
_mse_grad = both(_mse_grad_flat, "mse_grad")


def _divisor(reduction: str, count: float) -> float:
    """What the sum of the losses is divided by."""
    if reduction == "mean":
        return count
    if reduction in ("sum", "none"):
        return 1.0
    raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")


def _scalar(value: float, divisor: float, dtype: np.dtype) -> np.ndarray:
    return np.array(value / divisor if divisor else np.nan, dtype)


def cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[np.ndarray, np.ndarray, float]:
    """-log(softmax(logits)[label]) of each row, reduced; what the gradient needs beside it.

    logits (n, c) float, labels (n,) int64, weight (c,) per class or None.  With smoothing e a row's loss is
    (1 - e) * w[label] * nll[label] + e / c * sum over classes of w * nll.  Rows labelled `ignore_index` count
    for nothing; the mean divides by the sum of the labels' weights, and is NaN if there are none.

    Returns the loss (0-d, or (n,) for reduction "none"), logsumexp (n,), and the sum of the labels' weights.
    Raises IndexError for a label outside 0 .. c - 1.

    >>> loss, _, _ = cross_entropy(np.zeros((1, 2)), np.array([1]))
    >>> round(float(loss), 4)
    0.6931
    """
    n, c = logits.shape
    dtype = logits.dtype
    divisor = _divisor(reduction, 0.0)
    logits, labels = ready(logits), ready(labels)
    weights = _NONE[dtype] if weight is None else ready(weight)
    logsumexp, losses = empty((n,), dtype), empty((n,), dtype)
    total, label_weights, bad = _cross_entropy[logits.size > _SERIAL](
        logits.ravel(), c, labels, weights, ignore_index, float(label_smoothing), logsumexp, losses
    )
    if bad < n:
        raise IndexError(
            f"cross_entropy: expected labels from 0 to {c - 1} (or ignore_index {ignore_index}), "
            f"got {labels[bad]} at position {bad}. Logits have shape {logits.shape}: one column a class."
        )
    if reduction == "none":
        return losses, logsumexp, label_weights
    return _scalar(total, divisor or label_weights, dtype), logsumexp, label_weights


def cross_entropy_grad(
    g: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    logsumexp: np.ndarray,
    label_weights: float,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> np.ndarray:
    """The gradient to the logits, (n, c): softmax minus one at the label, times weight and g.

    g is 0-d, or (n,) for reduction "none"; logsumexp and label_weights are what `cross_entropy` returned.
    """
    logits, labels, g = ready(logits), ready(labels), ready(g)
    weights = _NONE[logits.dtype] if weight is None else ready(weight)
    out = empty(logits.shape, logits.dtype)
    if out.size:
        scale = 1.0 / (_divisor(reduction, label_weights) or np.nan)
        _cross_entropy_grad[out.size > _SERIAL](
            g.ravel(), scale, logits.ravel(), logits.shape[1], labels, weights, ignore_index,
            float(label_smoothing), logsumexp, out.ravel(),
        )  # fmt: skip
    return out


def _spread(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`x` broadcast to the elements of `like`, flat."""
    return ready(x if x.shape == like.shape else np.broadcast_to(x, like.shape)).ravel()


def bce_with_logits(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    reduction: str = "mean",
) -> np.ndarray:
    """Binary cross-entropy of sigmoid(x) against targets in [0, 1], stable for any x.

    weight * ((1 - t) * x + (1 + (pos_weight - 1) * t) * log(1 + exp(-x))); x and target have one shape,
    weight and pos_weight broadcast to it.  0-d, or x's shape for reduction "none".
    Raises ValueError for a target outside of [0, 1].
    """
    divisor = _divisor(reduction, float(x.size))
    x, target = ready(x), ready(target)
    none = _NONE[x.dtype]
    losses = empty(x.shape, x.dtype) if reduction == "none" else none
    factors = none if weight is None else _spread(weight, x)
    positive = none if pos_weight is None else _spread(pos_weight, x)
    total, right = _bce[x.size > _SERIAL](x.ravel(), target.ravel(), factors, positive, losses.ravel())
    if not right:
        refuse_targets("bce_with_logits", target)
    return losses if reduction == "none" else _scalar(total, divisor, x.dtype)


def refuse_targets(name: str, target: np.ndarray) -> None:
    """Say which target of a binary cross-entropy is not from 0 to 1."""
    place = tuple(int(i) for i in np.argwhere(~((target >= 0) & (target <= 1)))[0])
    raise ValueError(f"{name}: expected targets from 0 to 1, got {target[place]} at position {place}")


def bce_with_logits_grad(
    g: np.ndarray,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    reduction: str = "mean",
) -> np.ndarray:
    """The gradient to x: weight * (sigmoid(x) * (1 + (pos_weight - 1) * t) - pos_weight * t) * g."""
    x, target, g = ready(x), ready(target), ready(g)
    out = empty(x.shape, x.dtype)
    if out.size:
        scale, none = 1.0 / _divisor(reduction, float(x.size)), _NONE[x.dtype]
        factors = none if weight is None else _spread(weight, x)
        positive = none if pos_weight is None else _spread(pos_weight, x)
        _bce_grad[x.size > _SERIAL](
            g.ravel(), scale, x.ravel(), target.ravel(), factors, positive, out.ravel()
        )  # fmt: skip
    return out


def mse(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """Mean (or sum) of (x - target)**2 over two arrays of one shape, 0-d."""
    divisor = _divisor(reduction, float(x.size))
    x, target = ready(x), ready(target)
    return _scalar(_mse[x.size > _SERIAL](x.ravel(), target.ravel()), divisor, x.dtype)


def mse_grad(g: np.ndarray, x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """The gradient to x: 2 * (x - target) * g, divided by the number of elements for a mean."""
    x, target, g = ready(x), ready(target), ready(g)
    out = empty(x.shape, x.dtype)
    if out.size:
        scale = 2.0 / _divisor(reduction, float(x.size))
        _mse_grad[x.size > _SERIAL](g.ravel(), scale, x.ravel(), target.ravel(), out.ravel())
    return out
