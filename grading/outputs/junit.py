"""JUnit XML: a suite for each milestone, a case for each gate."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from grading.outputs.grade import Grade
from grading.outputs.words import clean


def text(grade: Grade) -> str:
    """As pytest and CI systems write and read it."""
    root = ET.Element("testsuites", name=clean(grade.submission.name, 200), time=f"{grade.seconds:.3f}")
    for m in grade.milestones:
        count = {
            status: sum(gate.status == status for gate in m.gates)
            for status in ("failed", "error", "skipped")
        }
        suite = ET.SubElement(
            root, "testsuite", name=clean(m.title, 200), tests=str(len(m.gates)), time=f"{m.seconds:.3f}",
            failures=str(count["failed"]), errors=str(count["error"]), skipped=str(count["skipped"]),
        )  # fmt: skip
        for gate in m.gates:
            case = ET.SubElement(suite, "testcase", classname=m.name, name=clean(gate.name, 200))
            tag = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(gate.status)
            if tag and gate.visibility == "visible":
                ET.SubElement(case, tag, message=clean(gate.message, 300)).text = clean(gate.hint)
            elif tag:
                ET.SubElement(case, tag, message="hidden")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
