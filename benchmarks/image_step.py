"""A training step of a network for CIFAR-10's images, the same in every framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import jax_step
from benchmarks.training import repeat
from benchmarks.workload import OURS, Step, Workload


@dataclass(frozen=True)
class Network:
    """ours, torch: make the model. jax: makes a tree of parameters and `(parameters, x) -> logits`, x NHWC.

    optimizer, settings: by the names they have in `tinytorch.optim` and `torch.optim`.
    jax_optimizer: makes the same of `benchmarks.jax_step`.
    first, others: multiply-adds of an image, forward, in the first layer and in all others.
    """

    ours: Callable[[], Any]
    torch: Callable[[], Any]
    jax: Callable[[], tuple[Any, Callable[[Any, Any], Any]]]
    optimizer: str
    settings: dict[str, Any]
    jax_optimizer: Callable[[], jax_step.Optimizer]
    first: int
    others: int

    def flops(self, batch: int) -> float:
        """The backward pass takes two more products of each layer, but the images need no gradient."""
        return 2.0 * batch * (2 * self.first + 3 * self.others)


def images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, batch)


def ours(network: Network, batch: int) -> Step:
    import tinytorch as tt

    model = network.ours()
    optimizer = getattr(tt.optim, network.optimizer)(model.parameters(), **network.settings)
    criterion = tt.nn.CrossEntropyLoss()
    x, y = (tt.tensor(array) for array in images(batch))
    return repeat(optimizer, lambda: criterion(model(x), y))


def torch(
    network: Network, batch: int, fused: bool = True, channels_last: bool = False, compiled: bool = False
) -> Step:
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = network.torch().to(memory_format=layout)
    optimizer = getattr(torch.optim, network.optimizer)(model.parameters(), **network.settings, fused=fused)
    criterion = torch.nn.CrossEntropyLoss()
    x, y = (torch.from_numpy(array) for array in images(batch))
    x = x.contiguous(memory_format=layout)
    loss = torch.compile(lambda x, y: criterion(model(x), y), disable=not compiled)
    return repeat(optimizer, lambda: loss(x, y))


def jax(network: Network, batch: int) -> Step:
    parameters, logits = network.jax()
    x, y = images(batch)

    def objective(parameters: Any, x: Any, y: Any) -> Any:
        return jax_step.cross_entropy(logits(parameters, x), y)

    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return jax_step.training_step(objective, parameters, network.jax_optimizer(), channels_last, y)


def workload(name: str, network: Network, batch: int) -> Workload:
    """The step in every framework; all of PyTorch's but `torch-eager` have the fused optimiser."""
    return Workload(
        name,
        {
            OURS: partial(ours, network, batch),
            "torch-eager": partial(torch, network, batch, fused=False),
            "torch-channels-last": partial(torch, network, batch, channels_last=True),
            "torch-fused": partial(torch, network, batch),
            "torch-compile": partial(torch, network, batch, compiled=True),
            "jax-jit": partial(jax, network, batch),
        },
        flops=network.flops(batch),
        measures_memory=True,
    )
