"""What a student may see of a grade, and what a milestone's gates amount to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from grading.outputs.grade import GateGrade, Grade, MilestoneGrade
from grading.outputs.words import measured
from grading.thresholds import GRADES


def shown(grade: Grade) -> Grade:
    """A grade without the gates that are not visible, as if nobody had asked them.

    Points, status, mark and advice are those of the visible gates: a sum that held a hidden gate would tell
    what became of it.
    """
    return dataclasses.replace(grade, milestones=[_shown(milestone) for milestone in grade.milestones])


def _shown(m: MilestoneGrade) -> MilestoneGrade:
    gates = [gate for gate in m.gates if gate.visibility == "visible"]
    if len(gates) == len(m.gates):
        return m
    hidden = len(m.gates) - len(gates)
    told = "1 gate is not shown; its" if hidden == 1 else f"{hidden} gates are not shown; their"
    found = dataclasses.replace(
        m, gates=gates, message=f"{m.message} {told} points are not counted here.".strip()
    )
    found.score, found.max_score = sum(g.score for g in gates), sum(g.max_score for g in gates)
    if not metric_is_shown(m):
        found.value, found.confusion, found.mistakes, found.text = None, None, [], []
    found.status = status(gates)
    found.mark = best_mark(found.value, m.marks, m.falls) if found.status == "passed" else None
    found.next = advice(found)
    return found


def metric_is_shown(m: MilestoneGrade) -> bool:
    """Whether a student may see the value that the milestone is measured by."""
    return all(gate.visibility == "visible" for gate in m.gates if gate.name == m.metric)


def status(gates: Sequence[GateGrade]) -> str:
    """Of a milestone: nothing is passed where nothing was asked."""
    found = {gate.status for gate in gates}
    if found <= {"skipped"}:
        return "skipped"
    return "passed" if found == {"passed"} else "failed"


def best_mark(value: float | None, marks: Mapping[str, float], falls: bool) -> str | None:
    """The best mark that a value reaches."""
    if value is None:
        return None
    known = [name for name in GRADES if name in marks]
    reached = [name for name in known if (value <= marks[name] if falls else value >= marks[name])]
    return reached[-1] if reached else None


def broken(m: MilestoneGrade) -> tuple[list[GateGrade], list[GateGrade]]:
    """The visible gates that are not met: those to look at, and those that follow from them.

    A task that did not come to its end leaves nothing for the other gates to look at.
    """
    found = [gate for gate in m.gates if gate.status != "passed" and gate.visibility == "visible"]
    if found and found[0].name == "ran":
        return found[:1], found[1:]
    return found, []


def advice(m: MilestoneGrade) -> str:
    """What to look at next; nothing that only a hidden gate would know."""
    first, _ = broken(m)
    if first:
        gate = first[0]
        # What went wrong says more than the general hint where the task did not even end.
        return f"{gate.title}: {gate.message if gate.name == 'ran' else gate.hint or gate.message}"
    if m.status != "passed":
        return "All gates that are shown are met."
    above = GRADES[GRADES.index(m.mark) + 1 :] if m.mark else ()
    if not above or not metric_is_shown(m):
        return ""
    return f"The next mark, {above[0]}, is at {measured(m.marks[above[0]], m.unit)}."
