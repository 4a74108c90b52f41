"""The pictures of a report, as SVG and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from grading.outputs.grade import MilestoneGrade
from grading.outputs.words import clean, measured

_WIDE, _HIGH = 420, 190
_POINTS = 200  # of a curve at most


def scale(m: MilestoneGrade) -> str:
    """A line with the marks on it, and where the value is."""
    numbers = [m.value or 0.0, *m.marks.values()]
    low, high = min(numbers), max(numbers)
    if m.unit == "share":
        low, high = min(low, min(m.marks.values()) - 0.1), 1.0
    room = 0.08 * ((high - low) or 1.0)
    low, high = low - room, high + (0 if m.unit == "share" else room)

    def at(value: float) -> float:
        share = (value - low) / (high - low)
        return 12 + 596 * (1 - share if m.falls else share)

    parts = ['<line class="axis" x1="12" x2="608" y1="12" y2="12" stroke-width="4" stroke-linecap="round"/>']
    for value in m.marks.values():
        x = at(value)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="3" y2="21" stroke-width="3"/>')
    parts.append(f'<circle cx="{at(m.value or 0.0):.1f}" cy="12" r="7" fill="var(--accent)"/>')
    label = f"{measured(m.value, m.unit)}, on a scale with the marks"
    told = " · ".join(f"{escape(name)} {measured(value, m.unit)}" for name, value in m.marks.items())
    return (
        f'<svg class="scale" viewBox="0 0 620 24" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<p class="soft">{told}</p>'
    )


def curve(losses: Sequence[float]) -> str:
    """The loss of every epoch; logarithmic where it falls by more than a factor of ten."""
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    if len(finite) < 2:
        return '<p class="soft">No finite losses.</p>'
    logarithmic = min(finite) > 0 and max(finite) / min(finite) > 10
    values = [math.log10(loss) if logarithmic else loss for loss in finite]
    values = values[:: -(-len(values) // _POINTS)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    left, right, top, bottom = 62, _WIDE - 8, 10, _HIGH - 26
    points = " ".join(
        f"{left + (right - left) * i / (len(values) - 1):.1f},"
        f"{bottom - (bottom - top) * (v - low) / span:.1f}"
        for i, v in enumerate(values)
    )
    first, last = (f"{10**v if logarithmic else v:.3g}" for v in (high, low))
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDE} {_HIGH}" role="img" '
        f'aria-label="loss from {finite[0]:.3g} to {finite[-1]:.3g} over {len(finite)} epochs">'
        f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="axis" x1="{left}" x2="{left}" y1="{top}" y2="{bottom}"/>'
        f'<text x="{left - 6}" y="{top + 9}" text-anchor="end">{first}</text>'
        f'<text x="{left - 6}" y="{bottom}" text-anchor="end">{last}</text>'
        f'<text x="{left}" y="{_HIGH - 8}">1</text>'
        f'<text x="{right}" y="{_HIGH - 8}" text-anchor="end">{len(finite)} epochs'
        f"{', logarithmic' if logarithmic else ''}</text>"
        f'<polyline class="curve" points="{points}"/></svg>'
    )


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Rows are the right answers, columns those that were given; the darker, the more."""
    names = [escape(clean(name, 20)) for name in classes]
    most = max((count for i, row in enumerate(counts) for j, count in enumerate(row) if i != j), default=0)
    head = "<tr><th></th>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr>"
    rows = []
    for i, (name, row) in enumerate(zip(names, counts, strict=False)):
        cells = []
        for j, count in enumerate(row):
            colour = "--good" if i == j else "--bad"
            share = 18 if i == j else round(15 + 55 * count / most) if count else 0
            back = (
                f' style="background:color-mix(in srgb, var({colour}) {share}%, transparent)"'
                if share
                else ""
            )
            cells.append(f"<td{back}>{count or ''}</td>")
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return (
        f'<table class="confusion">{head}{"".join(rows)}</table>'
        '<p class="soft">Rows are the right answers, columns those that were given.</p>'
    )


def image(pixels: Sequence[Sequence[Any]], label: str) -> str:
    """A small grey picture; `label` is escaped already."""
    rows = [[min(max(float(p), 0.0), 1.0) for p in row][:64] for row in pixels][:64]
    high, wide = len(rows), max(map(len, rows), default=0)
    squares = "".join(
        f'<rect x="{j}" y="{i}" width="1.02" height="1.02" fill="#{3 * f"{round(255 * (1 - p)):02x}"}"/>'
        for i, row in enumerate(rows)
        for j, p in enumerate(row)
        if p > 0.02
    )
    return (
        f'<svg viewBox="0 0 {wide} {high}" role="img" aria-label="{label}" shape-rendering="crispEdges">'
        f'<rect width="{wide}" height="{high}" fill="#fff"/>{squares}</svg>'
    )
