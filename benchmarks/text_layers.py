"""Layers around a transformer's products, forward and backward: normalising, embedding, loss over words."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Step, Workload

NORMALIZED = ((768, 128), (2048, 128), (8192, 768))  # rows, width
EMBEDDED = ((65, 768, 128), (65, 2048, 128), (50257, 8192, 768))  # words, places, width
CLASSIFIED = ((768, 65), (2048, 65), (2048, 8192), (1024, 50257))  # rows, classes


def _draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _words(count: int, most: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, most, count)


def _work(kind: str, sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """What needs a gradient, what does not, and the gradient of the result."""
    if kind == "layer norm":
        rows, width = sizes
        return [_draw(rows, width), _draw(width), _draw(width)], [], _draw(rows, width, seed=1)
    if kind == "embedding":
        words, places, width = sizes
        return [_draw(words, width)], [_words(places, words)], _draw(places, width, seed=1)
    rows, classes = sizes
    return [_draw(rows, classes)], [_words(rows, classes)], np.ones((), np.float32)


def _apply(functional: Any, kind: str, arguments: list[Any]) -> Any:
    """By the functions that have the same names in `tinytorch.nn.functional` and in PyTorch's."""
    if kind == "layer norm":
        x, weight, bias = arguments
        return functional.layer_norm(x, weight.shape, weight, bias)
    if kind == "embedding":
        weight, words = arguments
        return functional.embedding(words, weight)
    return functional.cross_entropy(*arguments)


def _step(functional: Any, kind: str, leaves: list[Any], others: list[Any], g: Any) -> Step:
    leaves = [leaf.requires_grad_() for leaf in leaves]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        _apply(functional, kind, [*leaves, *others]).backward(g)

    return step


def ours(kind: str, sizes: tuple[int, ...]) -> Step:
    import tinytorch as tt

    leaves, others, g = _work(kind, sizes)
    return _step(tt.nn.functional, kind, [*map(tt.tensor, leaves)], [*map(tt.tensor, others)], tt.tensor(g))


def torch(kind: str, sizes: tuple[int, ...], compiled: bool = False) -> Step:
    import torch

    leaves, others, g = _work(kind, sizes)
    convert = torch.from_numpy
    tensors = [*map(convert, leaves)], [*map(convert, others)], convert(np.atleast_1d(g)).reshape(g.shape)
    step = _step(torch.nn.functional, kind, *tensors)
    if not compiled:
        return step
    function = torch.compile(lambda *arguments: _apply(torch.nn.functional, kind, list(arguments)))

    def compiled_step() -> None:
        for leaf in tensors[0]:
            leaf.grad = None
        function(*tensors[0], *tensors[1]).backward(tensors[2])

    return compiled_step


def jax(kind: str, sizes: tuple[int, ...]) -> Step:
    import jax
    from jax import numpy as jnp

    from benchmarks.jax_step import cross_entropy

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        off = x - x.mean(-1, keepdims=True)
        return off * jax.lax.rsqrt((off**2).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def embedding(weight: Any, words: Any) -> Any:
        return jnp.take(weight, words, axis=0)

    function = {"layer norm": layer_norm, "embedding": embedding, "cross-entropy": cross_entropy}[kind]
    leaves, others, g = jax.tree.map(jnp.asarray, _work(kind, sizes))

    @jax.jit
    def both(leaves: list[Any], others: list[Any], g: Any) -> Any:
        result, pull = jax.vjp(lambda *leaves: function(*leaves, *others), *leaves)
        return result, pull(g)

    return lambda: jax.block_until_ready(both(leaves, others, g))


def _workload(kind: str, sizes: tuple[int, ...]) -> Workload:
    return Workload(
        f"{kind} fwd+bwd {'x'.join(map(str, sizes))}",
        {
            OURS: partial(ours, kind, sizes),
            "torch-eager": partial(torch, kind, sizes),
            "torch-compile": partial(torch, kind, sizes, compiled=True),
            "jax-jit": partial(jax, kind, sizes),
        },
        measures_memory=kind == "cross-entropy",
    )


WORKLOADS = [
    _workload(kind, sizes)
    for kind, several in (
        ("layer norm", NORMALIZED), ("embedding", EMBEDDED), ("cross-entropy", CLASSIFIED)
    )
    for sizes in several
]  # fmt: skip
