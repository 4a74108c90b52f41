"""What the grader asks a trained network, and the network's answers, worked out from its weights in NumPy.

Nothing of the library under examination takes part in an answer: a wrong forward pass, a wrong metric and an
invented number all show up as a difference between what a script reports and what its weights can do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grading.thresholds import EXAM, Milestone
from tinytorch import datasets

_CHUNK = 10_000  # examples at a time, in float64

Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Exam:
    """Questions and right answers; `train_x` and `train_y` are None where training data are made at will.

    Inputs are float32 (n, features), answers int64 (n,).
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
    data = getattr(datasets, dataset)()
    train_x, test_x = (
        images.reshape(len(images), -1).astype(np.float32) / np.float32(data.max_value)
        for images in (data.train_images, data.test_images)
    )
    return Exam(test_x, data.test_labels, train_x, data.train_labels)


def layers_of(weights: Mapping[str, np.ndarray], milestone: Milestone) -> Layers:
    """Weight (out, in) and bias (out,) of every layer, in order; ValueError where they are not its own."""
    names = sorted((name for name in weights if name.endswith("weight")), key=_natural)
    shapes = [weights[name].shape for name in names]
    if shapes != milestone.shapes:
        raise ValueError(f"expected weights of shapes {milestone.shapes}, got {shapes or 'none at all'}")
    layers = []
    for name in names:
        bias = weights.get(name.removesuffix("weight") + "bias")
        if bias is None or bias.shape != weights[name].shape[:1]:
            found = "none" if bias is None else f"shape {bias.shape}"
            raise ValueError(f"expected a bias of shape {weights[name].shape[:1]} beside {name}, got {found}")
        layers.append((weights[name].astype(np.float64), bias.astype(np.float64)))
    return layers


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts layers.10 behind layers.2."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def logits(layers: Layers, x: np.ndarray, *, relu: bool = True) -> np.ndarray:
    """The network's output before its sigmoid or softmax; `relu=False` leaves out what stands between."""
    out = x.astype(np.float64)
    for weight, bias in layers[:-1]:
        out = out @ weight.T + bias
        if relu:
            out = np.maximum(out, 0)
    weight, bias = layers[-1]
    return out @ weight.T + bias


def accuracy(layers: Layers, x: np.ndarray, y: np.ndarray, *, relu: bool = True) -> float:
    """The fraction of `x` that the network answers with `y`."""
    right = 0
    for first in range(0, len(x), _CHUNK):
        rows = slice(first, first + _CHUNK)
        out = logits(layers, x[rows], relu=relu)
        answers = out[:, 0] > 0 if out.shape[1] == 1 else out.argmax(1)
        right += int(np.sum(answers == y[rows]))
    return right / len(x)
