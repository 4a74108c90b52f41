"""`grade.json`: all that was found about a submission. Every other format is written from it."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytorch.milestone.result import to_json, write

SCHEMA = "tinytorch/grade/v1"
STATUSES = ("passed", "failed", "error", "skipped")
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")


@dataclass
class GateGrade:
    """One gate: what it asked, what came, what it is worth. value, threshold: None where there is none."""

    name: str
    title: str
    status: str
    score: float
    max_score: float
    visibility: str = "visible"
    threshold: float | None = None
    value: float | None = None
    unit: str = ""
    message: str = ""
    hint: str = ""


@dataclass
class MilestoneGrade:
    """One milestone. falls: whether a smaller value is a better one. mark: the best one that was reached.

    message: what a reader has to know first. next: what to look at next. curves: null where a loss was not
    finite. mistakes: images from 0 to 1 with the `expected` and the `got` answer.
    """

    name: str
    number: int
    title: str
    status: str
    score: float
    max_score: float
    metric: str
    unit: str
    falls: bool
    value: float | None
    marks: dict[str, float]
    mark: str | None
    seconds: float
    peak_mib: float | None
    gates: list[GateGrade]
    message: str = ""
    next: str = ""
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    classes: list[str] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


@dataclass
class Submission:
    """What was graded. theirs, ours: who wrote which name of the protocol."""

    name: str
    path: str
    sha256: str
    theirs: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)


@dataclass
class Grade:
    """A graded submission. isolation: what held it (`grading.sandbox`). started: UTC, ISO 8601."""

    submission: Submission
    started: str
    seconds: float
    seed: int
    profile: str
    environment: dict[str, Any]
    isolation: dict[str, Any]
    milestones: list[MilestoneGrade]
    schema: str = SCHEMA

    @property
    def score(self) -> float:
        return sum(milestone.score for milestone in self.milestones)

    @property
    def max_score(self) -> float:
        return sum(milestone.max_score for milestone in self.milestones)

    @property
    def passed(self) -> bool:
        return bool(self.milestones) and all(m.status == "passed" for m in self.milestones)

    def to_json(self) -> str:
        """The text of grade.json."""
        sums = {"score": self.score, "max_score": self.max_score, "passed": self.passed}
        return to_json({"schema": self.schema, **sums, **dataclasses.asdict(self)})

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        write(self.to_json(), path)

    @classmethod
    def from_json(cls, text: str) -> Grade:
        """ValueError names the key that is missing, unknown, or of another type."""
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError(f"expected a grade of the schema {SCHEMA!r}")
        sums = ("score", "max_score", "passed")
        grade: Grade = _built(cls, {key: value for key, value in content.items() if key not in sums}, "grade")
        for milestone in grade.milestones:
            _one_of(milestone.status, STATUSES, f"{milestone.name}.status")
            for gate in milestone.gates:
                _one_of(gate.status, STATUSES, f"{milestone.name}.{gate.name}.status")
                _one_of(gate.visibility, VISIBILITIES, f"{milestone.name}.{gate.name}.visibility")
        return grade

    @classmethod
    def read(cls, path: Path) -> Grade:
        """The grade in a file."""
        return cls.from_json(path.read_text("utf-8"))


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise ValueError(f"{where}: expected one of {', '.join(known)}, got {value!r}")


def _built(kind: Any, content: Any, where: str) -> Any:
    """An object of a dataclass, a collection, or the value itself, checked against its annotation."""
    if dataclasses.is_dataclass(kind):
        return _object(kind, content, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if content is None and type(None) in arguments:
            return None
        (kind,) = (inner for inner in arguments if inner is not type(None))
        return _built(kind, content, where)
    if origin is list:
        if not isinstance(content, list):
            raise ValueError(f"{where}: expected a list, got {content!r:.60}")
        return [_built(arguments[0], inner, f"{where}[{i}]") for i, inner in enumerate(content)]
    if origin is dict:
        if not isinstance(content, dict):
            raise ValueError(f"{where}: expected an object, got {content!r:.60}")
        return {key: _built(arguments[1], inner, f"{where}.{key}") for key, inner in content.items()}
    wanted = {float: (int, float), Any: object}.get(kind, kind)
    if not isinstance(content, wanted) or (isinstance(content, bool) and kind in (int, float)):
        raise ValueError(f"{where}: expected {kind.__name__}, got {content!r:.60}")
    return content


def _object(kind: Any, content: Any, where: str) -> Any:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected an object, got {content!r:.60}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := content.keys() - fields.keys():
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    for name, f in fields.items():
        if name not in content and f.default is f.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: the key {name!r} is missing")
    return kind(**{name: _built(hints[name], value, f"{where}.{name}") for name, value in content.items()})
