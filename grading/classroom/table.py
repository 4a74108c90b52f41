"""A class in one table: CSV for a spreadsheet, JSON for programs, and failures that look alike together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grading.outputs.grade import Grade, MilestoneGrade
from grading.outputs.words import clean
from grading.submissions.trial import Trial
from tinytorch.milestone.result import to_json

SCHEMA = "tinytorch/class/v1"
# What differs between two students who made the same mistake: paths, numbers, and what is quoted.
_OWN = re.compile(r"[\w./-]*/[\w./-]+|0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|'[^']*'|\"[^\"]*\"")
_TITLES = {"refused": "Cannot be taken", "no data": "No data", "error": "The grader failed"}
_SENTENCE = re.compile(r"(?<=[.?!])\s|\n")


@dataclass(frozen=True)
class Row:
    """One student.

    status: passed, failed, refused (what was handed in cannot be taken, as `problem` says), no data, or
    error, where the grader failed. grade: None unless passed or failed. seconds: of this call.
    again: it was there already.
    """

    name: str
    status: str
    grade: Grade | None = None
    problem: str = ""
    seconds: float = 0.0
    again: bool = False

    @classmethod
    def of(cls, name: str, grade: Grade, seconds: float = 0.0, again: bool = False) -> Row:
        """The row of a grade."""
        return cls(name, "passed" if grade.passed else "failed", grade, "", seconds, again)

    @property
    def told(self) -> str:
        """A line for the terminal."""
        name = clean(self.name, 200)
        if self.grade is None:
            return f"{name}: {self.status}: {clean(' '.join(self.problem.split()), 300)}"
        points = f"{self.grade.score:.1f} of {self.grade.max_score:g}"
        return f"{name}: {points}" + (", graded before" if self.again else f" in {self.seconds:.1f} s")

    @property
    def milestones(self) -> dict[str, MilestoneGrade]:
        """By name."""
        return {} if self.grade is None else {m.name: m for m in self.grade.milestones}

    @property
    def score(self) -> float | None:
        """None where nobody knows, as the grader failed; what cannot be taken scores nothing."""
        return self.grade.score if self.grade else 0.0 if self.status == "refused" else None

    @property
    def peak_mib(self) -> float | None:
        """Of the milestone that took most."""
        return max((m.peak_mib for m in self.milestones.values() if m.peak_mib), default=None)


@dataclass(frozen=True)
class Group:
    """Failures that look alike. what: the gate, and an example of what it said."""

    what: str
    milestones: list[str]
    example: str
    students: list[str]


@dataclass(frozen=True)
class Table:
    """All rows. worth: the points of all milestones together."""

    rows: Sequence[Row]
    trials: Sequence[Trial]
    seed: int
    worth: float

    def csv(self) -> str:
        """The same for the same submissions and seed, whenever they are graded: no seconds, no memory."""
        found = io.StringIO()
        table = csv.writer(found, lineterminator="\n")
        heads = [f"{trial.name} {what}" for trial in self.trials for what in ("value", "mark", "points")]
        table.writerow(["student", "status", "score", "of", *heads, "problem"])
        for row in self.rows:
            cells = [text for trial in self.trials for text in _cells(row.milestones.get(trial.name))]
            score = "" if row.score is None else f"{row.score:.2f}"
            of = row.grade.max_score if row.grade else self.worth
            table.writerow([_safe(row.name), row.status, score, f"{of:g}", *cells, _safe(row.problem)])
        return found.getvalue()

    def json(self) -> str:
        """Everything that the page shows."""
        return to_json(
            {
                "schema": SCHEMA,
                "seed": self.seed,
                "milestones": [trial.name for trial in self.trials],
                "students": [self._student(row) for row in self.rows],
                "failures": [
                    {"gate": g.what, "milestones": g.milestones, "example": g.example, "students": g.students}
                    for g in alike(self.rows)
                ],
            }
        )

    def _student(self, row: Row) -> dict[str, Any]:
        return {
            "name": row.name,
            "status": row.status,
            "score": row.score,
            "max_score": row.grade.max_score if row.grade else self.worth,
            "seconds": row.grade.seconds if row.grade else row.seconds,
            "peak_mib": row.peak_mib,
            "problem": row.problem,
            "milestones": {
                name: {
                    "status": m.status, "value": m.value, "mark": m.mark, "score": m.score,
                    "max_score": m.max_score, "seconds": m.seconds, "peak_mib": m.peak_mib,
                }
                for name, m in row.milestones.items()
            },
        }  # fmt: skip


def alike(rows: Sequence[Row]) -> list[Group]:
    """Failures whose messages differ in numbers, paths and quoted names only; most students first.

    Of each milestone the first gate that is not met: the others often follow from it.
    """
    groups: dict[tuple[str, str], Group] = {}
    for row in rows:
        for milestone, gate, message in _failures(row):
            key = (gate, _OWN.sub("·", _SENTENCE.split(message, maxsplit=1)[0])[:160])
            group = groups.setdefault(key, Group(gate, [], message, []))
            if milestone and milestone not in group.milestones:
                group.milestones.append(milestone)
            if row.name not in group.students:
                group.students.append(row.name)
    return sorted(groups.values(), key=lambda group: (-len(group.students), group.what, group.example))


def _failures(row: Row) -> list[tuple[str, str, str]]:
    """Milestone, gate and message of each."""
    if row.problem:
        return [("", _TITLES[row.status], row.problem)]
    first = [(m.name, [gate for gate in m.gates if gate.status != "passed"]) for m in row.milestones.values()]
    return [(name, gates[0].title, gates[0].message) for name, gates in first if gates]


def _cells(m: MilestoneGrade | None) -> list[str]:
    if m is None:
        return ["", "", ""]
    return ["" if m.value is None else f"{m.value:.4f}", m.mark or "", f"{m.score:.2f}"]


def _safe(words: str) -> str:
    """What a spreadsheet does not take for a formula."""
    words = " ".join(clean(words, 500).split())
    return f"'{words}" if words[:1] in "=+-@" and words else words
