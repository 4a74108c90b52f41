"""Accuracy and confusion, of every shape that scores come in."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.training import accuracy, confusion_matrix


@pytest.mark.parametrize(
    ("scores", "labels", "threshold", "expected"),
    [
        ([[0.2, 0.8], [0.9, 0.1], [0.6, 0.4]], [1, 0, 1], 0.5, 2 / 3),
        ([[0.9], [0.2]], [[1.0], [0.0]], 0.5, 1.0),
        ([0.9, 0.2], [1, 1], 0.5, 0.5),
        ([[0.3], [-0.3]], [[1.0], [0.0]], 0.0, 1.0),
        ([[float("nan")], [0.9]], [[1.0], [1.0]], 0.5, 0.5),
        ([[float("nan")], [0.9]], [[0.0], [1.0]], 0.5, 0.5),
        ([[float("nan")] * 3, [0.1, 0.2, 0.7]], [0, 2], 0.5, 0.5),
    ],
)
def test_accuracy(scores, labels, threshold, expected):
    assert accuracy(scores, labels, threshold) == pytest.approx(expected)
    assert accuracy(tt.tensor(scores), tt.tensor(labels), threshold) == pytest.approx(expected)


def test_accuracy_of_scores_with_a_graph():
    scores = tt.tensor([[1.0, 2.0]], requires_grad=True) * 2
    assert accuracy(scores, [1]) == 1.0


def test_confusion_counts_truth_by_row():
    scores = np.eye(3)[[0, 1, 1, 2, 0]]
    counts = confusion_matrix(scores, np.array([0, 1, 2, 2, 2]))
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
    assert counts.dtype == np.int64


def test_confusion_keeps_classes_that_do_not_occur():
    assert confusion_matrix([[1.0, 0.0, 0.0]], [0]).shape == (3, 3)
    assert confusion_matrix([0.9], [1], classes=2).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("scores", "labels", "text"),
    [
        ([[0.1, 0.9]], [1, 0], r"got scores \(1, 2\) and labels \(2,\)"),
        ([[0.1, 0.9]], [[0, 1]], r"one label for each row, got scores \(1, 2\) and labels \(1, 2\)"),
        (np.zeros((0, 2)), np.zeros(0), "expected at least one example, got none"),
        (np.zeros((1, 2, 2)), np.zeros(1), r"got scores \(1, 2, 2\)"),
    ],
)
def test_shapes_that_do_not_fit(scores, labels, text):
    with pytest.raises(ValueError, match=text):
        accuracy(scores, labels)


def test_labels_beyond_the_classes():
    with pytest.raises(ValueError, match="expected classes from 0 to 1, got labels up to 2"):
        confusion_matrix([[0.1, 0.9]], [2], classes=2)
