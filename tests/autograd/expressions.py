"""Random small programs of tensor operations, as hypothesis draws them, that TinyTorch and PyTorch both run.

Every step keeps values within a few units, so that a comparison says something about the gradient and not
about overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

LEAVES = ((2, 3), (3,), (2, 1), ())

UNARY: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "exp": lambda x: x.tanh().exp() * 0.5,
    "log": lambda x: (x * x + 1.0).log(),
    "sqrt": lambda x: (x * x + 0.5).sqrt(),
    "neg": lambda x: -x,
    "square": lambda x: x * x * 0.5,
    "power": lambda x: (x.sigmoid() + 0.5) ** 3 * 0.3,
    "mean of all": lambda x: x.mean(),
    "sum of rows": lambda x: x.sum(-1) * 0.5 if len(x.shape) else x,
    "softmax": lambda x: x.softmax(-1) if len(x.shape) else x,
    "transpose": lambda x: x.transpose(0, 1) if len(x.shape) == 2 else x,
    "flatten and back": lambda x: x.reshape(-1).reshape(tuple(x.shape)),
    "backwards": lambda x: x[list(range(x.shape[0]))[::-1]] if len(x.shape) else x,
    "first row": lambda x: x[0] if len(x.shape) == 2 else x,
    "stretched": lambda x: x.expand(2, *x.shape) if len(x.shape) < 2 else x,
    "changed in place": lambda x: x.clone().mul_(0.5).add_(1.0),
    "partly assigned": lambda x: _assigned(x),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: (a + b) * 0.5,
    "sub": lambda a, b: (a - b) * 0.5,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 1.0),
    "in place": lambda a, b: (a + b * 0.0).add_(b) * 0.5,
}


def _assigned(x: Any) -> Any:
    if not len(x.shape):
        return x
    y = x.clone()
    y[0] = x[-1] * 0.5
    return y


@dataclass
class Program:
    """Steps (name, operand, other operand); each appends one value to a list that begins with the leaves."""

    steps: list[tuple[str, int, int]]
    seed: int

    def arrays(self) -> list[np.ndarray]:
        generator = np.random.default_rng(self.seed)
        return [np.asarray(generator.uniform(-1.0, 1.0, shape)) for shape in LEAVES]

    def __call__(self, *leaves: Any) -> Any:
        """The mean of everything that the steps made; `leaves` are tensors of either library."""
        values = list(leaves)
        for name, i, j in self.steps:
            a, b = values[i % len(values)], values[j % len(values)]
            if name in UNARY:
                values.append(UNARY[name](a))
            else:
                values.append(BINARY[name](a, b if _broadcast(a, b) else b.mean()))
        total = values[-1].mean()
        for value in values[:-1]:
            total = total + value.mean() * 0.25
        return total


def _broadcast(a: Any, b: Any) -> bool:
    try:
        np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    except ValueError:
        return False
    return True


def programs() -> st.SearchStrategy[Program]:
    step = st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 11), st.integers(0, 11))
    return st.builds(Program, st.lists(step, min_size=1, max_size=8), st.integers(0, 1000))
