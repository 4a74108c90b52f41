"""From what gates found to points, by a table that an instructor may edit."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.outputs.grade import VISIBILITIES, GateGrade, MilestoneGrade
from grading.submissions.trial import Finding, Left, Trial, Verdict
from grading.thresholds import GRADES

DEFAULT = Path(__file__).with_name("points.toml")
_KEYS = {"points", "visibility", "floor", "hint"}


@dataclass(frozen=True)
class Points:
    """milestones: points of each. gates: what `points.toml` says of each gate."""

    milestones: dict[str, float]
    gates: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path = DEFAULT) -> Points:
        """ValueError names what the file has that nobody knows, or lacks."""
        table = tomllib.loads(path.read_text("utf-8"))
        _known(path.name, table, {"milestones", "gates"})
        gates = table.get("gates", {})
        for name, entry in gates.items():
            _known(f"{path.name}: gates.{name}", entry, _KEYS)
            if entry.get("visibility", "visible") not in VISIBILITIES:
                raise ValueError(
                    f"{path.name}: gates.{name}.visibility: expected one of {', '.join(VISIBILITIES)}, "
                    f"got {entry['visibility']!r}"
                )
            if not entry.get("points", 0) >= 0:
                raise ValueError(
                    f"{path.name}: gates.{name}.points: expected 0 or more, got {entry['points']}"
                )
        return cls({name: float(points) for name, points in table.get("milestones", {}).items()}, gates)

    def _of(self, gate: str) -> dict[str, Any]:
        return {
            "points": 1,
            "visibility": "visible",
            **self.gates.get("default", {}),
            **self.gates.get(gate, {}),
        }

    def grade(self, trial: Trial, verdict: Verdict, left: Left, seconds: float) -> MilestoneGrade:
        """What a milestone scores."""
        shares = {found.name: float(self._of(found.name)["points"]) for found in verdict.findings}
        each = self.milestones.get(trial.name, 0.0) / (sum(shares.values()) or 1.0)
        gates = [
            self._gate(trial, found, each * shares[found.name], verdict.value) for found in verdict.findings
        ]
        broken = [gate for gate in gates if gate.status != "passed"]
        mark = best_mark(verdict.value, trial.marks, trial.falls) if not broken else None
        return MilestoneGrade(
            trial.name, trial.number, trial.title, "failed" if broken else "passed",
            sum(gate.score for gate in gates), sum(gate.max_score for gate in gates),
            trial.metric, trial.unit, trial.falls, verdict.value, dict(trial.marks), mark, seconds,
            left.outcome.peak_mib or None, gates,
            next=_next(broken, trial, mark), curves=verdict.curves, confusion=verdict.confusion,
            classes=verdict.classes, mistakes=verdict.mistakes, text=verdict.text,
        )  # fmt: skip

    def _gate(self, trial: Trial, found: Finding, points: float, value: float | None) -> GateGrade:
        of = self._of(found.name)
        score = points if found.status == "passed" else 0.0
        floor = of.get("floor", {}).get(trial.name) if found.name == trial.metric else None
        if found.status == "failed" and floor is not None and value is not None:
            score = points * min(max((value - floor) / (trial.marks["pass"] - floor), 0.0), 1.0)
        return GateGrade(
            found.name, found.title, found.status, score, points, of["visibility"], found.threshold,
            found.value, found.unit,
            found.message, of.get("hint", found.hint) if found.status != "passed" else "",
        )  # fmt: skip


def best_mark(value: float | None, marks: dict[str, float], falls: bool) -> str | None:
    """The best mark that a value reaches."""
    if value is None:
        return None
    reached = [name for name in GRADES if (value <= marks[name] if falls else value >= marks[name])]
    return reached[-1] if reached else None


def _next(broken: Sequence[GateGrade], trial: Trial, mark: str | None) -> str:
    if broken:
        first = broken[0]
        return f"{first.title}: {first.hint or first.message}"
    above = list(GRADES[GRADES.index(mark) + 1 :]) if mark else []
    return (
        f"Met. The next mark, {above[0]}, is at {trial.marks[above[0]]:g}."
        if above
        else "Met, with distinction."
    )


def _known(where: str, table: dict[str, Any], keys: set[str]) -> None:
    for key in table:
        if key not in keys:
            close = difflib.get_close_matches(key, keys, 1)
            raise ValueError(
                f"{where}: unknown key {key!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            )
