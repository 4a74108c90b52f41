"""What the grader asks a trained network, and how many of its answers are right.

The answers are worked out from its weights in NumPy (`networks`): a wrong metric and an invented number show
up as a difference between what a script reports and what its weights can do.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from grading.networks import Network, Weights
from grading.thresholds import EXAM
from tinytorch import datasets

_NUMBERS = 8_000_000  # activations at a time
_SMALL = 10_000  # of an example: networks with fewer are worked out in float64


@dataclass(frozen=True, eq=False)
class Exam:
    """Questions and right answers; `train_x` and `train_y` are None where training data are made at will.

    Inputs are float32 from 0 to 1, (n, ...), answers int64 (n,). Of the training data there are at most as
    many as `train_images` in thresholds.toml says.
    """

    x: np.ndarray
    y: np.ndarray
    train_x: np.ndarray | None = None
    train_y: np.ndarray | None = None


def exam(dataset: str) -> Exam:
    """The exam in `dataset`: its test images, or fresh points that no training run can have seen.

    Raises DatasetUnavailable when the images are neither there nor to be had; that is tried once.
    """
    found = _attempt(dataset)
    if isinstance(found, datasets.DatasetUnavailable):
        raise found
    return found


@functools.cache
def _attempt(dataset: str) -> Exam | datasets.DatasetUnavailable:
    try:
        return _load(dataset)
    except datasets.DatasetUnavailable as error:
        return error


def _load(dataset: str) -> Exam:
    if dataset in ("two_gaussians", "xor"):
        x, y = getattr(datasets, dataset)(EXAM["points"], seed=EXAM["seed"])
        return Exam(x, y[:, 0].astype(np.int64))
    data = getattr(datasets, dataset.replace("-", ""))()
    kept = slice(EXAM["train_images"])
    train_x, test_x = (
        images.astype(np.float32) / np.float32(data.max_value)
        for images in (data.train_images[kept], data.test_images)
    )
    return Exam(test_x, data.test_labels, train_x, data.train_labels[kept])


def accuracy(network: Network, weights: Weights, x: np.ndarray, y: np.ndarray, *, relu: bool = True) -> float:
    """The fraction of `x` that the network answers with `y`; `relu=False` leaves out what is not linear."""
    size = max(1, _NUMBERS // network.numbers)
    dtype = np.float64 if network.numbers < _SMALL else np.float32
    right = 0
    for first in range(0, len(x), size):
        rows = slice(first, first + size)
        out = network.answer(weights, network.prepared(x[rows].astype(dtype)), relu=relu)
        answers = out[:, 0] > 0 if out.shape[1] == 1 else out.argmax(1)
        right += int(np.sum(answers == y[rows]))
    return right / len(x)
