"""`thresholds.toml` as objects; no number of the grader stands anywhere else."""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GRADES = ("pass", "merit", "distinction")


@dataclass(frozen=True, eq=False)
class Milestone:
    """One graded training: which script, on which data, and what it has to reach.

    widths: units of every layer from input to output, so shapes and parameters can be counted by hand.
    marks: the accuracy that each grade takes.
    reported_within: how far the accuracy that the script reports may be from the one that the grader finds.
    """

    name: str
    title: str
    script: str
    dataset: str
    widths: tuple[int, ...]
    marks: dict[str, float]
    reported_within: float
    seconds: float
    process_mib: float
    batch: int
    state_per_parameter: int
    measured: dict[str, Any]

    @property
    def path(self) -> Path:
        """The script."""
        return ROOT / "milestones" / self.script

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The weight of every layer, (out, in)."""
        return [(wide, narrow) for narrow, wide in itertools.pairwise(self.widths)]

    @property
    def parameters(self) -> int:
        """Weights and biases, counted by hand."""
        return sum(outputs * inputs + outputs for outputs, inputs in self.shapes)

    @property
    def binary(self) -> bool:
        """Whether there is one output that says yes or no, rather than one for each class."""
        return self.widths[-1] == 1

    def grade(self, accuracy: float) -> str | None:
        """The best grade that `accuracy` is enough for; None below the pass mark."""
        reached = [grade for grade in GRADES if accuracy >= self.marks[grade]]
        return reached[-1] if reached else None


def _milestone(name: str, entry: dict[str, Any]) -> Milestone:
    marks = {grade: entry.pop(grade) for grade in GRADES}
    return Milestone(name=name, marks=marks, widths=tuple(entry.pop("widths")), **entry)


_table = tomllib.loads((ROOT / "grading" / "thresholds.toml").read_text(encoding="utf-8"))
MILESTONES = {name: _milestone(name, dict(entry)) for name, entry in _table["milestones"].items()}
GATES: dict[str, Any] = _table["gates"]
EXAM: dict[str, Any] = _table["exam"]
MEMORY: dict[str, Any] = _table["memory"]


def step_memory(milestone: Milestone) -> int:
    """Bytes of a training step counted by hand: parameters, gradients, optimiser state, and every activation.

    An activation is the input of a layer; the last one's output is the loss's input. float32 throughout.
    """
    kept = milestone.parameters * (2 + milestone.state_per_parameter)
    return 4 * (kept + milestone.batch * sum(milestone.widths))


def step_memory_limit(milestone: Milestone) -> int:
    """Bytes that a training step may take: a factor above what was counted, and what Python itself takes."""
    return math.ceil(MEMORY["factor"] * step_memory(milestone)) + MEMORY["python_kib"] * 1024
