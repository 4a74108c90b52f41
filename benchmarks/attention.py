"""Causal attention, forward and with its gradient, from short contexts to long ones.

Queries, keys and values lie side by side in one packed array, as a model's linear layer leaves them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.workload import OURS, Step, Workload


class Shape(NamedTuple):
    """`batch` sequences of `t` tokens, with `heads` heads of `size` numbers."""

    batch: int
    t: int
    heads: int
    size: int

    @property
    def name(self) -> str:
        several = f" b{self.batch}" if self.batch > 1 else ""
        return f"t{self.t} h{self.heads} d{self.size}{several}"

    @property
    def flops(self) -> float:
        """Of the forward pass; with the gradient it is 3.5 times as many."""
        return 4.0 * self.batch * self.heads * self.size * self.t * (self.t + 1) / 2


SHAPES = [
    Shape(1, 64, 4, 32),
    Shape(1, 256, 4, 32),
    Shape(1, 1024, 4, 32),
    Shape(1, 4096, 4, 32),
    Shape(1, 1024, 8, 64),
    Shape(4, 1024, 4, 32),
    Shape(12, 64, 4, 32),
    Shape(32, 64, 4, 32),
]


def _arrays(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """qkv, and a gradient of the result."""
    rng = np.random.default_rng(0)
    width = shape.heads * shape.size
    sizes = (shape.batch, shape.t, 3 * width), (shape.batch, shape.t, width)
    qkv, g = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    return qkv, g


def ours(backward: bool, shape: Shape) -> Step:
    import tinytorch as tt
    from tinytorch import ops

    qkv, g = map(tt.Tensor, _arrays(shape))

    def forward() -> object:
        with tt.no_grad():
            return ops.self_attention(qkv, shape.heads, is_causal=True)

    def both() -> object:
        qkv.grad = None
        ops.self_attention(qkv, shape.heads, is_causal=True).backward(g)
        return qkv.grad

    if backward:
        qkv.requires_grad_()
    return both if backward else forward


def torch(backward: bool, shape: Shape, compiled: bool = False) -> Step:
    import torch

    qkv, g = (torch.from_numpy(a) for a in _arrays(shape))
    sizes = (shape.batch, shape.t, 3, shape.heads, shape.size)

    def attention(qkv: Any) -> Any:
        q, k, v = (x.transpose(1, 2) for x in qkv.view(sizes).unbind(2))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.transpose(1, 2).reshape(g.shape)

    run = torch.compile(attention, disable=not compiled)

    def forward() -> object:
        with torch.no_grad():
            return run(qkv)

    def both() -> object:
        qkv.grad = None
        run(qkv).backward(g)
        return qkv.grad

    if backward:
        qkv.requires_grad_()
    return both if backward else forward


def jax(backward: bool, shape: Shape) -> Step:
    import jax

    qkv, g = map(jax.numpy.asarray, _arrays(shape))
    sizes = (shape.batch, shape.t, 3, shape.heads, shape.size)

    def attention(qkv: Any) -> Any:
        q, k, v = jax.numpy.moveaxis(qkv.reshape(sizes), 2, 0)
        return jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(g.shape)

    def both(qkv: Any, g: Any) -> Any:
        out, back = jax.vjp(attention, qkv)
        return out, back(g)

    run = jax.jit(both if backward else lambda qkv, g: attention(qkv))
    return lambda: jax.block_until_ready(run(qkv, g))


WORKLOADS = [
    Workload(
        name=f"attention {'fwd+bwd' if backward else 'fwd'} {shape.name}",
        variants={
            OURS: partial(ours, backward, shape),
            "torch-eager": partial(torch, backward, shape),
            "torch-compile": partial(torch, backward, shape, compiled=True),
            "jax-jit": partial(jax, backward, shape),
        },
        flops=shape.flops * (3.5 if backward else 1),
        measures_memory=backward and shape.batch == 1,
    )
    for shape in SHAPES
    for backward in (False, True)
]
