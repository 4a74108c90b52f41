"""The report as one HTML file that a student wants to read: no script, no request, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from grading.outputs.drawings import confusion, curve, image, scale
from grading.outputs.grade import GateGrade, Grade, MilestoneGrade
from grading.outputs.shown import broken, shown
from grading.outputs.words import clean, measured

STYLE = Path(__file__).with_name("page.css")
# Even where an escape was forgotten, a browser runs no script and asks for nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_MOST_TEXTS, _MOST_MISTAKES = 20, 24


def report(grade: Grade) -> str:
    """The whole page. All that came from a submission is escaped, and what is not visible is left out."""
    grade = shown(grade)
    name = text(grade.submission.name, 200)
    met = sum(m.status == "passed" for m in grade.milestones)
    done = f"{met} of {len(grade.milestones)} milestones met"
    date = grade.started[:16].replace("T", " ")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{name}: {grade.score:.1f} of {grade.max_score:g} points</title>",
        f"<style>{STYLE.read_text('utf-8')}</style></head><body><main>",
        f'<header><div><p class="soft">TinyTorch milestones</p><h1>{name}</h1>',
        f'<p class="soft">{done} · {text(date)} UTC · {grade.seconds:.1f} s</p></div>',
        f'<p class="score">{grade.score:.1f}<small> of {grade.max_score:g} points</small></p></header>',
        f'<nav aria-label="Milestones">{"".join(map(_bar, grade.milestones))}</nav>',
        _first_step(grade),
        *map(_milestone, grade.milestones),
        _about(grade),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def text(words: str, most: int = 4000) -> str:
    """Words that are shown as they are, whoever wrote them."""
    return escape(clean(str(words), most))


def prose(words: str, most: int = 4000) -> str:
    """Sentences of a message; what stands between backticks is set as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text(words, most))


def number(value: float | None, unit: str) -> str:
    """A measured value, with its power of ten as people write it."""
    return re.sub(r"e([-+])0*(\d+)", _power, text(measured(value, unit)))


def _power(found: re.Match[str]) -> str:
    return f" × 10<sup>{'−' if found[1] == '-' else ''}{found[2]}</sup>"


def _sign(passed: bool, skipped: bool = False) -> str:
    if skipped:
        return '<span class="soft" role="img" aria-label="skipped">–</span>'
    kind, label, sign = ("tick", "met", "✓") if passed else ("cross", "not met", "✗")
    return f'<span class="{kind}" role="img" aria-label="{label}">{sign}</span>'


def _bar(m: MilestoneGrade) -> str:
    share = 100 * m.score / m.max_score if m.max_score else 0.0
    return (
        f'<a href="#{text(m.name)}"><span>{_sign(m.status == "passed", m.status == "skipped")} '
        f"{m.number}. {text(m.title)}</span>"
        f'<span class="bar"><i style="width:{share:.1f}%"></i></span>'
        f'<span class="right">{m.score:.1f} of {m.max_score:g}</span></a>'
    )


def _first_step(grade: Grade) -> str:
    """The one thing to do now: milestones build on each other, so the first that is not met."""
    for m in grade.milestones:
        if m.status == "failed" or m.status == "error":
            return (
                f'<p class="next"><b>What to look at next.</b> Milestone {m.number}, {text(m.title)}. '
                f"{prose(m.next)}</p>"
            )
    return ""


def _milestone(m: MilestoneGrade) -> str:
    passed = m.status == "passed"
    badge, colours = "✗ not met", "no"
    if passed:
        badge, colours = f"✓ {m.mark or 'met'}", "yes"
    elif m.status == "skipped":
        badge, colours = "skipped", "soft"
    points = f"{m.score:.1f} of {m.max_score:g} points"
    facts = [points, f"{m.seconds:.1f} s"] + ([f"{m.peak_mib:.0f} MiB at most"] if m.peak_mib else [])
    parts = [
        f'<section id="{text(m.name)}"><div class="head"><h2>{m.number}. {text(m.title)}</h2>',
        f'<span class="badge {colours}">{text(badge)}</span></div>',
        f'<p class="soft">{" · ".join(facts)}</p>',
    ]
    if m.message:
        parts.append(f"<p>{prose(m.message)}</p>")
    if m.value is not None:
        parts.append(f"<h3>{text(m.metric.replace('_', ' ').capitalize())}</h3>{scale(m)}")
    if m.next:
        parts.append(f'<p class="next"><b>Next.</b> {prose(m.next)}</p>')
    parts += [_gates(m), _pictures(m)]
    if m.mistakes:
        mistakes = "".join(map(_mistake, m.mistakes[:_MOST_MISTAKES]))
        parts.append(f'<h3>Some of its mistakes</h3><ul class="mistakes">{mistakes}</ul>')
    if m.text:
        written = "".join(f"<pre>{text(words)}</pre>" for words in m.text[:_MOST_TEXTS])
        parts.append(f"<h3>What it writes</h3>{written}")
    return "\n".join([*parts, "</section>"])


