"""One training step of the same small network in every framework: forward, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Step

Data = Callable[[], tuple[np.ndarray, np.ndarray]]


def network(nn: Any, widths: Sequence[int]) -> Any:
    """Linear layers of `widths` with ReLU between them, from `tinytorch.nn` or `torch.nn`."""
    layers: list[Any] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _ours(widths: Sequence[int], data: Data, loss: str, optimizer: str, lr: float) -> Step:
    import tinytorch as tt

    model = network(tt.nn, widths)
    update = getattr(tt.optim, optimizer)(model.parameters(), lr=lr)
    criterion = getattr(tt.nn, loss)()
    x, y = (tt.tensor(array) for array in data())

    def step() -> None:
        update.zero_grad()
        criterion(model(x), y).backward()
        update.step()

    return step


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

    def step() -> None:
        update.zero_grad()
        forward(x, y).backward()
        update.step()

    return step


def _jax(widths: Sequence[int], data: Data, loss: str, optimizer: str, lr: float) -> Step:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    parameters = [
        (
            jnp.asarray(rng.uniform(-1, 1, (wide, narrow)).astype(np.float32) / wide**0.5),
            jnp.zeros(narrow, jnp.float32),
        )
        for wide, narrow in pairwise(widths)
    ]
    x, y = (jnp.asarray(array) for array in data())

    def objective(parameters: Any, x: Any, y: Any) -> Any:
        for i, (weight, bias) in enumerate(parameters):
            x = x @ weight + bias
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
        if loss == "CrossEntropyLoss":
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))
        return jnp.mean(jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x))))

    def sgd(p: Any, g: Any) -> Any:
        return p - lr * g

    def step_sgd(state: Any, x: Any, y: Any) -> Any:
        return jax.tree.map(sgd, state, jax.grad(objective)(state, x, y))

    def step_adam(state: Any, x: Any, y: Any) -> Any:
        parameters, first, second, count = state
        gradients = jax.grad(objective)(parameters, x, y)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        scale, root = 1 - 0.9**count, 1 - 0.999**count
        parameters = jax.tree.map(
            lambda p, m, v: p - lr * (m / scale) / (jnp.sqrt(v / root) + 1e-8), parameters, first, second
        )
        return parameters, first, second, count

    adam = optimizer == "Adam"
    advance = jax.jit(step_adam if adam else step_sgd, donate_argnums=0)
    state: Any = parameters
    if adam:
        state = (parameters, *(jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)), jnp.float32(0))

    def step() -> None:
        nonlocal state
        state = advance(state, x, y)
        jax.block_until_ready(state)

    return step


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
