"""Markdown, for a CI step's summary: 1 MiB at most."""

from __future__ import annotations

import re

from grading.outputs.grade import Grade
from grading.outputs.shown import broken, shown
from grading.outputs.words import clean, measured

MOST = 1 << 20  # bytes


def text(grade: Grade) -> str:
    """A table of milestones, and beneath it what is not met."""
    grade = shown(grade)
    lines = [
        f"# {_plain(grade.submission.name, 200)}: {grade.score:.1f} of {grade.max_score:g} points",
        "",
        "| milestone | reached | to pass | mark | points |",
        "|---|--:|--:|---|--:|",
    ]
    for m in grade.milestones:
        mark = {"passed": f"✓ {m.mark or 'met'}", "skipped": "skipped"}.get(m.status, "✗ not met")
        lines.append(
            f"| {m.number} {_plain(m.title)} | {measured(m.value, m.unit)} | "
            f"{measured(m.marks.get('pass'), m.unit)} | {mark} | {m.score:.1f} / {m.max_score:g} |"
        )
    for m in grade.milestones:
        first, following = broken(m)
        if not first and not m.message:
            continue
        lines += ["", f"## {m.number} {_plain(m.title)}", ""]
        lines += [f"{_plain(m.message)}", ""] if m.message else []
        for gate in first:
            said = f"- **{_plain(gate.title)}**: {_plain(gate.message)}"
            lines.append(f"{said} *{_plain(gate.hint)}*" if gate.hint else said)
        if following:
            lines.append(f"- {len(following)} more gates are not met, which had nothing to look at")
    found = "\n".join(lines) + "\n"
    return found.encode()[:MOST].decode("utf-8", "ignore")


def _plain(words: str, most: int = 4000) -> str:
    """On one line, with nothing that Markdown or HTML would take for its own."""
    words = " ".join(clean(words, most).split())
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~@])|(?<!&)(#)", r"\\\1\2", words)
