"""05 Losses: MSELoss, BCELoss and CrossEntropyLoss."""

from __future__ import annotations

import math

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

P = np.array([[0.9], [0.2], [0.6], [0.5]])
Y = np.array([[1.0], [0.0], [0.0], [1.0]])
LOGITS, LABELS = naive.numbers(5, 3), np.array([2, 0, 1, 1, 2])


def test_squares_are_averaged(lib: Names):
    a, b = naive.numbers(4, 2), naive.numbers(4, 2, seed=1)
    expected = sum((x - y) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)) / 8
    close("MSELoss()(a, b)", lib.MSELoss()(lib.tensor(a), lib.tensor(b)), expected, "Mean of (a - b)².")


def test_binary_cross_entropy_asks_for_the_right_answers_probability(lib: Names):
    right = (0.9, 0.8, 0.4, 0.5)
    expected = sum(-math.log(p) for p in right) / 4
    found = lib.BCELoss()(lib.tensor(P), lib.tensor(Y))
    close("BCELoss()(p, y)", found, expected, "Mean of -(y log p + (1 - y) log(1 - p)), natural logarithm.")


def test_binary_cross_entropy_survives_certainty(lib: Names):
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = numbers(lib.BCELoss()(lib.tensor([[1.0], [0.0], [1.0]]), lib.tensor([[1.0], [0.0], [0.0]])))
    holds(np.isfinite(loss).all() and loss > 3, f"BCELoss of probabilities 0 and 1, one of them wrong: "
          f"expected a large finite number, got {float(loss):g}", "Keep the logarithm from 0.")  # fmt: skip


def test_cross_entropy_takes_logits(lib: Names):
    found = lib.CrossEntropyLoss()(lib.tensor(LOGITS), lib.tensor(LABELS))
    expected = naive.cross_entropy(LOGITS, LABELS)
    close("CrossEntropyLoss()(logits, labels)", found, expected, "-log softmax(logits)[label], and the mean.")


def test_not_knowing_costs_the_logarithm_of_the_classes(lib: Names):
    found = lib.CrossEntropyLoss()(lib.tensor(np.zeros((4, 10))), lib.tensor(np.arange(4)))
    close("CrossEntropyLoss of ten equal logits", found, math.log(10), "Each class has the share 1/10.")


def test_cross_entropy_survives_large_logits(lib: Names):
    with np.errstate(all="ignore"):
        found = lib.CrossEntropyLoss()(lib.tensor([[1000.0, 998.0], [0.0, 5000.0]]), lib.tensor([1, 1]))
    expected = (2 + math.log(1 + math.exp(-2))) / 2
    close("CrossEntropyLoss of logits up to 5000", found, expected, "Subtract each row's largest before exp.")


def test_only_differences_of_logits_count(lib: Names):
    found = lib.CrossEntropyLoss()(lib.tensor(LOGITS + 7.0), lib.tensor(LABELS))
    close("the loss of logits + 7", found, naive.cross_entropy(LOGITS, LABELS), "The same as without.")


def test_the_loss_does_not_grow_with_the_batch(lib: Names):
    twice = np.concatenate([LOGITS, LOGITS]), np.concatenate([LABELS, LABELS])
    found = lib.CrossEntropyLoss()(lib.tensor(twice[0]), lib.tensor(twice[1]))
    close("the loss of a batch twice over", found, naive.cross_entropy(LOGITS, LABELS),
          "A mean and not a sum, or the learning rate depends on the batch.")  # fmt: skip
