"""The pictures of a report: HTML, SVG, and images as data URIs."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import Any

from grading.outputs.grade import MilestoneGrade
from grading.outputs.words import clean, measured

_WIDE, _HIGH = 440, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, _WIDE - 8, 12, _HIGH - 30
_POINTS = 200  # of a curve at most
_PIXELS = 64  # of an image at most, each way


def scale(m: MilestoneGrade) -> str:
    """A line with the marks on it, and where the value is. Better is always further right."""
    if m.value is None or not m.marks:
        return ""
    numbers = [m.value, *m.marks.values()]
    room = 0.35 * ((max(m.marks.values()) - min(m.marks.values())) or abs(m.value) or 1.0)
    low, high = min(numbers) - room, max(numbers) + room
    if m.unit == "share":
        low, high = max(low, 0.0), min(high, 1.0)

    def at(value: float) -> float:
        share = 100 * (value - low) / (high - low)
        return 100 - share if m.falls else share

    stops = sorted((at(value), name, value) for name, value in m.marks.items())
    bands = []
    for i, (left, _, _) in enumerate(stops):
        end = stops[i + 1][0] if i + 1 < len(stops) else 100.0
        bands.append(f'<i class="band{i}" style="left:{left:.2f}%;width:{end - left:.2f}%"></i>')
    place = at(m.value)
    told = "".join(
        f'<li><i class="band{i}"></i>{escape(name)} {measured(value, m.unit)}</li>'
        for i, (_, name, value) in enumerate(stops)
    )
    # The words are shifted by the same share of their own width, so that they never leave the line.
    value = (
        f'<b style="left:{place:.2f}%;transform:translateX(-{place:.2f}%)">{measured(m.value, m.unit)}</b>'
    )
    dot = f'<i class="dot" style="left:{place:.2f}%"></i>'
    return (
        f'<div class="scale">{value}<div aria-hidden="true">{"".join(bands)}{dot}</div></div>'
        f'<ul class="marks" aria-label="Marks">{told}</ul>'
    )


def curve(losses: Sequence[float | None]) -> str:
    """The loss of every epoch; logarithmic where it falls by more than a factor of ten."""
    finite = [(i, loss) for i, loss in enumerate(losses, 1) if loss is not None and math.isfinite(loss)]
    if len(finite) < 2:
        return '<p class="soft">No finite losses.</p>'
    smallest, largest = min(loss for _, loss in finite), max(loss for _, loss in finite)
    logarithmic = smallest > 0 and largest / smallest > 10
    drawn = finite[:: -(-len(finite) // _POINTS)]
    values = [math.log(loss) if logarithmic else loss for _, loss in drawn]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = " ".join(
        f"{_LEFT + (_RIGHT - _LEFT) * (i - 1) / max(len(losses) - 1, 1):.1f},"
        f"{_BOTTOM - (_BOTTOM - _TOP) * (value - low) / span:.1f}"
        for (i, _), value in zip(drawn, values, strict=True)
    )
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = _BOTTOM - (_BOTTOM - _TOP) * share
        at = low + span * share
        number = math.exp(at) if logarithmic else at
        lines.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number:.3g}</text>')
    missing = len(losses) - len(finite)
    told = f"Training loss from {finite[0][1]:.3g} to {finite[-1][1]:.3g} over {len(losses)} epochs"
    notes = [f"{len(losses)} epochs"]
    notes += ["logarithmic"] if logarithmic else []
    notes += [f"{missing} of them not finite"] if missing else []
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{told}">{"".join(lines)}'
        f'<text x="{_LEFT}" y="{_HIGH - 8}">1</text>'
        f'<text x="{_RIGHT}" y="{_HIGH - 8}" text-anchor="end">{", ".join(notes)}</text>'
        f'<polyline points="{points}"/></svg>'
    )


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Rows are the right answers, columns those that were given; the darker, the more."""
    names = [escape(clean(name, 12)) for name in classes]
    most = max((count for i, row in enumerate(counts) for j, count in enumerate(row) if i != j), default=0)
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = []
    for i, (name, row) in enumerate(zip(names, counts, strict=False)):
        cells = []
        for j, count in enumerate(row):
            # Up to 45 %, where the numbers can still be read in either scheme.
            share = 22 if i == j else round(12 + 33 * count / most) if count else 0
            colour = "good" if i == j else "bad"
            back = f"background:color-mix(in srgb,var(--{colour}) {share}%,transparent)" if share else ""
            cells.append(f'<td style="{back}">{count}</td>' if share else "<td></td>")
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Confusion matrix">'
        '<table class="confusion">'
        "<caption>Rows: the right answer. Columns: what was answered.</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def image(pixels: Sequence[Sequence[Any]], label: str) -> str:
    """A small grey picture, dark on light; `label` is escaped already."""
    rows = [[round(255 * (1 - min(max(float(p), 0.0), 1.0))) for p in row][:_PIXELS] for row in pixels]
    data = base64.b64encode(_png(rows[:_PIXELS])).decode()
    return f'<img alt="{label}" src="data:image/png;base64,{data}">'


def _png(rows: Sequence[Sequence[int]]) -> bytes:
    """Eight bits of grey for each pixel, as the PNG specification has them: a filter byte before each row."""
    wide = max(map(len, rows), default=0)
    raw = b"".join(b"\0" + bytes([*row, *[255] * (wide - len(row))]) for row in rows)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", wide, len(rows), 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw, 9)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
