"""What is measured beside the training itself: memory, sizes, operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.data import DataLoader
from tinytorch.milestone.milestone import Data, Examples, Milestone
from tinytorch.milestone.run import Epoch, Run, Watcher
from tinytorch.systems import OpTotal, count_ops, latency, peak_memory, profile

STEPS = 3  # training steps that get kernels ready, and those that memory is measured over
PROFILED = 20  # training steps whose operations `--profile` counts


def example(milestone: Milestone, count: int) -> Examples:
    """Made-up inputs and labels of the right shapes, for what does not depend on their values."""
    if milestone.example is not None:
        return milestone.example(count)
    size = count * int(np.prod(milestone.input_shape))
    inputs = np.linspace(0, 1, size, dtype=np.float32).reshape(count, *milestone.input_shape)
    labels = np.arange(count) % milestone.classes
    return inputs, labels.astype(np.float32)[:, None] if milestone.classes == 2 else labels


def as_input(milestone: Milestone, stored: np.ndarray) -> np.ndarray:
    """What is stored, such as the bytes of an image, in the dtype that the model takes."""
    return stored.astype(example(milestone, 1)[0].dtype)


def rehearsal(run: Run, *, steps: int = STEPS, size: int | None = None, data: Data | None = None) -> Run:
    """A run with the same recipe, a fresh model that nobody will miss, and epochs enough for `steps`."""
    return Run(
        run.milestone,
        data or run.data,
        epochs=max(run.epochs, -(-steps // run.steps_per_epoch)),
        batch_size=run.batch_size,
        lr=run.lr,
        seed=run.seed,
        size=size,
    )


def training_peak(run: Run, *, size: int | None = None, data: Data | None = None) -> float:
    """MiB at most while a fresh model is built and trained for `STEPS` steps, without the dataset."""
    rehearsal(run, size=size, data=data).rehearse(STEPS)  # compiling and loading kernels takes memory too
    with peak_memory() as peak:
        rehearsal(run, size=size, data=data).rehearse(STEPS)
    return peak.mib


def evaluation_peak(run: Run) -> float:
    """MiB at most while the test data is evaluated; model and dataset are there already."""
    with peak_memory() as peak:
        run.evaluate(run.data.test)
    return peak.mib


def scaling(run: Run) -> list[dict[str, Any]]:
    """Train the milestone's sizes with the same recipe for a few epochs: what each costs and reaches."""
    milestone, rows = run.milestone, []
    for size in milestone.sizes:
        data = milestone.resize(run.data, size) if milestone.resize else run.data
        peak = training_peak(run, size=size, data=data)
        trained = run.again(data, size=size, epochs=milestone.scaling_epochs)
        first = tt.tensor(as_input(milestone, data.train[0][:1]))
        costs = profile(trained.model, first, backward=False, repeats=0)
        rows.append(
            {
                "size": size,
                "params": costs.params,
                "flops_forward": costs.flops,
                "seconds_per_epoch": trained.train_seconds / milestone.scaling_epochs,
                "peak_mib": peak,
                milestone.metric.name: trained.evaluate(data.test),
            }
        )
    return rows


def training_flops(run: Run) -> float:
    """FLOPs of a training step for each example: all operations, forward and backward, not the optimiser.

    Counted, because no factor gives them: the first layer, for one, needs no gradient of its input.
    """
    with count_ops() as counted:
        rehearsal(run, steps=1).rehearse(1)
    return counted.flops / min(run.batch_size, len(run.data.train[0]))


@dataclass(frozen=True)
class Operations:
    """What `--profile` found.

    ops: the operations of `steps` training steps, the longest first, and as two more the waiting for loaders
    and what else was between them.
    latency_seconds: median time of a forward pass, by how many examples it was of.
    """

    ops: list[OpTotal]
    steps: int
    latency_seconds: dict[int, float]


class _WarmUp(Watcher):
    """Lets a count begin anew after some steps, in which kernels were loaded and buffers made."""

    def __init__(self, counted: count_ops, steps: int):
        self.counted, self.left = counted, steps
        self.waited = 0.0  # for loaders, until then

    def step(self, run: Run, epoch: Epoch) -> None:
        """One step less to wait for."""
        self.left -= 1
        if self.left == 0:
            self.counted.reset()
            self.waited = DataLoader.waited_by_all


def operations(run: Run) -> Operations:
    """The operations of some training steps, and the median latency of a forward pass of 1 and of a batch.

    The backward pass runs op by op while it is counted, so the warm-up is watched as well: its kernels are
    others than those of a training that nobody watches.
    """
    trial = rehearsal(run, steps=STEPS + PROFILED)
    with count_ops() as counted:
        trial.watcher = warm_up = _WarmUp(counted, STEPS)
        steps = trial.rehearse(STEPS + PROFILED) - STEPS
    waited = DataLoader.waited_by_all - warm_up.waited
    between = [
        OpTotal("waiting for batches", seconds=waited),
        OpTotal("between operations", seconds=counted.outside - waited),
    ]
    ops = sorted([*counted.ops, *between], key=lambda op: -op.seconds)
    inputs = run.data.test[0]
    batches = {size: inputs[:size] for size in (1, min(run.batch_size, len(inputs)))}
    latencies = {size: latency(lambda batch=batch: run.predict(batch)) for size, batch in batches.items()}
    return Operations(ops, steps, latencies)
