"""How good the answers are: on arrays and tensors, without a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.tensor import Tensor


def accuracy(scores: Any, labels: Any, threshold: float = 0.5) -> float:
    """The share of right answers, from 0 to 1. NaN is no answer, and so is not right.

    scores: (n, classes), of which the largest is the answer; or (n, 1) or (n,) for two classes, where above
        `threshold` means 1 (pass 0 for logits).
    labels: class numbers (n,), or 0 and 1 in the shape of the scores.

    Raises ValueError for shapes that do not fit and for no examples at all.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    answers, truth = _answers(scores, labels, threshold)
    given = ~np.isnan(_array(scores)).reshape(len(answers), -1).any(axis=1)
    return float(np.mean((answers == truth) & given))


def confusion_matrix(
    scores: Any, labels: Any, classes: int | None = None, threshold: float = 0.5
) -> np.ndarray:
    """How often class i (row) was answered with class j (column), (classes, classes) int64.

    >>> confusion_matrix([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 0])
    array([[0, 1],
           [1, 1]])
    """
    answers, truth = _answers(scores, labels, threshold)
    answers, truth = answers.astype(np.int64), truth.astype(np.int64)
    seen = int(max(answers.max(), truth.max(), 1)) + 1
    if classes is None:
        classes = max(seen, np.shape(_array(scores))[1] if np.ndim(_array(scores)) == 2 else 0)
    if seen > classes or min(answers.min(), truth.min()) < 0:
        raise ValueError(
            f"confusion_matrix: expected classes from 0 to {classes - 1}, got labels up to {seen - 1}"
        )
    return np.bincount(classes * truth + answers, minlength=classes * classes).reshape(classes, classes)


def _answers(scores: Any, labels: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = _array(scores), _array(labels)
    if scores.ndim not in (1, 2) or len(scores) != len(labels) or labels.size != len(labels):
        raise ValueError(
            f"expected scores of shape (n, classes), (n, 1) or (n,) and one label for each row, "
            f"got scores {scores.shape} and labels {labels.shape}"
        )
    if not len(scores):
        raise ValueError("expected at least one example, got none")
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores.argmax(1), labels.reshape(-1)
    return scores.reshape(-1) > threshold, labels.reshape(-1)


def _array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
