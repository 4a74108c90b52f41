"""The table at the end of `pytest grading`: what was reached, beside what it takes.

Everything in it travels in the test reports' `user_properties`, so it arrives from xdist's workers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from grading.thresholds import GRADES, MILESTONES, Milestone, step_memory_limit

PREFIX = "grading."  # of the names in user_properties
_HEADINGS = ("milestone", "reached", "pass", "merit", "dist.", "grade", "step memory", "process", "time")


@dataclass
class Row:
    """What the tests of one milestone found."""

    milestone: Milestone
    facts: dict[str, Any] = field(default_factory=dict)
    failed: int = 0
    passed: int = 0
    skipped: str | None = None

    @property
    def grade(self) -> str:
        """In words."""
        if self.failed:
            return f"NOT MET ({self.failed} failed)"
        if self.skipped is not None:
            return "skipped"
        value = self.facts.get("value")
        return "not graded" if value is None else self.milestone.grade(value) or "NOT MET"

    @property
    def remarks(self) -> list[str]:
        """What was found that no column is for."""
        return [text for name, text in self.facts.items() if name.startswith("remark.")]

    def cells(self) -> tuple[str, ...]:
        """One text a column."""
        marks = self.milestone.marks
        value, memory = self.facts.get("value"), self.facts.get("step_bytes")
        return (
            self.milestone.title,
            "–" if value is None else self.milestone.text(value),
            *(f"{marks[grade]:.2f}" if self.milestone.falls else f"{marks[grade]:.0%}" for grade in GRADES),
            self.grade,
            "–" if memory is None else f"{_size(memory)} of {_size(step_memory_limit(self.milestone))}",
            _text(self.facts.get("process_mib"), "{:.0f} MiB"),
            _text(self.facts.get("seconds"), "{:.1f} s"),
        )


class Grades:
    """Collects the reports of all tests, a row a milestone."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def add(self, report: Any) -> None:
        """Take note of a test report; those that belong to no milestone are passed over."""
        facts = {
            name.removeprefix(PREFIX): value
            for name, value in report.user_properties
            if name.startswith(PREFIX)
        }
        name = facts.pop("milestone", None)
        if name is None:
            return
        row = self.rows.setdefault(name, Row(MILESTONES[name]))
        row.facts.update(facts)
        if report.failed:
            row.failed += 1
        elif report.when == "call" and report.passed:
            row.passed += 1
        elif report.skipped and row.skipped is None and facts.get("without_data"):
            row.skipped = str(facts["without_data"])

    def lines(self) -> list[str]:
        """The table, what else was found, and why something was skipped."""
        rows = [self.rows[name] for name in MILESTONES if name in self.rows]
        reasons = [
            f"{row.milestone.title} was skipped: {row.skipped} What to do about it says "
            f"`python milestones/data_manager.py {row.milestone.dataset}`."
            for row in rows
            if row.skipped
        ]
        remarks = [f"{row.milestone.title}: {'; '.join(row.remarks)}." for row in rows if row.remarks]
        return [*table([_HEADINGS, *(row.cells() for row in rows)]), *remarks, *reasons]


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines with aligned columns: words, first and sixth, to the left, and numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Iterable[str], widths: list[int]) -> Iterable[str]:
    for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if i in (0, 5) else cell.rjust(width)


def _text(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _size(size: float) -> str:
    return f"{size / 1024:.0f} KiB" if size < 2**20 else f"{size / 2**20:.2f} MiB"
