"""`warmup`: compile, or load from the cache, the kernels that training uses, before anything is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from tinytorch import ops, random
from tinytorch.autograd.registry import new_tensor
from tinytorch.optim import SGD, Adam, Optimizer, RMSprop
from tinytorch.tensor import Tensor

# Kernels come in a serial and a parallel kind; these numbers of rows, of 256 columns, ask for each.
_ROWS = (2, 1024)
_COLUMNS = 256
_ACTIVATIONS: tuple[Callable, ...] = (
    ops.relu,
    ops.sigmoid,
    ops.tanh,
    ops.gelu,
    lambda x: ops.softmax(x, dim=1),
    lambda x: ops.log_softmax(x, dim=1),
    lambda x: ops.dropout(x, 0.5),
)
_REDUCTIONS: tuple[Callable, ...] = (
    lambda x: x.sum(),
    lambda x: x.mean(0),
    lambda x: x.mean(1),
)
_OPTIMIZERS: tuple[Callable[[list[Tensor]], Optimizer], ...] = (
    lambda p: SGD(p, lr=0.0),
    lambda p: SGD(p, lr=0.0, momentum=0.9),
    lambda p: Adam(p, lr=0.0),
    lambda p: RMSprop(p, lr=0.0),
)


def _filled(*shape: int, requires_grad: bool = False) -> Tensor:
    tensor = new_tensor(np.full(shape, 0.5, np.float32))
    return tensor.requires_grad_() if requires_grad else tensor


def _losses(scores: Tensor, labels: Tensor) -> Iterator[Tensor]:
    target = scores.detach().sigmoid()
    yield ops.cross_entropy(scores, labels)
    yield ops.bce_with_logits(scores, target)
    yield ops.mse_loss(scores, target)


def warmup() -> float:
    """Run the kernels of a training step once, on few and on many float32 numbers; return the seconds.

    Linear layers, the common activations, losses, sums and means, embedding, dropout and the optimisers,
    forward and backward. A first run compiles for many seconds; later ones load the compiled kernels from
    the cache. The random state is left as it was.
    """
    start = time.perf_counter()
    state = random.get_rng_state()
    for rows in _ROWS:
        x = _filled(rows, _COLUMNS, requires_grad=True)
        weight = _filled(_COLUMNS, _COLUMNS, requires_grad=True)
        bias = _filled(_COLUMNS, requires_grad=True)
        labels = new_tensor(np.zeros(rows, np.int64))
        for activation in (None, "relu"):
            ops.linear(x, weight, bias, activation=activation).sum().backward()
        for function in _ACTIVATIONS:
            function(x).sum().backward()
        for reduction in _REDUCTIONS:
            (reduction(x) * 1.0).sum().backward()
        for loss in _losses(x * 1.0 + 0.1, labels):
            loss.backward(retain_graph=True)
        (ops.embedding(weight, labels) / (x + 1.0) - x).sum().backward()
        x.detach().argmax(1)
        for make in _OPTIMIZERS:
            parameter = _filled(rows * _COLUMNS, requires_grad=True)
            parameter.grad = _filled(rows * _COLUMNS)
            make([parameter]).step()
    random.set_rng_state(state)
    return time.perf_counter() - start
