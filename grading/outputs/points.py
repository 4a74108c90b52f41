"""From what gates found to points, by a table that an instructor may edit."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.outputs.grade import VISIBILITIES, GateGrade, MilestoneGrade
from grading.outputs.shown import advice, best_mark, status
from grading.submissions.trial import Finding, Left, Trial, Verdict

DEFAULT = Path(__file__).with_name("points.toml")


@dataclass(frozen=True)
class Points:
    """milestones: points of each. gates: what `points.toml` says of each gate."""

    milestones: dict[str, float]
    gates: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path = DEFAULT) -> Points:
        """ValueError names what the file has that nobody knows, or that cannot be."""
        try:
            return _checked(tomllib.loads(path.read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None

    @property
    def hides(self) -> bool:
        """Whether there is a gate that students do not see, or not yet."""
        return any(self.of(gate)["visibility"] != "visible" for gate in ("default", *self.gates))

    def of(self, gate: str) -> dict[str, Any]:
        """What holds for a gate."""
        usual = {"points": 1, "visibility": "visible"}
        return {**usual, **self.gates.get("default", {}), **self.gates.get(gate, {})}

    def grade(self, trial: Trial, verdict: Verdict, left: Left, seconds: float) -> MilestoneGrade:
        """What a milestone scores."""
        shares = {found.name: float(self.of(found.name)["points"]) for found in verdict.findings}
        each = self.milestones.get(trial.name, 0.0) / (sum(shares.values()) or 1.0)
        value = _finite(verdict.value)
        gates = [self._gate(trial, found, each * shares[found.name], value) for found in verdict.findings]
        curves = {name: [_finite(loss) for loss in losses] for name, losses in verdict.curves.items()}
        found = MilestoneGrade(
            trial.name, trial.number, trial.title, status(gates),
            sum(gate.score for gate in gates), sum(gate.max_score for gate in gates),
            trial.metric, trial.unit, trial.falls, value, dict(trial.marks), None, seconds,
            left.outcome.peak_mib or None, gates, curves=curves, confusion=verdict.confusion,
            classes=verdict.classes, mistakes=verdict.mistakes, text=verdict.text,
        )  # fmt: skip
        if found.status == "passed":
            found.mark = best_mark(value, trial.marks, trial.falls)
        found.next = advice(found)
        return found

    def _gate(self, trial: Trial, found: Finding, points: float, value: float | None) -> GateGrade:
        of = self.of(found.name)
        score = points if found.status == "passed" else 0.0
        floor = of.get("floor", {}).get(trial.name) if found.name == trial.metric else None
        if found.status == "failed" and floor is not None and value is not None:
            score = points * min(max((value - floor) / (trial.marks["pass"] - floor), 0.0), 1.0)
        return GateGrade(
            found.name, found.title, found.status, score, points, of["visibility"], _finite(found.threshold),
            _finite(found.value), found.unit,
            found.message, of.get("hint", found.hint) if found.status != "passed" else "",
        )  # fmt: skip


def _finite(value: float | None) -> float | None:
    """No format has a word for NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def _checked(table: dict[str, Any]) -> Points:
    """Nothing in the table that no milestone and no gate answers to."""
    from grading.submissions.profiles import TRIALS  # the judges: not for those who only read a grade

    _known("", table, ("milestones", "gates"))
    milestones, gates = _table(table, "milestones"), _table(table, "gates")
    _known("milestones", milestones, TRIALS)
    every = dict.fromkeys(name for trial in TRIALS.values() for name in trial.gates)
    _known("gates", gates, ["default", *every])
    for name, points in milestones.items():
        _number(f"milestones.{name}", points)
    for name in gates:
        _check_gate(f"gates.{name}", name, _table(gates, name), TRIALS)
    found = Points({name: float(points) for name, points in milestones.items()}, gates)
    for name, points in found.milestones.items():
        if points and not any(found.of(gate)["points"] for gate in TRIALS[name].gates):
            raise ValueError(f"milestones.{name}: {points:g} points, and no gate of it is worth any")
    return found


def _check_gate(where: str, name: str, entry: dict[str, Any], trials: Mapping[str, Trial]) -> None:
    _known(where, entry, ("points", "visibility", "floor", "hint"))
    _number(f"{where}.points", entry.get("points", 1))
    if entry.get("visibility", "visible") not in VISIBILITIES:
        expected = ", ".join(VISIBILITIES)
        raise ValueError(f"{where}.visibility: expected one of {expected}, got {entry['visibility']!r}")
    if not isinstance(entry.get("hint", ""), str):
        raise ValueError(f"{where}.hint: expected words, got {entry['hint']!r}")
    floors = _table(entry, "floor")
    _known(f"{where}.floor", floors, trials)
    for milestone, floor in floors.items():
        trial, key = trials[milestone], f"{where}.floor.{milestone}"
        _number(key, floor)
        if trial.metric != name:
            raise ValueError(f"{key}: partial credit is for gates.{trial.metric}, which measures {milestone}")
        if floor == trial.marks["pass"] or (floor < trial.marks["pass"]) == trial.falls:
            side = "above" if trial.falls else "below"
            raise ValueError(
                f"{key}: expected a value {side} the pass mark {trial.marks['pass']:g}, got {floor}"
            )


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ValueError(f"{key}: expected a table, got {found!r}")
    return found


def _number(where: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{where}: expected a number that is 0 or more, got {value!r}")


def _known(where: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
    names = list(keys)
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, 1)
            meant = f"did you mean {close[0]!r}?" if close else f"expected some of {', '.join(names)}"
            raise ValueError(f"{where + ': ' if where else ''}unknown key {key!r}; {meant}")
