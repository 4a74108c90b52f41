"""Milestone 2's training step: 1,000 points, 2-4-1, SGD."""

from __future__ import annotations

import numpy as np

from benchmarks.training import variants
from benchmarks.workload import Workload


def _points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 2)).astype(np.float32)
    return x, (x[:, :1] * x[:, 1:] < 0).astype(np.float32)


WORKLOADS = [Workload("xor step", variants((2, 4, 1), _points, "BCEWithLogitsLoss", "SGD", lr=0.1))]
