"""A class in one table: CSV for a spreadsheet, HTML for reading, and failures that look alike together."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grading.outputs.grade import Grade, MilestoneGrade
from grading.outputs.page import STYLE, text
from grading.outputs.words import clean, measured
from grading.submissions.trial import Trial
from tinytorch.milestone.result import write

_WIDE = """
main { max-width: 76rem; } .scroll { overflow-x: auto; }
table.class { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table.class th { text-align: left; font-weight: 600; color: var(--soft); }
table.class td, table.class th { padding: .35rem .8rem .35rem 0; white-space: nowrap; }
table.class tr { border-bottom: 1px solid var(--line); }
table.class a { color: var(--accent); }
"""


@dataclass
class Row:
    """One student. grade: None where the grader failed, as `problem` says. again: it was there already."""

    name: str
    grade: Grade | None
    problem: str
    seconds: float
    again: bool = False

    @property
    def told(self) -> str:
        """A line for the terminal."""
        if self.grade is None:
            return f"{self.name}: not graded: {self.problem.splitlines()[-1] if self.problem else ''}"
        points = f"{self.grade.score:.1f} of {self.grade.max_score:g}"
        return f"{self.name}: {points}" + (", graded before" if self.again else f" in {self.seconds:.1f} s")


def write_tables(
    rows: Sequence[Row], names: Sequence[str], trials: Mapping[str, Trial], folder: Path
) -> list[Path]:
    """class.csv and class.html."""
    paths = [folder / "class.csv", folder / "class.html"]
    write(_csv(rows, names).rstrip("\n"), paths[0])
    write(_html(rows, names, trials), paths[1])
    return paths


def _of(row: Row) -> dict[str, MilestoneGrade]:
    return {} if row.grade is None else {m.name: m for m in row.grade.milestones}


def _csv(rows: Sequence[Row], names: Sequence[str]) -> str:
    found = io.StringIO()
    table = csv.writer(found, lineterminator="\n")
    heads = [f"{name} {what}" for name in names for what in ("value", "points")]
    table.writerow(["student", "score", "of", "passed", *heads, "problem"])
    for row in rows:
        grade, by_name = row.grade, _of(row)
        cells: list[object] = []
        for name in names:
            m = by_name.get(name)
            cells += (
                ["", ""] if m is None else ["" if m.value is None else f"{m.value:.4f}", f"{m.score:.2f}"]
            )
        sums = ["", "", ""] if grade is None else [f"{grade.score:.2f}", f"{grade.max_score:g}", grade.passed]
        table.writerow([_cell(row.name), *sums, *cells, _cell(row.problem)])
    return found.getvalue()


def _cell(words: str) -> str:
    """What a spreadsheet does not take for a formula."""
    words = " ".join(clean(words, 500).split())
    return f"'{words}" if words[:1] in "=+-@" and words else words


def alike(rows: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """Failures whose messages differ in numbers, names and paths only: gate, an example, who; most first."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    examples: dict[tuple[str, str, str], str] = {}
    for row in rows:
        for m in _of(row).values():
            broken = next(
                (gate for gate in m.gates if gate.status != "passed"), None
            )  # the rest follows from it
            if broken is None:
                continue
            pattern = re.sub(r"[\w./-]*/[\w./-]+|\d+(\.\d+)?(e-?\d+)?|'[^']*'", "·", broken.message)[:120]
            key = (m.name, broken.title, pattern)
            groups[key].append(row.name)
            examples.setdefault(key, broken.message)
    ordered = sorted(groups, key=lambda key: (-len(groups[key]), key))
    return [(f"{key[0]}: {key[1]}", examples[key], groups[key]) for key in ordered]


def _html(rows: Sequence[Row], names: Sequence[str], trials: Mapping[str, Trial]) -> str:
    heads = "".join(f'<th scope="col">{trials[name].number}. {text(name)}</th>' for name in names)
    lines = []
    for row in rows:
        by_name = _of(row)
        cells = "".join(f"<td>{_value(by_name.get(name))}</td>" for name in names)
        score = "not graded" if row.grade is None else f"{row.grade.score:.1f} of {row.grade.max_score:g}"
        link = f'<a href="{text(row.name)}/report.html">{text(row.name)}</a>' if row.grade else text(row.name)
        lines.append(f'<tr><th scope="row">{link}</th><td>{score}</td>{cells}</tr>')
    groups = "".join(
        f"<li><span></span><b>{text(gate)}</b><span class='right soft'>{len(who)}</span>"
        f"<span class='why'>{text(example, 300)}</span><span class='why'>{text(', '.join(who))}</span></li>"
        for gate, example, who in alike(rows)
    )
    met = sum(row.grade is not None and row.grade.passed for row in rows)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>A class, graded</title>",
            f"<style>{STYLE.read_text('utf-8')}{_WIDE}</style></head><body><main>",
            f'<p class="soft">TinyTorch milestones</p><h1>{len(rows)} submissions</h1>',
            f'<p class="soft">{met} met all that was asked</p>',
            '<section class="scroll"><table class="class"><tr><th scope="col">student</th>',
            f'<th scope="col">points</th>{heads}</tr>{"".join(lines)}</table></section>',
            "<h3>What went wrong, the most frequent first</h3>" if groups else "",
            f'<section><ul class="gates">{groups}</ul></section>' if groups else "",
            "</main></body></html>",
        ]
    )


def _value(m: MilestoneGrade | None) -> str:
    if m is None:
        return "–"
    sign = '<span class="tick">✓</span>' if m.status == "passed" else '<span class="cross">✗</span>'
    return f"{sign} {measured(m.value, m.unit)}"
