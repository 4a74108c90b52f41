"""Recurrent layers, forward and backward on one batch of sequences, with gradients to weights and input."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Step, Workload

STEPS, BATCH, WIDTH = 64, 32, 128  # the width of the input and of the state


def _step(layer: Any, convert: Any) -> Step:
    draw = np.random.default_rng(0)
    x, g = (convert(draw.standard_normal((STEPS, BATCH, WIDTH)).astype(np.float32)) for _ in range(2))
    leaves = [*layer.parameters(), x.requires_grad_()]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        layer(x)[0].backward(g)

    return step


def ours(kind: str) -> Step:
    import tinytorch as tt

    return _step(getattr(tt.nn, kind)(WIDTH, WIDTH), tt.tensor)


def torch(kind: str) -> Step:
    import torch

    return _step(getattr(torch.nn, kind)(WIDTH, WIDTH), torch.from_numpy)


WORKLOADS = [
    Workload(
        f"{kind.lower()} step b{BATCH} t{STEPS} h{WIDTH}",
        {OURS: partial(ours, kind), "torch-eager": partial(torch, kind)},
        flops=3 * 4.0 * gates * WIDTH * WIDTH * STEPS * BATCH,
    )
    for kind, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3))
]
