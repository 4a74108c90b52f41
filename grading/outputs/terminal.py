"""A grade in the terminal: a row for each milestone, and what to do about those that are not met."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from grading.outputs.grade import Grade, MilestoneGrade
from grading.outputs.words import measured


def summary(grade: Grade) -> Group:
    """What a student sees."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for heading, side in (("milestone", "left"), ("reached", "right"), ("to pass", "right"), ("", "left")):
        table.add_column(heading, justify=side, no_wrap=heading != "milestone")  # type: ignore[arg-type]
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for m in grade.milestones:
        table.add_row(
            f"{m.number} {escape(m.title)}",
            measured(m.value, m.unit),
            measured(m.marks.get("pass"), m.unit),
            f"[green]✓ {m.mark or 'met'}[/]" if m.status == "passed" else "[red]✗ not met[/]",
            f"{m.score:.1f}/{m.max_score:g}",
            f"{m.seconds:.1f} s",
        )
    lines = [line for m in grade.milestones if m.status != "passed" for line in _why(m)]
    total = f"{escape(grade.submission.name)}: {grade.score:.1f} of {grade.max_score:g} points"
    held = grade.isolation.get("network", "open")
    notes = [Text(note, style="yellow") for note in grade.isolation.get("notes", [])]
    return Group(table, *lines, Text(""), Text(f"{total}, in {grade.seconds:.1f} s; network: {held}"), *notes)


def _why(m: MilestoneGrade) -> list[Text]:
    found = [Text(""), Text(m.title, style="bold")]
    for gate in m.gates:
        if gate.status != "passed" and gate.visibility == "visible":
            found.append(Text(f"  ✗ {gate.title}: {gate.message}"))
    if m.next:
        found.append(Text(f"  → {m.next}", style="cyan"))
    return found
