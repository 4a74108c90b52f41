"""Markdown, for a CI step's summary: 1 MiB at most."""

from __future__ import annotations

import re

from grading.outputs.grade import Grade
from grading.outputs.words import clean, measured

MOST = 1 << 20  # bytes


def text(grade: Grade) -> str:
    """A table of milestones, and beneath it what is not met."""
    lines = [
        f"# {_plain(grade.submission.name)}: {grade.score:.1f} of {grade.max_score:g} points",
        "",
        "| milestone | reached | to pass | mark | points |",
        "|---|--:|--:|---|--:|",
    ]
    for m in grade.milestones:
        mark = f"✓ {m.mark or 'met'}" if m.status == "passed" else "✗ not met"
        lines.append(
            f"| {m.number} {_plain(m.title)} | {measured(m.value, m.unit)} | "
            f"{measured(m.marks.get('pass'), m.unit)} | {mark} | {m.score:.1f} / {m.max_score:g} |"
        )
    for m in grade.milestones:
        if m.status == "passed":
            continue
        lines += ["", f"## {_plain(m.title)}", ""]
        for gate in m.gates:
            if gate.status != "passed" and gate.visibility == "visible":
                lines.append(
                    f"- **{_plain(gate.title)}**: {_plain(gate.message)} {_plain(gate.hint)}".rstrip()
                )
    found = "\n".join(lines) + "\n"
    return found.encode()[:MOST].decode("utf-8", "ignore")


def _plain(words: str) -> str:
    """On one line, with nothing that Markdown or HTML would take for its own."""
    words = re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", " ".join(clean(words).split()))
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
