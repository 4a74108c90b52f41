"""A training step of the small residual network on CIFAR-10: SGD with Nesterov's momentum, weight decay."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import jax_layers, jax_step
from benchmarks.image_step import Network, workload

SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
FIRST, SECOND, THIRD = 32, 64, 128


def ours() -> Any:
    from tinytorch.models import SmallResNet

    return SmallResNet(channels=(FIRST, SECOND, THIRD))


def torch() -> Any:
    """`tinytorch.models.SmallResNet`, layer by layer."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.layers = nn.Sequential(*stage(channels, channels), *stage(channels, channels))

        def forward(self, x: Any) -> Any:
            return x + self.layers(x)

    def stage(inputs: int, outputs: int, halve: bool = False) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, *([nn.MaxPool2d(2)] if halve else []), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *stage(3, FIRST, halve=True),
        *stage(FIRST, SECOND, halve=True),
        Residual(SECOND),
        *stage(SECOND, THIRD, halve=True),
        Residual(THIRD),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(THIRD, 10),
    )


def jax() -> Any:
    from jax.nn import relu

    def stage(inputs: int, outputs: int) -> tuple[np.ndarray, ...]:
        ones, zeros = np.ones(outputs, np.float32), np.zeros(outputs, np.float32)
        return jax_layers.weights(3, 3, inputs, outputs), ones, zeros

    halving = [stage(3, FIRST), stage(FIRST, SECOND), stage(SECOND, THIRD)]
    residual = [[stage(channels, channels)] * 2 for channels in (SECOND, THIRD)]
    last = jax_layers.weights(THIRD, 10), np.zeros(10, np.float32)

    def run(x: Any, parameters: Any, halve: bool = False) -> Any:
        weight, scale, shift = parameters
        x = jax_layers.convolution(x, weight)
        return relu(jax_layers.batch_norm(jax_layers.max_pool(x) if halve else x, scale, shift))

    def logits(parameters: Any, x: Any) -> Any:
        (first, *others), residual, (weight, bias) = parameters
        x = run(x, first, halve=True)
        for halving, (one, two) in zip(others, residual, strict=True):
            x = run(x, halving, halve=True)
            x = x + run(run(x, one), two)
        return x.max((1, 2)) @ weight + bias

    return (halving, residual, last), logits


NETWORK = Network(
    ours,
    torch,
    jax,
    optimizer="SGD",
    settings={**SETTINGS, "nesterov": True},
    jax_optimizer=partial(jax_step.nesterov, **SETTINGS),
    first=27 * FIRST * 32**2,
    others=9 * (FIRST * SECOND * 16**2 + (2 * SECOND**2 + SECOND * THIRD) * 8**2 + 2 * THIRD**2 * 4**2)
    + THIRD * 10,
)

WORKLOADS = [workload(f"resnet step b{batch} sgd", NETWORK, batch) for batch in (64, 128)]
