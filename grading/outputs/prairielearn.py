"""PrairieLearn's results.json: a share of the points, and messages; 1 MB at most."""

from __future__ import annotations

import json
from typing import Any

from grading.outputs.grade import Grade
from grading.outputs.shown import shown
from grading.outputs.words import clean, measured

MOST = 1_000_000  # bytes
_UNLOADED = "it cannot be imported"  # as submissions/inside/work.py begins


def text(grade: Grade) -> str:
    """Tests in full, with shorter messages where they would not fit. Hidden gates are left out.

    A submission that could not be loaded at all is not gradable, which costs no attempt.
    """
    first = [m.gates[0].message for m in grade.milestones if m.gates]
    unloaded = bool(first) and all(message.startswith(_UNLOADED) for message in first)
    found = ""
    for most in (4000, 400, 40, 4):
        found = json.dumps(_content(grade, first if unloaded else [], most), indent=2, allow_nan=False)
        if len(found.encode()) <= MOST:
            break
    return found


def _content(grade: Grade, problems: list[str], most: int) -> dict[str, Any]:
    seen = shown(grade).milestones
    content: dict[str, Any] = {
        "gradable": not problems,
        "score": grade.score / grade.max_score if grade.max_score else 0.0,
        "message": f"{sum(m.status == 'passed' for m in seen)} of {len(seen)} milestones met",
        "tests": [
            {
                "name": clean(f"{m.title}: {gate.title}", 200),
                "description": clean(gate.hint, most),
                "points": gate.score,
                "max_points": gate.max_score,
                "message": clean(gate.message, most),
                "output": f"measured {measured(gate.value, gate.unit)}" if gate.value is not None else "",
            }
            for m in seen
            for gate in m.gates
        ],
    }
    if problems:
        content["format_errors"] = [clean(problem, most) for problem in dict.fromkeys(problems)]
    return content
