"""One training step of the same small network in every framework: forward, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import jax_step
from benchmarks.workload import OURS, Step

Data = Callable[[], tuple[np.ndarray, np.ndarray]]


def network(nn: Any, widths: Sequence[int]) -> Any:
    """Linear layers of `widths` with ReLU between them, from `tinytorch.nn` or `torch.nn`."""
    layers: list[Any] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def repeat(optimizer: Any, loss: Callable[[], Any]) -> Step:
    """One update after the other, in the library that the optimiser and the loss are of."""

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _ours(widths: Sequence[int], data: Data, loss: str, optimizer: str, lr: float) -> Step:
    import tinytorch as tt

    model = network(tt.nn, widths)
    update = getattr(tt.optim, optimizer)(model.parameters(), lr=lr)
    criterion = getattr(tt.nn, loss)()
    x, y = (tt.tensor(array) for array in data())
    return repeat(update, lambda: criterion(model(x), y))


def _torch(
    widths: Sequence[int],
    data: Data,
    loss: str,
    optimizer: str,
    lr: float,
    fused: bool = False,
    compiled: bool = False,
) -> Step:
    import torch

    model = network(torch.nn, widths)
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=lr, fused=fused)
    criterion = getattr(torch.nn, loss)()
    x, y = (torch.from_numpy(array) for array in data())
    forward = torch.compile(lambda x, y: criterion(model(x), y), disable=not compiled)
    return repeat(update, lambda: forward(x, y))


def _jax(widths: Sequence[int], data: Data, loss: str, optimizer: str, lr: float) -> Step:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    parameters = [
        (rng.uniform(-1, 1, (wide, narrow)).astype(np.float32) / wide**0.5, np.zeros(narrow, np.float32))
        for wide, narrow in pairwise(widths)
    ]

    def objective(parameters: Any, x: Any, y: Any) -> Any:
        for i, (weight, bias) in enumerate(parameters):
            x = x @ weight + bias
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
        if loss == "CrossEntropyLoss":
            return jax_step.cross_entropy(x, y)
        return jnp.mean(jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x))))

    update = jax_step.adam(lr) if optimizer == "Adam" else jax_step.sgd(lr)
    return jax_step.training_step(objective, parameters, update, *data())


def variants(
    widths: Sequence[int], data: Data, loss: str, optimizer: str, lr: float
) -> dict[str, Callable[[], Step]]:
    """The step in every framework: linear layers of `widths` with ReLU between them."""
    work = (widths, data, loss, optimizer, lr)
    return {
        OURS: partial(_ours, *work),
        "torch-eager": partial(_torch, *work),
        "torch-fused": partial(_torch, *work, fused=True),
        "torch-compile": partial(_torch, *work, fused=True, compiled=True),
        "jax-jit": partial(_jax, *work),
    }


def flops(widths: Sequence[int], batch: int) -> float:
    """Multiply-adds of the matrix products of one step, times two; the input needs no gradient."""
    products = [wide * narrow for wide, narrow in pairwise(widths)]
    return 2.0 * batch * (3 * sum(products) - products[0])
