"""Milestone 3's training step: 784-128-64-10, Adam, at two batch sizes."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.training import flops, variants
from benchmarks.workload import Workload

WIDTHS = (784, 128, 64, 10)


def _images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((batch, 784), dtype=np.float32), rng.integers(0, 10, batch)


WORKLOADS = [
    Workload(
        f"mlp step b{batch} adam",
        variants(WIDTHS, partial(_images, batch), "CrossEntropyLoss", "Adam", lr=1e-3),
        flops=flops(WIDTHS, batch),
        measures_memory=True,
    )
    for batch in (64, 128)
]
