"""What a milestone is for submissions: questions for the sandboxed process, and a judge of what it left.

`paper` is made by the parent. Its `task` and `arrays` go into the sandbox, its `secret` (test labels, and how
images and labels were exchanged) stays with the parent. In the sandbox the module that `child` names builds
and trains with the submission's names, and leaves arrays and facts. `judge` looks at these, and at nothing
that the submission says of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grading.gates import NotMet
from grading.sandbox import Outcome


@dataclass(frozen=True)
class Paper:
    """Questions. task: what JSON can hold. arrays: training data, test inputs. secret: the parent's alone.

    The task's seed is drawn, and is not that of the data: whoever knew this one could make the answers anew.
    """

    task: dict[str, Any]
    arrays: dict[str, np.ndarray]
    secret: Any = None


@dataclass
class Left:
    """What the sandboxed process left. folder: its own. problems: of files that could not be read."""

    outcome: Outcome
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    folder: Path
    problems: list[str] = field(default_factory=list)

    def ended(self) -> None:
        """NotMet unless it did its task, in time and within its limits."""
        tail = self.outcome.output.strip()[-600:]
        said = f" The end of what it printed: {tail}" if tail else ""
        if "problem" in self.facts:
            problem = str(self.facts["problem"])[:1500]
            raise NotMet(f"{problem}.{said}" if self.facts.get("raised") else problem)
        if self.outcome.stopped:
            raise NotMet(f"stopped: {_STOPPED[self.outcome.stopped]}.{said}")
        if not self.facts:
            raise NotMet(f"it ended (exit code {self.outcome.exit_code}) before its task was done.{said}")

    def array(self, name: str) -> np.ndarray:
        """An array in float64; NotMet where there is none."""
        if name not in self.arrays:
            others = f" ({'; '.join(self.problems)})" if self.problems else ""
            raise NotMet(f"it left no {name}{others}")
        return self.arrays[name].astype(np.float64)

    def losses(self) -> list[float]:
        """The loss of every epoch, as far as it is one."""
        told = self.facts.get("losses")
        return [x for x in told if isinstance(x, float)][:1000] if isinstance(told, list) else []


_STOPPED = {
    "time": "its time is up. A loop that never ends?",
    "memory": "it took more memory than it may. Does something keep every step's graph alive?",
    "processes": "it started more processes and threads than it may",
    "output": "it printed more than it may",
    "disk": "it wrote more than it may",
}


@dataclass
class Finding:
    """What a gate found. status: passed, failed, error or skipped. message: why not. hint: where to look."""

    name: str
    title: str
    status: str
    message: str = ""
    hint: str = ""
    threshold: float | None = None
    value: float | None = None
    unit: str = ""


@dataclass
class Verdict:
    """All findings of a milestone, and what a report shows beside them.

    value: what the milestone is measured by, None where it could not be worked out.
    """

    findings: list[Finding]
    value: float | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    classes: list[str] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """A milestone in its small profile.

    name: as `pytest -k` has it. child: the module of grading/submissions that the sandbox runs for it, which
    has `run(names, task, arrays, out)`: names is a mapping from a name to the submission's object or ours,
    out the folder for `<array>.npy` and `facts.json`. metric, unit, falls, marks: as in grade.json.
    gates: names of all findings, in order. seconds, memory_mib: limits of its process.
    """

    name: str
    number: int
    title: str
    child: str
    metric: str
    unit: str
    falls: bool
    marks: dict[str, float]
    paper: Callable[[int], Paper]
    judge: Callable[[Left, Paper], Verdict]
    gates: tuple[str, ...] = ()
    seconds: float = 60.0
    memory_mib: float = 2048.0