def _gates(m: MilestoneGrade) -> str:
    """Every gate; those that had nothing to look at are folded away beneath the one that they follow from."""
    _, following = broken(m)
    head = '<li class="head soft" aria-hidden="true"><span></span><span>Gate</span>'
    head += '<span class="right">measured</span><span class="right">asked for</span>'
    head += '<span class="right">points</span></li>'
    listed = "".join(_gate(gate, m) for gate in m.gates if gate not in following)
    found = f'<h3>Gates</h3><ul class="gates wide">{head}{listed}</ul>'
    if following:
        folded = "".join(_gate(gate, m) for gate in following)
        found += (
            f"<details><summary>{len(following)} more gates are not met, which had nothing to look at"
            f'</summary><ul class="gates wide">{folded}</ul></details>'
        )
    return found


def _gate(gate: GateGrade, m: MilestoneGrade) -> str:
    passed, skipped = gate.status == "passed", gate.status == "skipped"
    cells = [
        ("measured", number(gate.value, gate.unit) if gate.value is not None else ""),
        ("asked for", _asked(gate, m)),
        ("points", f"{gate.score:.1f} of {gate.max_score:.1f}"),
    ]
    numbers = "".join(
        f'<span class="right soft"><span class="label">{label} </span>{value}</span>'
        if value
        else "<span></span>"
        for label, value in cells
    )
    why = f'<span class="why">{prose(gate.message)}</span>' if gate.message and not passed else ""
    hint = f'<span class="why"><b>Look at:</b> {prose(gate.hint)}</span>' if gate.hint and not passed else ""
    title = f"{_sign(passed, skipped)}<b>{text(gate.title)}</b>"
    return f'<li>{title}<span class="numbers">{numbers}</span>{why}{hint}</li>'


def _asked(gate: GateGrade, m: MilestoneGrade) -> str:
    """The threshold, and on which side of it one has to be, as far as that can be told."""
    if gate.threshold is None:
        return ""
    if gate.name == m.metric:
        most = m.falls
    elif gate.value is not None:
        most = (gate.value <= gate.threshold) == (gate.status == "passed")
    else:
        return number(gate.threshold, gate.unit)
    return f"{'≤' if most else '≥'} {number(gate.threshold, gate.unit)}"


def _pictures(m: MilestoneGrade) -> str:
    found = []
    losses = m.curves.get("loss", [])
    if len(losses) > 1:
        found.append(f"<div><h3>Training loss</h3>{curve(losses)}</div>")
    if m.confusion:
        found.append(f"<div><h3>What was taken for what</h3>{confusion(m.confusion, m.classes)}</div>")
    return f'<div class="pair">{"".join(found)}</div>' if found else ""


def _mistake(mistake: dict[str, Any]) -> str:
    label = text(f"{mistake.get('expected', '')}, taken for {mistake.get('got', '')}", 60)
    return f"<li>{image(mistake.get('image', []), label)}<span>{label}</span></li>"


def _about(grade: Grade) -> str:
    held = grade.isolation
    rows = [
        ("Yours", _names(grade.submission.theirs)),
        ("From the library", _names(grade.submission.ours)),
        ("Isolation", "namespaces of its own" if held.get("namespaces") else "no namespaces"),
        ("Files", str(held.get("files", "open"))),
        ("Network", str(held.get("network", "open"))),
        ("User", str(held.get("user", "the grader's"))),
        ("Seed of the data", str(grade.seed)),
        ("Sizes", grade.profile),
        ("Submission", f"SHA-256 {grade.submission.sha256[:16]}…"),
        ("Environment", ", ".join(f"{key} {value}" for key, value in grade.environment.items())),
        *(("Note", str(note)) for note in held.get("notes", [])),
    ]
    listed = "".join(f"<dt>{text(term)}</dt><dd>{text(value)}</dd>" for term, value in rows)
    return f"<footer><h2>How this was graded</h2><dl>{listed}</dl></footer>"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
