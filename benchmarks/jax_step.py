"""A training step in JAX: the update is compiled together with the gradient, and the state is donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import Step

Optimizer = tuple[int, Callable[[Any, Any, Any], Any]]
"""How many moments a parameter has, and (parameters, gradients, state) -> new parameters and state."""


def sgd(lr: float) -> Optimizer:
    import jax

    def update(parameters: Any, gradients: Any, state: Any) -> Any:
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), state

    return 0, update


def nesterov(lr: float, momentum: float, weight_decay: float) -> Optimizer:
    import jax

    def update(parameters: Any, gradients: Any, state: Any) -> Any:
        (moment,), count = state
        gradients = jax.tree.map(lambda p, g: g + weight_decay * p, parameters, gradients)
        moment = jax.tree.map(lambda b, g: momentum * b + g, moment, gradients)
        parameters = jax.tree.map(lambda p, g, b: p - lr * (g + momentum * b), parameters, gradients, moment)
        return parameters, ((moment,), count)

    return 1, update


def adam(lr: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.0) -> Optimizer:
    """decay: with it AdamW, whose decay is of matrices only."""
    import jax
    import jax.numpy as jnp

    (beta1, beta2), kept = betas, 1 - lr * decay

    def update(parameters: Any, gradients: Any, state: Any) -> Any:
        (first, second), count = state
        count = count + 1
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradients)
        scale, root = 1 - beta1**count, 1 - beta2**count
        if decay:
            parameters = jax.tree.map(lambda p: p * kept if p.ndim > 1 else p, parameters)
        parameters = jax.tree.map(
            lambda p, m, v: p - lr * (m / scale) / (jnp.sqrt(v / root) + 1e-8), parameters, first, second
        )
        return parameters, ((first, second), count)

    return 2, update


def cross_entropy(logits: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


def training_step(
    objective: Callable[[Any, Any, Any], Any],
    parameters: Any,
    optimizer: Optimizer,
    x: np.ndarray,
    y: np.ndarray,
) -> Step:
    """objective: (parameters, x, y) -> loss. parameters: a tree of arrays."""
    import jax
    import jax.numpy as jnp

    count, update = optimizer
    inputs, labels = jnp.asarray(x), jnp.asarray(y)

    def advance(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        return update(parameters, jax.grad(objective)(parameters, x, y), state)

    compiled = jax.jit(advance, donate_argnums=(0, 1))
    parameters = jax.tree.map(jnp.asarray, parameters)
    moments = tuple(jax.tree.map(jnp.zeros_like, parameters) for _ in range(count))
    now = parameters, (moments, jnp.float32(0))

    def step() -> None:
        nonlocal now
        now = compiled(*now, inputs, labels)
        jax.block_until_ready(now)

    return step
