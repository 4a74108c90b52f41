"""What the registry-driven tests share: the `Sampler` handed to every op, and the arguments built with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.autograd.registry import REGISTRY, Op


class Sampler:
    """Random arrays of one dtype; the same seed gives the same ones.

    `s(3, 4)` is uniform from -1 to 1, `s()` is 0-d, `s.ints(5, low=0, high=3)` excludes `high`,
    and `s.mask(5)` is True about half of the time.
    """

    def __init__(self, seed: int, dtype: Any):
        self.dtype = np.dtype(dtype)
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
        return np.asarray(self._generator.uniform(low, high, shape)).astype(self.dtype)

    def ints(self, *shape: int, low: int = 0, high: int) -> np.ndarray:
        return np.asarray(self._generator.integers(low, high, shape), np.int64)

    def mask(self, *shape: int) -> np.ndarray:
        return np.asarray(self._generator.random(shape) < 0.5)


@dataclass
class Call:
    """One op and its arguments: ndarrays, floating point ones all of one dtype, and parameters."""

    op: Op
    args: tuple[Any, ...]
    params: dict[str, Any]
    smooth: bool

    def tensors(self, requires_grad: bool = False) -> list[Any]:
        """The arguments as tensors around the same memory; those that have a gradient may ask for it."""
        tensors = [tt.Tensor(a) if isinstance(a, np.ndarray) else a for a in self.args]
        for i, t in enumerate(tensors):
            if requires_grad and self.has_gradient(i):
                t.requires_grad_()
        return tensors

    def has_gradient(self, i: int) -> bool:
        return is_float(self.args[i]) and i not in self.op.constants

    def run(self, requires_grad: bool = False) -> Any:
        return self.op(*self.tensors(requires_grad), **self.params)

    def with_arrays(self, change: Callable[[np.ndarray], np.ndarray]) -> Call:
        args = tuple(change(a) if isinstance(a, np.ndarray) else a for a in self.args)
        return Call(self.op, args, self.params, self.smooth)

    @property
    def differentiable(self) -> bool:
        return self.op.differentiable and any(map(self.has_gradient, range(len(self.args))))


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def call(op: Op, index: int, dtype: Any = np.float64, seed: int = 0) -> Call:
    """Sample number `index` of `op`, with floating point arguments of `dtype`."""
    dtype = np.dtype(dtype)
    sample = op.samples(Sampler(seed, dtype))[index]
    args = tuple(np.asarray(a) if isinstance(a, np.ndarray | np.generic) else a for a in sample.args)
    args = tuple(a.astype(dtype) if is_float(a) else a for a in args)
    return Call(op, args, sample.params, sample.smooth)


def ops() -> list[Any]:
    """Every registered op, for `parametrize`."""
    return [pytest.param(op, id=name) for name, op in sorted(REGISTRY.items())]


def samples(wanted: Callable[[Call], bool] = lambda _: True) -> list[Any]:
    """Every sample of every op for which `wanted` holds, as (op, index), for `parametrize`."""
    return [
        pytest.param(op, i, id=f"{name}-{i}")
        for name, op in sorted(REGISTRY.items())
        for i in range(len(op.samples(Sampler(0, np.float64))) if op.samples else 0)
        if wanted(call(op, i))
    ]


def gradients(call: Call, cotangent: Callable[[np.ndarray], np.ndarray] = np.array) -> tuple[Any, list[Any]]:
    """The result, and the gradient of each argument that has one (None for the others).

    The result is weighted by the same random numbers every time, laid out as `cotangent` does it.
    """
    tensors = call.tensors(requires_grad=True)
    out = call.op(*tensors, **call.params)
    weights = np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype(out.dtype)
    out.backward(tt.Tensor(cotangent(weights)))
    return out, [t.grad if isinstance(t, tt.Tensor) else None for t in tensors]
