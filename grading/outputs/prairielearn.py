"""PrairieLearn's results.json: a share of the points, and messages; 1 MB at most."""

from __future__ import annotations

import json
from typing import Any

from grading.outputs.grade import Grade
from grading.outputs.words import clean, measured

MOST = 1_000_000  # bytes


def text(grade: Grade) -> str:
    """Tests in full, with shorter messages where they would not fit. Hidden gates are left out.

    A submission that could not be loaded at all is not gradable, which costs no attempt.
    """
    problems = {m.gates[0].message for m in grade.milestones if m.gates and m.gates[0].status != "passed"}
    unloaded = [problem for problem in problems if "cannot be imported" in problem]
    for most in (4000, 400, 40):
        content: dict[str, Any] = {
            "gradable": not unloaded,
            "score": grade.score / grade.max_score if grade.max_score else 0.0,
            "message": f"{grade.score:.1f} of {grade.max_score:g} points",
            "tests": [
                {
                    "name": clean(f"{m.title}: {gate.title}", 200),
                    "description": clean(gate.hint, most),
                    "points": gate.score,
                    "max_points": gate.max_score,
                    "message": clean(gate.message, most),
                    "output": f"measured {measured(gate.value, gate.unit)}",
                }
                for m in grade.milestones
                for gate in m.gates
                if gate.visibility == "visible"
            ],
        }
        if unloaded:
            content["format_errors"] = [clean(problem, most) for problem in unloaded]
        found = json.dumps(content, indent=2)
        if len(found.encode()) <= MOST:
            break
    return found
