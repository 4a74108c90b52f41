"""A training step of a convolutional network on CIFAR-10: conv 32, conv 64, linear 256, Adam."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import jax_layers, jax_step
from benchmarks.image_step import Network, workload


def ours() -> Any:
    from tinytorch.models import LeNet

    return LeNet(3, 32, channels=(32, 64), hidden=256)


def torch() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 256), nn.ReLU(), nn.Linear(256, 10),
    )  # fmt: skip


def jax() -> Any:
    from jax.nn import relu

    shapes = ((3, 3, 3, 32), (3, 3, 32, 64), (64 * 8 * 8, 256), (256, 10))
    parameters = [(jax_layers.weights(*shape), np.zeros(shape[-1], np.float32)) for shape in shapes]

    def logits(parameters: Any, x: Any) -> Any:
        *convolutions, (hidden, hidden_bias), (last, last_bias) = parameters
        for weight, bias in convolutions:
            x = jax_layers.max_pool(relu(jax_layers.convolution(x, weight) + bias))
        return relu(x.reshape(len(x), -1) @ hidden + hidden_bias) @ last + last_bias

    return parameters, logits


NETWORK = Network(
    ours,
    torch,
    jax,
    optimizer="Adam",
    settings={"lr": 1e-3},
    jax_optimizer=partial(jax_step.adam, lr=1e-3),
    first=32 * 27 * 32 * 32,
    others=64 * 288 * 16 * 16 + 4096 * 256 + 256 * 10,
)

WORKLOADS = [workload(f"cnn step b{batch} adam", NETWORK, batch) for batch in (64, 128)]
