"""`thresholds.toml` as objects; no number of the grader stands anywhere else."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grading.networks import Network

ROOT = Path(__file__).resolve().parents[1]
GRADES = ("pass", "merit", "distinction")


@dataclass(frozen=True, eq=False)
class Milestone:
    """One graded training: which script, on which data, and what it has to reach.

    network: its layers, so shapes and parameters can be counted by hand.
    marks: the accuracy that each grade takes. reaches: the grade that the script is there to reach.
    reported_within: how far the accuracy that the script reports may be from the one that the grader finds.
    """

    name: str
    title: str
    script: str
    dataset: str
    network: Network
    marks: dict[str, float]
    reported_within: float
    seconds: float
    process_mib: float
    batch: int
    state_per_parameter: int
    measured: dict[str, Any]
    chosen: dict[str, str] = field(default_factory=dict)
    reaches: str = "distinction"
    label_smoothing: float = 0.0
    loss_left: float = 0.8

    @property
    def path(self) -> Path:
        """The script."""
        return ROOT / "milestones" / self.script

    @property
    def flags(self) -> tuple[str, ...]:
        """What its script has to be told."""
        return tuple(word for flag, name in self.chosen.items() for word in (f"--{flag}", name))

    @property
    def binary(self) -> bool:
        """Whether there is one output that says yes or no, rather than one for each class."""
        return self.network.outputs == 1

    def grade(self, accuracy: float) -> str | None:
        """The best grade that `accuracy` is enough for; None below the pass mark."""
        reached = [grade for grade in GRADES if accuracy >= self.marks[grade]]
        return reached[-1] if reached else None


def _milestone(name: str, entry: dict[str, Any]) -> Milestone:
    marks = {grade: entry.pop(grade) for grade in GRADES}
    if "widths" in entry:  # of dense layers with ReLU between
        first, *widths = entry.pop("widths")
        layers = [layer for width in widths for layer in (f"linear {width}", "relu")][:-1]
        network = Network((first,), layers)
    else:
        names = ("inputs", "mean", "std")
        told = {key: tuple(entry.pop(key)) for key in names if key in entry}
        network = Network(layers=entry.pop("layers"), **told)
    return Milestone(name=name, marks=marks, network=network, **entry)


_table = tomllib.loads((ROOT / "grading" / "thresholds.toml").read_text(encoding="utf-8"))
MILESTONES = {name: _milestone(name, dict(entry)) for name, entry in _table["milestones"].items()}
GATES: dict[str, Any] = _table["gates"]
EXAM: dict[str, Any] = _table["exam"]
LEAKS: dict[str, Any] = _table["leaks"]
MEMORY: dict[str, Any] = _table["memory"]


def step_memory(milestone: Milestone) -> int:
    """Bytes of a training step counted by hand: parameters, gradients, optimiser state, and every activation.

    An activation is an input, or the result of a layer. float32 throughout.
    """
    kept = milestone.network.parameters * (2 + milestone.state_per_parameter)
    return 4 * (kept + milestone.batch * milestone.network.numbers)


def step_memory_limit(milestone: Milestone) -> int:
    """Bytes that a training step may take: a factor above what was counted, and what Python itself takes."""
    return math.ceil(MEMORY["factor"] * step_memory(milestone)) + MEMORY["python_kib"] * 1024
