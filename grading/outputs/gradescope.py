"""Gradescope's results.json: a test for each gate, and a leaderboard of accuracy, memory and time."""

from __future__ import annotations

import json

from grading.outputs.grade import GateGrade, Grade
from grading.outputs.shown import metric_is_shown
from grading.outputs.words import clean, measured


def text(grade: Grade) -> str:
    """The file that an autograder leaves in /autograder/results.

    Gradescope itself keeps gates from students that are not visible, but not what is said outside of them.
    """
    gates = [gate for m in grade.milestones for gate in m.gates]
    hidden = any(gate.visibility != "visible" for gate in gates)
    tests = [
        {
            "name": clean(f"{m.title}: {gate.title}", 200),
            "number": f"{m.number}.{i}",
            "score": round(gate.score, 4),
            "max_score": round(gate.max_score, 4),
            "status": "passed" if gate.status == "passed" else "failed",
            "output": clean(_told(gate)),
            "output_format": "text",
            "visibility": gate.visibility,
            "tags": [m.name, gate.name],
        }
        for m in grade.milestones
        for i, gate in enumerate(m.gates, 1)
    ]
    board: list[dict[str, object]] = [{"name": "seconds", "value": round(grade.seconds, 1), "order": "asc"}]
    for m in grade.milestones:
        if m.value is not None and metric_is_shown(m):
            order = "asc" if m.falls else "desc"
            board.append({"name": f"{m.name} {m.metric}", "value": round(m.value, 4), "order": order})
        if m.peak_mib is not None:
            board.append({"name": f"{m.name} MiB", "value": round(m.peak_mib, 1), "order": "asc"})
    content = {
        "score": round(grade.score, 4),
        "execution_time": round(grade.seconds),
        "output": "" if hidden else f"{grade.score:.1f} of {grade.max_score:g} points",
        "visibility": "visible",
        "tests": tests,
        "leaderboard": board,
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _told(gate: GateGrade) -> str:
    asked = f" (asked for: {measured(gate.threshold, gate.unit)})" if gate.threshold is not None else ""
    value = f"measured {measured(gate.value, gate.unit)}{asked}" if gate.value is not None else ""
    return "\n".join(line for line in (gate.message, gate.hint, value) if line)


def failed(reason: str) -> str:
    """What is left when no grade could be made, so that a student sees why."""
    return json.dumps({"score": 0, "output": clean(reason), "visibility": "visible", "tests": []}, indent=2)
