"""A class as one HTML file: a table that can be sorted, and what went wrong for how many. No request."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote

from grading.classroom.table import Group, Row, Table, alike
from grading.outputs.grade import MilestoneGrade
from grading.outputs.page import STYLE, text
from grading.outputs.words import measured

_CSS, _JS = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))


def page(table: Table) -> str:
    """The whole page. All that came from a submission is escaped, and no other script than ours may run."""
    script = _JS.read_text("utf-8")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'"
    names = [f"{trial.number}. {trial.name}" for trial in table.trials]
    heads = "".join(map(_head, ["student", "status", "points", *names, "seconds", "MiB"]))
    groups = alike(table.rows)
    met = sum(row.status == "passed" for row in table.rows)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            "<title>A class, graded</title>",
            f"<style>{STYLE.read_text('utf-8')}{_CSS.read_text('utf-8')}</style></head><body><main>",
            f'<p class="soft">TinyTorch milestones</p><h1>{len(table.rows)} submissions</h1>',
            f'<p class="soft">{met} met all that was asked · seed {table.seed}</p>',
            f'<section class="scroll"><table class="class"><thead><tr>{heads}</tr></thead>',
            f"<tbody>{''.join(_line(row, table) for row in table.rows)}</tbody></table></section>",
            "<h3>What went wrong, the most frequent first</h3>" if groups else "",
            f'<section><ul class="gates">{"".join(map(_group, groups))}</ul></section>' if groups else "",
            f"</main><script>{script}</script></body></html>",
        ]
    )


def _head(name: str) -> str:
    return f'<th scope="col" aria-sort="none"><button type="button">{text(name)}</button></th>'


def _line(row: Row, table: Table) -> str:
    name = text(row.name, 200)
    if row.grade is not None:
        name = f'<a href="{quote(row.name, safe="")}/report.html">{name}</a>'
    of = row.grade.max_score if row.grade else table.worth
    score = "–" if row.score is None else f"{row.score:.1f} of {of:g}"
    seconds = row.grade.seconds if row.grade else row.seconds
    memory = row.peak_mib
    badge = "yes" if row.status == "passed" else "no"
    return (
        f'<tr><th scope="row" data-key="{text(row.name, 200)}">{name}</th>'
        f'<td data-key="{row.status}"><span class="badge {badge}">{row.status}</span></td>'
        + _cell(score, row.score)
        + "".join(_milestone(row.milestones.get(trial.name)) for trial in table.trials)
        + _cell(f"{seconds:.1f}", seconds)
        + _cell("–" if memory is None else f"{memory:.0f}", memory)
        + "</tr>"
    )


def _cell(shown: str, key: float | None) -> str:
    return f'<td data-key="{"" if key is None else f"{key:.6g}"}">{shown}</td>'


def _milestone(m: MilestoneGrade | None) -> str:
    if m is None:
        return _cell("–", None)
    sign = '<span class="tick">✓</span>' if m.status == "passed" else '<span class="cross">✗</span>'
    mark = f' <span class="soft">{text(m.mark)}</span>' if m.mark else ""
    return _cell(f"{sign} {text(measured(m.value, m.unit))}{mark}", m.value)


def _group(group: Group) -> str:
    where = f" ({', '.join(group.milestones)})" if group.milestones else ""
    count = len(group.students)
    return (
        f"<li><span></span><b>{text(group.what)}{text(where)}</b>"
        f'<span class="right soft">{count} student{"" if count == 1 else "s"}</span>'
        f'<span class="why">{text(group.example, 300)}</span>'
        f'<span class="why">{text(", ".join(group.students))}</span></li>'
    )
