"""What training a model costs, and how that grows with the model: FLOPs, step time, memory, exponents."""

from __future__ import annotations

import copy
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinytorch.nn import Linear, Module
from tinytorch.optim import SGD
from tinytorch.systems.benchmarking.files import file_bytes
from tinytorch.systems.profiling.memory import peak_memory
from tinytorch.systems.profiling.profile import as_batch, profile, scalar
from tinytorch.tensor import Tensor

EPOCH = 10_000  # examples, where nobody says how many an epoch has
WARM_UP = 2  # steps before any is timed


def estimate_flops(model: Module, input_shape: Any, batch_size: int = 1) -> int:
    """FLOPs of a forward pass: those of every operation that `model` carries out, by its cost rule.

    input_shape: of one example, without the batch axis; or a batch. A multiplication and an addition are two.

    >>> import tinytorch as tt
    >>> estimate_flops(tt.nn.Linear(784, 10), (784,))
    15690
    """
    return profile(model, input_shape, batch_size=batch_size, backward=False, repeats=0).flops


@dataclass(frozen=True)
class TrainingCost:
    """What training steps took: forward, backward and the optimiser.

    seconds_per_step: the median. samples_per_second: batch_size over it. peak_bytes: the most that a step has
    allocated at one time beside model and optimiser, by `tracemalloc`. steps: that were timed.
    samples: examples of an epoch, for `seconds_per_epoch`; a format such as ".2f" gives these seconds.
    """

    seconds_per_step: float
    samples_per_second: float
    peak_bytes: int
    batch_size: int
    steps: int
    samples: int

    @property
    def seconds_per_epoch(self) -> float:
        """Of `samples` examples, with a last batch that may not be full."""
        return self.seconds_per_step * -(-self.samples // self.batch_size)

    def __float__(self) -> float:
        return self.seconds_per_epoch

    def __format__(self, spec: str) -> str:
        return format(self.seconds_per_epoch, spec) if spec else str(self)


class _Training:
    """A copy of a model that is trained on made-up examples."""

    def __init__(
        self, name: str, model: Module, inputs: Any, batch_size: int,
        loss: Callable[[Any], Any] | None, optimizer: Callable[[Any], Any] | None,
    ):  # fmt: skip
        if not isinstance(model, Module):
            raise TypeError(f"{name}: expected a module, got {type(model).__name__}")
        self.model = copy.deepcopy(model).train()
        inputs = _input_shape(name, model) if inputs is None else inputs
        self.batch = as_batch(name, self.model, inputs, batch_size)
        parameters = list(self.model.parameters())
        if not parameters:
            raise ValueError(f"{name}: expected a model with parameters to train, got none")
        self.loss = loss
        self.optimizer = SGD(parameters, lr=1e-6) if optimizer is None else optimizer(parameters)

    @property
    def size(self) -> int:
        """Examples in a batch."""
        return len(next(x for x in self.batch if isinstance(x, Tensor) and x.ndim))

    def step(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self.optimizer.zero_grad()
        scalar(self.model(*self.batch), self.loss).backward()
        self.optimizer.step()
        return time.perf_counter() - began

    def peak(self) -> int:
        """Bytes that a step allocates at most."""
        self.optimizer.zero_grad()
        with peak_memory() as peak:
            self.step()
        return peak.bytes


def benchmark_training(
    model: Module,
    inputs: Any = None,
    *,
    batch_size: int = 64,
    loss: Callable[[Any], Any] | None = None,
    optimizer: Callable[[Any], Any] | None = None,
    steps: int = 20,
    samples: int = EPOCH,
) -> TrainingCost:
    """Time training steps of a copy of `model`: forward, backward and the optimiser.

    inputs: the shape of an example without the batch axis, or a batch, as for `profile`. None: the width of
        the model's first layer, if that is linear.
    loss: makes a scalar of the model's result; by default the sum of its differentiable tensors.
    optimizer: makes one of the parameters; default SGD. steps: that are timed, after two that are not.
    samples: examples of an epoch, for the result's `seconds_per_epoch`.

    >>> import tinytorch as tt
    >>> time_per_epoch = benchmark_training(tt.models.MLP(64, (32,), 10), steps=3)
    >>> f"Hidden=32: {time_per_epoch:.2f}s/epoch"  # doctest: +ELLIPSIS
    'Hidden=32: ...s/epoch'
    """
    if steps < 1:
        raise ValueError(f"benchmark_training: expected steps of 1 or more, got {steps}")
    training = _Training("benchmark_training", model, inputs, batch_size, loss, optimizer)
    for _ in range(WARM_UP):
        training.step()
    seconds = statistics.median(training.step() for _ in range(steps))
    return TrainingCost(seconds, training.size / seconds, training.peak(), training.size, steps, samples)


@dataclass(frozen=True)
class ScalingRow:
    """What a model of one size costs.

    flops: of a forward pass of one example. bytes: of the safetensors file that holds it. seconds_per_step:
    the median. peak_bytes: the most that a training step has allocated at one time.
    """

    size: Any
    params: int
    flops: float
    bytes: int
    seconds_per_step: float
    peak_bytes: int


@dataclass(frozen=True)
class ScalingStudy:
    """How costs grow with size.

    exponents: for each cost the b of the line `log(cost) = a + b log(size)` through all sizes, by least
    squares; empty where sizes are not numbers above 0, or fewer than two.
    """

    rows: list[ScalingRow]
    exponents: dict[str, float]
    batch_size: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists and numbers, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=120, force_terminal=False).print(self)
        return text.getvalue().rstrip()

    def __rich__(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        title = f"training steps of {self.batch_size}"
        table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
        for heading in ("size", "parameters", "FLOPs", "bytes", "ms a step", "MiB at most"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(
                str(row.size),
                f"{row.params:,}",
                f"{row.flops:,.0f}",
                f"{row.bytes:,}",
                f"{1e3 * row.seconds_per_step:.3f}",
                f"{row.peak_bytes / 2**20:.2f}",
            )
        if self.exponents:
            table.add_section()
            table.add_row("grows as", *(f"size^{self.exponents[cost]:.2f}" for cost in COSTS))
        return table


COSTS = ("params", "flops", "bytes", "seconds_per_step", "peak_bytes")


def scaling_study(
    make_model: Callable[[Any], Module],
    sizes: Sequence[Any],
    inputs: Any = None,
    *,
    batch_size: int = 64,
    loss: Callable[[Any], Any] | None = None,
    optimizer: Callable[[Any], Any] | None = None,
    steps: int = 20,
) -> ScalingStudy:
    """Build `make_model(size)` for each size and measure what it costs to run and to train.

    inputs: as for `benchmark_training`, or a function of the size that gives it. The steps of all sizes take
    turns, so that a slow moment of the machine is not one size's alone.

    >>> import tinytorch as tt
    >>> study = scaling_study(lambda width: tt.models.MLP(8, (width, width), 2), [64, 128], steps=2)
    >>> [row.params for row in study.rows]
    [4866, 17922]
    """
    if not sizes:
        raise ValueError("scaling_study: expected at least one size, got none")
    if steps < 1:
        raise ValueError(f"scaling_study: expected steps of 1 or more, got {steps}")
    trainings: list[_Training] = []
    facts: list[dict[str, int]] = []
    for size in sizes:
        model = make_model(size)
        given = inputs(size) if callable(inputs) else inputs
        trainings.append(_Training("scaling_study", model, given, batch_size, loss, optimizer))
        one = tuple(x[:1] for x in trainings[-1].batch)
        costs = profile(model, one, backward=False, repeats=0)
        facts.append({"params": costs.params, "flops": costs.flops, "bytes": file_bytes(model)})
    times: list[list[float]] = [[] for _ in sizes]
    for i in range(WARM_UP + steps):
        for training, seconds in zip(trainings, times, strict=True):
            took = training.step()
            if i >= WARM_UP:
                seconds.append(took)
    rows = [
        ScalingRow(size, **fact, seconds_per_step=statistics.median(seconds), peak_bytes=training.peak())
        for size, fact, seconds, training in zip(sizes, facts, times, trainings, strict=True)
    ]
    return ScalingStudy(rows, _exponents(rows), trainings[0].size)


def _exponents(rows: Sequence[ScalingRow]) -> dict[str, float]:
    sizes = [row.size for row in rows]
    if len(set(sizes)) < 2 or not all(isinstance(n, (int, float, np.number)) and n > 0 for n in sizes):
        return {}
    return {cost: exponent(sizes, [getattr(row, cost) for row in rows]) for cost in COSTS}


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The b of the least-squares line `log(cost) = a + b log(size)`.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def _input_shape(name: str, model: Module) -> tuple[int, ...]:
    """The width of the first layer that has parameters, if it is linear."""
    first = next((m for m in model.modules() if next(m._own_parameters(), None)), None)
    if isinstance(first, Linear):
        return (first.in_features,)
    kind = "a model without parameters" if first is None else f"one that begins with {type(first).__name__}"
    raise ValueError(
        f"{name}: expected the shape of an example, such as (3, 32, 32), or a batch: only a model that "
        f"begins with a Linear tells the width of its inputs, this is {kind}"
    )
