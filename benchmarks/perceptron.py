"""Milestone 1's training step: 1,000 points, 2 inputs, 1 output, SGD."""

from __future__ import annotations

import numpy as np

from benchmarks.training import variants
from benchmarks.workload import Workload


def _points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 2)).astype(np.float32)
    return x, (x.sum(1, keepdims=True) > 0).astype(np.float32)


WORKLOADS = [Workload("perceptron step", variants((2, 1), _points, "BCEWithLogitsLoss", "SGD", lr=0.1))]
