"""Submissions with one thing wrong, a file for each below `sources`, and the whole one beside them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from grading.outputs.grade import MilestoneGrade
from grading.submissions.grade import grade

SOURCES = Path(__file__).with_name("sources")
WHOLE = Path(__file__).with_name("whole.py")


@dataclass(frozen=True)
class Mutant:
    """milestone: the one that it is tried on. says: what is wrong with it."""

    path: Path
    milestone: str
    says: str

    @property
    def name(self) -> str:
        """In words."""
        return self.path.stem.replace("_", " ")

    def graded(self, seed: int = 0) -> MilestoneGrade:
        """Its grade, in this process: nobody's code but ours is in it."""
        return grade(self.path, [self.milestone], seed=seed, isolated=False).milestones[0]


def mutants() -> list[Mutant]:
    """All of them, by milestone and name."""
    found = []
    for path in sorted(SOURCES.glob("*/*.py")):
        says = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        found.append(Mutant(path, path.parent.name, " ".join(says.split())))
    return found
