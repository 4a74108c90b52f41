"""Classroom 50's result.json: whole points, hyphenated keys, and which submission it is about."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from grading.outputs.grade import Grade
from grading.outputs.shown import shown
from grading.outputs.words import clean

# Where its runner says what is graded. It stamps owner, assignment type and times itself.
_CONTEXT = {
    "classroom": "CLASSROOM",
    "assignment": "ASSIGNMENT",
    "submission": "SUBMISSION_TAG",
    "commit": "COMMIT_URL",
    "release": "RELEASE_URL",
    "review": "REVIEW_URL",
}


def text(grade: Grade, environment: Mapping[str, str] = os.environ) -> str:
    """A test for each milestone; points are rounded down, so that nothing is given away.

    Outside of a runner there is no context, and its keys are left out: such a file is for looking at.
    """
    tests = [
        {
            "test-name": clean(m.title, 200),
            "passed": m.status == "passed",
            "score": int(m.score + 1e-9),
            "max-score": round(m.max_score),
            "output": clean(f"{seen.next} {seen.message}".strip()),
        }
        for m, seen in zip(grade.milestones, shown(grade).milestones, strict=True)
    ]
    context = {key: environment[name] for key, name in _CONTEXT.items() if environment.get(name)}
    if "commit" in context:
        context.setdefault("review", context["commit"])  # a first submission has nothing to be compared with
    content = {
        "schema": "classroom50/result/v1",
        **context,
        "datetime": grade.started.replace("+00:00", "Z"),
        "score": sum(int(m.score + 1e-9) for m in grade.milestones),
        "max-score": sum(round(m.max_score) for m in grade.milestones),
        "tests": tests,
    }
    return json.dumps(content, indent=2, allow_nan=False)
