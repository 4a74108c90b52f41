"""What is measured beside the training itself: memory, sizes, operations."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.milestone.milestone import Data, Milestone
from tinytorch.milestone.run import Run
from tinytorch.systems import OpTotal, count_ops, latency, peak_memory, profile

STEPS = 3  # training steps that memory and operations are measured over


def example(milestone: Milestone, count: int = 1) -> np.ndarray:
    """Made-up inputs of the right shape, for what does not depend on their values: a ramp from 0 to 1."""
    size = count * int(np.prod(milestone.input_shape))
    return np.linspace(0, 1, size, dtype=np.float32).reshape(count, *milestone.input_shape)


def rehearsal(run: Run, *, size: int | None = None, data: Data | None = None) -> Run:
    """A run with the same recipe and a fresh model that nobody will miss."""
    return Run(
        run.milestone,
        data or run.data,
        epochs=max(run.epochs, 1),
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
        costs = profile(trained.model, tt.tensor(data.train[0][:1].astype(np.float32)))
        rows.append(
            {
                "size": size,
                "params": costs.params,
                "flops_forward": costs.flops,
                "seconds_per_epoch": trained.train_seconds / milestone.scaling_epochs,
                "peak_mib": peak,
                "accuracy": trained.evaluate(data.test),
            }
        )
    return rows


def operations(run: Run, steps: int = 20) -> tuple[list[OpTotal], dict[int, float]]:
    """The operations of some training steps, and the median latency of a forward pass of 1 and of a batch."""
    trial = rehearsal(run)
    trial.rehearse(STEPS)
    with count_ops() as counted:
        trial.rehearse(steps)
    inputs = run.data.test[0]
    batches = {size: inputs[:size] for size in (1, min(run.batch_size, len(inputs)))}
    latencies = {size: latency(lambda batch=batch: run.predict(batch)) for size, batch in batches.items()}
    return counted.ops, latencies
