"""A grade in the terminal: a row for each milestone, and what to do about those that are not met."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from grading.outputs.grade import Grade, MilestoneGrade
from grading.outputs.shown import broken
from grading.outputs.words import clean, measured


def summary(grade: Grade) -> Group:
    """For whoever graded: the points are those of all gates. What is not visible is not told."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for heading, side in (("milestone", "left"), ("reached", "right"), ("to pass", "right"), ("", "left")):
        table.add_column(heading, justify=side, no_wrap=heading != "milestone")  # type: ignore[arg-type]
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for m in grade.milestones:
        table.add_row(
            f"{m.number} {escape(clean(m.title))}",
            measured(m.value, m.unit),
            measured(m.marks.get("pass"), m.unit),
            {"passed": f"[green]✓ {m.mark or 'met'}[/]", "skipped": "skipped"}.get(
                m.status, "[red]✗ not met[/]"
            ),
            f"{m.score:.1f}/{m.max_score:g}",
            f"{m.seconds:.1f} s",
        )
    lines = [line for m in grade.milestones if m.status != "passed" for line in _why(m)]
    total = f"{clean(grade.submission.name, 200)}: {grade.score:.1f} of {grade.max_score:g} points"
    held = grade.isolation.get("network", "open")
    notes = [Text(clean(note), style="yellow") for note in grade.isolation.get("notes", [])]
    return Group(table, *lines, Text(""), Text(f"{total}, in {grade.seconds:.1f} s; network: {held}"), *notes)


def _why(m: MilestoneGrade) -> list[Text]:
    first, following = broken(m)
    found = [Text(""), Text(clean(m.title), style="bold")]
    found += [Text(f"  ✗ {clean(gate.title)}: {clean(gate.message)}") for gate in first]
    if following:
        found.append(Text(f"  ✗ {len(following)} more gates, which had nothing to look at", style="dim"))
    hints = [gate.hint for gate in first if gate.hint]
    if hints:
        found.append(Text(f"  → {clean(hints[0])}", style="cyan"))
    elif not first:
        found.append(Text(f"  → {clean(m.next)}", style="cyan"))
    return found
