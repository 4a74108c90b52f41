"""Classroom 50's result.json: whole points, hyphenated keys."""

from __future__ import annotations

import json

from grading.outputs.grade import Grade
from grading.outputs.words import clean


def text(grade: Grade) -> str:
    """A test for each milestone; points are rounded down, so that nothing is given away."""
    tests = [
        {
            "test-name": clean(m.title, 200),
            "status": "pass" if m.status == "passed" else "fail",
            "score": int(m.score + 1e-9),
            "max-score": round(m.max_score),
            "output": clean(m.next or m.message),
        }
        for m in grade.milestones
    ]
    content = {
        "schema": "classroom50/result/v1",
        "score": sum(int(m.score + 1e-9) for m in grade.milestones),
        "max-score": sum(round(m.max_score) for m in grade.milestones),
        "tests": tests,
    }
    return json.dumps(content, indent=2)
