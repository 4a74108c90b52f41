"""Layers on a batch of images, as a user calls them, with tensors and `backward`: the first convolution of a
network, pooling, batch normalisation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import jax_layers
from benchmarks.workload import OURS, Step, Workload

FIRST = ((64, 3, 32, 32), (128, 3, 32, 32))
POOLED = (64, 32, 32, 32)
NORMALIZED = ((128, 32, 32, 32), (128, 64, 16, 16))


def _draw(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _layer(library: Any, kind: str, shape: tuple[int, ...]) -> Any:
    if kind == "batchnorm":
        return library.nn.BatchNorm2d(shape[1])
    if kind == "conv":
        return library.nn.Conv2d(shape[1], 32, 3, padding=1)
    return library.nn.MaxPool2d(2) if kind == "max" else library.nn.AvgPool2d(2)


def _step(layer: Any, shape: tuple[int, ...], convert: Any, backward: bool, images: bool) -> Step:
    """images: what comes in needs no gradient."""
    x = convert(_draw(shape))
    if not backward:
        return lambda: layer(x)
    g = convert(_draw(layer(x).shape, 1))
    leaves = [*layer.parameters(), *([] if images else [x.requires_grad_()])]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        layer(x).backward(g)

    return step


def ours(kind: str, shape: tuple[int, ...], backward: bool) -> Step:
    import tinytorch as tt

    return _step(_layer(tt, kind, shape), shape, tt.tensor, backward, kind == "conv")


def torch(
    kind: str, shape: tuple[int, ...], backward: bool, channels_last: bool = False, compiled: bool = False
) -> Step:
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = _layer(torch, kind, shape)
    if compiled:
        layer.compile()

    def convert(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).contiguous(memory_format=layout)

    return _step(layer, shape, convert, backward, kind == "conv")


def jax(kind: str, shape: tuple[int, ...], backward: bool) -> Step:
    import jax
    import jax.numpy as jnp

    function = {
        "batchnorm": jax_layers.batch_norm, "max": jax_layers.max_pool, "avg": jax_layers.avg_pool
    }[kind]  # fmt: skip
    inputs = [jnp.asarray(_draw(shape).transpose(0, 2, 3, 1))]
    if kind == "batchnorm":
        inputs += [jnp.ones(shape[1]), jnp.zeros(shape[1])]
    g = jnp.asarray(_draw(jax.eval_shape(function, *inputs).shape, 1))

    def both(g: Any, *inputs: Any) -> Any:
        result, pull = jax.vjp(function, *inputs)
        return result, pull(g)

    compiled = jax.jit(both if backward else lambda g, *inputs: function(*inputs))
    return lambda: jax.block_until_ready(compiled(g, *inputs))


def _workload(name: str, *work: Any) -> Workload:
    return Workload(
        name,
        {
            OURS: partial(ours, *work),
            "torch-eager": partial(torch, *work),
            "torch-channels-last": partial(torch, *work, channels_last=True),
            "torch-compile": partial(torch, *work, compiled=True),
            **({} if work[0] == "conv" else {"jax-jit": partial(jax, *work)}),
        },
    )


WORKLOADS = [
    *(_workload(f"conv first layer fwd+bwd b{shape[0]}", "conv", shape, True) for shape in FIRST),
    *(
        _workload(f"pool {kind} {way} {'x'.join(map(str, POOLED))} k2", kind, POOLED, way != "fwd")
        for kind in ("max", "avg")
        for way in ("fwd", "fwd+bwd")
    ),
    *(
        _workload(f"batchnorm fwd+bwd {'x'.join(map(str, shape))}", "batchnorm", shape, True)
        for shape in NORMALIZED
    ),
]
