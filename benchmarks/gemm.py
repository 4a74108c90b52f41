"""Matrix products of square matrices, in the four transposes (n: as stored, t: a transposed view)."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.workload import OURS, Step, Workload

SIZES = (64, 128, 256, 512, 1024, 2048)


def _operands(size: int, layout: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    return (a.T if layout[0] == "t" else a), (b.T if layout[1] == "t" else b)


def ours(size: int, layout: str) -> Step:
    from tinytorch.kernels import gemm

    a, b = _operands(size, layout)
    return lambda: gemm.gemm(a, b)


def numpy(size: int, layout: str) -> Step:
    a, b = _operands(size, layout)
    return lambda: a @ b


def torch(size: int, layout: str) -> Step:
    import torch

    a, b = (torch.from_numpy(x) for x in _operands(size, layout))
    return lambda: a @ b


def jax(size: int, layout: str) -> Step:
    import jax
    import jax.numpy as jnp

    a, b = _operands(size, layout)
    a, b = jnp.asarray(a.T if layout[0] == "t" else a), jnp.asarray(b.T if layout[1] == "t" else b)
    product = jax.jit(lambda a, b: (a.T if layout[0] == "t" else a) @ (b.T if layout[1] == "t" else b))
    return lambda: product(a, b).block_until_ready()


WORKLOADS = [
    Workload(
        name=f"gemm {size} {layout}",
        variants={
            OURS: partial(ours, size, layout),
            "numpy": partial(numpy, size, layout),
            "torch-eager": partial(torch, size, layout),
            "jax-jit": partial(jax, size, layout),
        },
        flops=2.0 * size**3,
    )
    for size in SIZES
    for layout in ("nn", "nt", "tn", "tt")
]
