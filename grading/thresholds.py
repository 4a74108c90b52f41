"""`thresholds.toml` as objects; no number of the grader stands anywhere else."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grading.networks import Network
from grading.transformer import Transformer

ROOT = Path(__file__).resolve().parents[1]
GRADES = ("pass", "merit", "distinction")
METRICS = {  # what a milestone can be measured by, and how its gates speak of it
    "accuracy": "an accuracy of",
    "exact": "a share of answers right in every letter of",
    "accepted": "a share of sentences that the grammar accepts of",
    "validation_loss": "a loss of at most",
}


@dataclass(frozen=True, eq=False)
class Milestone:
    """One graded training: which script, on which data, and what it has to reach.

    network: its layers, or the sizes of a GPT, so shapes and parameters can be counted by hand.
    metric: what it is measured by, of `METRICS`: a share of 1, or a loss in nats, the smaller the better.
    marks: its value that each grade takes. reaches: the grade that the script is there to reach.
    reported_within: how far the value that the script reports may be from the one that the grader finds.
    """

    name: str
    title: str
    script: str
    dataset: str
    network: Network | Transformer
    marks: dict[str, float]
    reported_within: float
    seconds: float
    process_mib: float
    batch: int
    state_per_parameter: int
    measured: dict[str, Any]
    metric: str = "accuracy"
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

    @property
    def falls(self) -> bool:
        """Whether a smaller value of the metric is a better one."""
        return self.metric == "validation_loss"

    def reaches_mark(self, value: float, mark: float) -> bool:
        """Whether `value` is as good as `mark`."""
        return value <= mark if self.falls else value >= mark

    def text(self, value: float) -> str:
        """A value of the metric."""
        return f"{value:.4f} nats" if self.falls else f"{value:.2%}"

    def grade(self, value: float) -> str | None:
        """The best grade that `value` is enough for; None short of the pass mark."""
        reached = [grade for grade in GRADES if self.reaches_mark(value, self.marks[grade])]
        return reached[-1] if reached else None


def _milestone(name: str, entry: dict[str, Any]) -> Milestone:
    marks = {grade: entry.pop(grade) for grade in GRADES}
    network: Network | Transformer
    if "gpt" in entry:
        network = Transformer(**entry.pop("gpt"))
    elif "widths" in entry:  # of dense layers with ReLU between
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
WRITING: dict[str, Any] = _table["writing"]
PROBES: dict[str, Any] = _table["probes"]
SYSTEMS: dict[str, Any] = _table["systems"]
SMALL = _milestone("transformer-small", dict(_table["reference"]["transformer"]))
"""A GPT that is trained in seconds, for the gates to be tried on."""


def step_memory(milestone: Milestone) -> int:
    """Bytes of a training step counted by hand: parameters, gradients, optimiser state, and every activation.

    An activation is an input, or the result of a layer. float32 throughout.
    """
    kept = milestone.network.parameters * (2 + milestone.state_per_parameter)
    return 4 * (kept + milestone.batch * milestone.network.numbers)


def step_memory_limit(milestone: Milestone) -> int:
    """Bytes that a training step may take: a factor above what was counted, and what Python itself takes."""
    return math.ceil(MEMORY["factor"] * step_memory(milestone)) + MEMORY["python_kib"] * 1024


def attention_memory(t: int) -> int:
    """Bytes that causal attention over `t` tokens may take, forward and back: so many arrays, no scores."""
    arrays = MEMORY["attention"]["arrays"] * t * MEMORY["attention"]["width"]
    return math.ceil(MEMORY["factor"] * 4 * arrays) + MEMORY["python_kib"] * 1024
