"""Pre-trained weights: safetensors with the command and the seed that made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinytorch as tt
from tinytorch.nn import Module

if TYPE_CHECKING:
    from tinytorch.milestone.run import Run

TOLERANCE = 0.0005  # by how much float16 may change the metric before float32 is kept


class WeightsUnavailable(Exception):
    """The pre-trained weights are not there, or are not of this model."""


def save(run: Run, path: Path, value: float, command: str) -> str:
    """Save the weights of `run.model`, in float16 where that costs no more than `TOLERANCE` of the metric.

    The value that is recorded was measured with the numbers as they are stored. Returns what to tell the
    user.
    """
    metric = run.milestone.metric
    exact = {name: tensor.data.copy() for name, tensor in run.model.state_dict().items()}
    with np.errstate(over="ignore"):  # infinity shows in the metric
        half = {name: array.astype(np.float16) for name, array in exact.items()}
    run.model.load_state_dict({name: array.astype(np.float32) for name, array in half.items()})
    stored, dtype, reached = half, "float16", run.evaluate(run.data.test)
    run.model.load_state_dict(exact)
    if not metric.reaches(reached, value + TOLERANCE if metric.falls else value - TOLERANCE):
        stored, dtype, reached = exact, "float32", value
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"command": command, "seed": run.seed, metric.name: round(reached, 4), "dtype": dtype}
    tt.save({"weights": stored, **facts}, path)
    return f"{dtype}, {path.stat().st_size:,} bytes, {metric.name} {reached:.4f} as stored"


def load(model: Module, path: Path, regenerate: str) -> dict[str, Any]:
    """Load the weights at `path` into `model`; returns the command, seed and metric that are recorded with
    them.

    Raises:
        WeightsUnavailable: the file is missing or unreadable, or its names or shapes are not the model's.
    """
    try:
        saved = tt.load(path)
        model.load_state_dict(saved.pop("weights"))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"The pre-trained weights cannot be used.\n  expected  {path}\n  got       {error}\n"
            f"what to do: make them with\n  {regenerate}"
        ) from error
    return saved
