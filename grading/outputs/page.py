"""The report as one HTML file that a student wants to read: no script, no request, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from grading.outputs.drawings import confusion, curve, image, scale
from grading.outputs.grade import GateGrade, Grade, MilestoneGrade
from grading.outputs.words import clean, measured

STYLE = Path(__file__).with_name("page.css")


def report(grade: Grade) -> str:
    """The whole page. All that came from a submission is escaped."""
    name = text(grade.submission.name, 200)
    met = sum(m.status == "passed" for m in grade.milestones)
    done = f"{met} of {len(grade.milestones)} milestones met"
    date = grade.started[:16].replace("T", " ")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}: {grade.score:.1f} of {grade.max_score:g} points</title>",
        f"<style>{STYLE.read_text('utf-8')}</style></head><body><main>",
        f'<header><div><p class="soft">TinyTorch milestones</p><h1>{name}</h1>',
        f'<p class="soft">{done} · {text(date)} UTC · {grade.seconds:.1f} s</p></div>',
        f'<p class="score">{grade.score:.1f}<small> of {grade.max_score:g} points</small></p></header>',
        f'<nav aria-label="Milestones">{"".join(map(_bar, grade.milestones))}</nav>',
        *map(_milestone, grade.milestones),
        _about(grade),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def text(words: str, most: int = 4000) -> str:
    """Words that are shown as they are, whoever wrote them."""
    return escape(clean(str(words), most))


def _bar(m: MilestoneGrade) -> str:
    share = 100 * m.score / m.max_score if m.max_score else 0.0
    return (
        f'<a href="#{text(m.name)}"><span>{m.number}. {text(m.title)}</span>'
        f'<span class="bar"><i style="width:{share:.1f}%"></i></span>'
        f'<span class="right">{m.score:.1f} of {m.max_score:g}</span></a>'
    )


def _milestone(m: MilestoneGrade) -> str:
    passed = m.status == "passed"
    badge = f"✓ {m.mark or 'met'}" if passed else {"skipped": "skipped"}.get(m.status, "✗ not met")
    memory = f", {m.peak_mib:.0f} MiB" if m.peak_mib else ""
    parts = [
        f'<section id="{text(m.name)}"><div class="head"><h2>{m.number}. {text(m.title)}</h2>',
        f'<span class="badge {"yes" if passed else "no"}">{text(badge)}</span></div>',
        f'<p class="soft">{measured(m.value, m.unit)} {text(m.metric)} · '
        f"{m.score:.1f} of {m.max_score:g} points · {m.seconds:.1f} s{memory}</p>",
    ]
    if m.message:
        parts.append(f"<p>{text(m.message)}</p>")
    if m.value is not None and m.marks:
        parts.append(scale(m))
    if m.next:
        parts.append(f'<p class="next"><b>Next.</b> {text(m.next)}</p>')
    parts.append(f'<h3>Gates</h3><ul class="gates">{"".join(map(_gate, m.gates))}</ul>')
    pictures = []
    losses = m.curves.get("loss", [])
    if len(losses) > 1:
        pictures.append(f"<div><h3>Training loss</h3>{curve(losses)}</div>")
    if m.confusion:
        pictures.append(f"<div><h3>What was taken for what</h3>{confusion(m.confusion, m.classes)}</div>")
    if pictures:
        parts.append(f'<div class="pair">{"".join(pictures)}</div>')
    if m.mistakes:
        parts.append(
            f'<h3>Some of its mistakes</h3><ul class="mistakes">{"".join(map(_mistake, m.mistakes))}</ul>'
        )
    if m.text:
        parts.append("<h3>What it writes</h3>" + "".join(f"<pre>{text(t)}</pre>" for t in m.text))
    return "\n".join([*parts, "</section>"])


def _gate(gate: GateGrade) -> str:
    passed = gate.status == "passed"
    mark = (
        '<span class="tick" aria-label="met">✓</span>'
        if passed
        else '<span class="cross" aria-label="not met">✗</span>'
    )
    if gate.visibility != "visible":
        return f"<li>{mark}<span>{text(gate.title)}</span><span></span></li>"
    side = ""
    if gate.value is not None:
        bound = "at most" if gate.threshold is not None and gate.value <= gate.threshold else "at least"
        asked = f", {bound} {measured(gate.threshold, gate.unit)}" if gate.threshold is not None else ""
        side = f"{measured(gate.value, gate.unit)}{asked}"
    why = "" if passed else f'<span class="why">{text(gate.message)}</span>'
    hint = f'<span class="why"><b>Look at:</b> {text(gate.hint)}</span>' if gate.hint and not passed else ""
    numbers = f'<span class="right soft">{side}</span>'
    return f"<li>{mark}<b>{text(gate.title)}</b>{numbers}{why}{hint}</li>"


def _mistake(mistake: dict[str, Any]) -> str:
    label = f"{mistake.get('expected', '')}, taken for {mistake.get('got', '')}"
    return f"<li>{image(mistake.get('image', []), text(label))}{text(label)}</li>"


def _about(grade: Grade) -> str:
    held = grade.isolation
    rows = [
        ("Yours", _names(grade.submission.theirs)),
        ("From the library", _names(grade.submission.ours)),
        ("Isolation", "namespaces" if held.get("namespaces") else "no namespaces"),
        ("Network", str(held.get("network", "open"))),
        ("Seed of the data", str(grade.seed)),
        ("Submission", f"SHA-256 {grade.submission.sha256[:16]}…"),
        ("Versions", ", ".join(f"{key} {value}" for key, value in grade.environment.items())),
        *(("Note", str(note)) for note in held.get("notes", [])),
    ]
    listed = "".join(f"<dt>{text(term)}</dt><dd>{text(value)}</dd>" for term, value in rows)
    return f"<footer><h3>How this was graded</h3><dl>{listed}</dl></footer>"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
