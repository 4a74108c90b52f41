"""Gradescope's results.json: a test for each gate, and a leaderboard of accuracy, memory and time."""

from __future__ import annotations

import json

from grading.outputs.grade import Grade
from grading.outputs.words import clean, measured


def text(grade: Grade) -> str:
    """The file that an autograder leaves in /autograder/results."""
    tests = [
        {
            "name": clean(f"{m.title}: {gate.title}", 200),
            "number": f"{m.number}.{i}",
            "score": round(gate.score, 4),
            "max_score": round(gate.max_score, 4),
            "status": "passed" if gate.status == "passed" else "failed",
            "output": clean(
                f"{gate.message}\n{gate.hint}".strip() or f"measured {measured(gate.value, gate.unit)}"
            ),
            "output_format": "text",
            "visibility": gate.visibility,
            "tags": [m.name, gate.name],
        }
        for m in grade.milestones
        for i, gate in enumerate(m.gates, 1)
    ]
    board: list[dict[str, object]] = [{"name": "seconds", "value": round(grade.seconds, 1), "order": "asc"}]
    for m in grade.milestones:
        if m.value is not None:
            order = "asc" if m.falls else "desc"
            board.append({"name": f"{m.name} {m.metric}", "value": round(m.value, 4), "order": order})
        if m.peak_mib is not None:
            board.append({"name": f"{m.name} MiB", "value": round(m.peak_mib, 1), "order": "asc"})
    content = {
        "score": round(grade.score, 4),
        "execution_time": round(grade.seconds),
        "output": f"{grade.score:.1f} of {grade.max_score:g} points",
        "visibility": "visible",
        "tests": tests,
        "leaderboard": board,
    }
    return json.dumps(content, indent=2)


def failed(reason: str) -> str:
    """What is left when no grade could be made, so that a student sees why."""
    return json.dumps({"score": 0, "output": clean(reason), "visibility": "visible", "tests": []}, indent=2)
