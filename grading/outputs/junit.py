"""JUnit XML: a suite for each milestone, a case for each gate that a student may see."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from grading.outputs.grade import GateGrade, Grade
from grading.outputs.shown import shown
from grading.outputs.words import clean

_TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def text(grade: Grade) -> str:
    """As pytest and CI systems write and read it."""
    seen = shown(grade)
    every = [gate for m in seen.milestones for gate in m.gates]
    name = clean(grade.submission.name, 200)
    root = ET.Element("testsuites", {"name": name, "time": f"{grade.seconds:.3f}", **_counts(every)})
    for m in seen.milestones:
        suite = ET.SubElement(
            root,
            "testsuite",
            {"name": clean(m.title, 200), "time": f"{m.seconds:.3f}", **_counts(m.gates)},
        )
        for gate in m.gates:
            # The time is the milestone's: its gates look at what one run left.
            case = ET.SubElement(suite, "testcase", classname=m.name, name=clean(gate.name, 200), time="0")
            if gate.status in _TAGS:
                because = ET.SubElement(case, _TAGS[gate.status], message=clean(gate.message, 300))
                because.text = clean(f"{gate.message}\n{gate.hint}".strip())
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _counts(gates: Sequence[GateGrade]) -> dict[str, str]:
    by_status = {"failures": "failed", "errors": "error", "skipped": "skipped"}
    counts = {key: str(sum(gate.status == name for gate in gates)) for key, name in by_status.items()}
    return {"tests": str(len(gates)), **counts}
