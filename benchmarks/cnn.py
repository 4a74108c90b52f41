"""A training step of a convolutional network on CIFAR-10: conv 32, conv 64, linear 256, Adam."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Step, Workload


def _network(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 256), nn.ReLU(), nn.Linear(256, 10),
    )  # fmt: skip


def _images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, batch)


def _step(library: Any, batch: int, convert: Any, compiled: bool = False, **options: Any) -> Step:
    model = _network(library.nn)
    update = library.optim.Adam(model.parameters(), lr=1e-3, **options)
    criterion = library.nn.CrossEntropyLoss()
    x, y = (convert(array) for array in _images(batch))

    def forward(x: Any, y: Any) -> Any:
        return criterion(model(x), y)

    loss = library.compile(forward) if compiled else forward

    def step() -> None:
        update.zero_grad()
        loss(x, y).backward()
        update.step()

    return step


def ours(batch: int) -> Step:
    import tinytorch

    return _step(tinytorch, batch, tinytorch.tensor)


def torch(batch: int, **options: Any) -> Step:
    import torch

    return _step(torch, batch, torch.from_numpy, **options)


# Multiply-adds of an image, forward; the backward pass takes two more of each, but the first layer's input.
_FIRST, _OTHERS = 32 * 27 * 32 * 32, 64 * 288 * 16 * 16 + 4096 * 256 + 256 * 10

WORKLOADS = [
    Workload(
        f"cnn step b{batch} adam",
        {
            OURS: partial(ours, batch),
            "torch-eager": partial(torch, batch),
            "torch-fused": partial(torch, batch, fused=True),
            "torch-compile": partial(torch, batch, fused=True, compiled=True),
        },
        flops=2.0 * batch * (2 * _FIRST + 3 * _OTHERS),
        measures_memory=True,
    )
    for batch in (64, 128)
]
