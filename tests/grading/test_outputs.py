"""What is written about a grade: every format keeps its contract, whatever a submission is called or says."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from grading.outputs import FORMATS, write
from grading.outputs.grade import GateGrade, Grade, MilestoneGrade, Submission
from grading.outputs.points import Points, best_mark
from grading.sandbox import Outcome
from grading.submissions.profiles import TRIALS
from grading.submissions.trial import Finding, Left, Verdict

NASTY = "<script>alert(1)</script> ]]> \x00 \ud800 | ` & \"'" + "x" * 300


def sample(
    name="alice", message="the gradient is off by 12 %", hint="look at the bias", visibility="visible"
):
    """A grade with everything in it: one milestone met, one not."""
    gates = [
        GateGrade("ran", "Runs to its end", "passed", 2.0, 2.0),
        GateGrade("gradients", "Gradients", "failed", 0.0, 3.0, visibility, 0.01, None, "", message, hint),
        GateGrade("accuracy", "Accuracy", "passed", 5.0, 5.0, "visible", 0.85, 0.9123, "share"),
    ]
    common = {"metric": "accuracy", "unit": "share", "falls": False, "seconds": 1.5, "peak_mib": 180.0}
    marks = {"pass": 0.85, "merit": 0.93, "distinction": 0.96}
    met = MilestoneGrade(
        "xor", 2, "XOR, 1969", "passed", 10.0, 10.0, value=0.99, marks=marks, mark="distinction",
        gates=[gates[0], gates[2]], curves={"loss": [1.0, 0.1, 0.01]}, **common,
    )  # fmt: skip
    missed = MilestoneGrade(
        "mlp", 3, "MLP revival", "failed", 7.0, 10.0, value=0.9123, marks=marks, mark=None, gates=gates,
        next=f"Gradients: {hint}", curves={"loss": [2.0, 1.0]}, confusion=[[30, 2], [1, 31]],
        classes=["0", name],
        text=[message],
        mistakes=[{"image": [[0.0, 1.0], [0.5, 0.2]], "expected": "0", "got": name}], **common,
    )  # fmt: skip
    return Grade(
        Submission(name, f"/tmp/{name}", "ab" * 32, ["Linear"], ["SGD"]), "2026-11-26T12:00:00+00:00", 4.2, 7,
        "small", {"python": "3.11"}, {"namespaces": True, "network": "namespace", "notes": []}, [met, missed],
    )  # fmt: skip


def test_what_is_written_can_be_read_again(tmp_path):
    grade = sample()
    grade.write(tmp_path / "grade.json")
    assert Grade.read(tmp_path / "grade.json") == grade
    content = json.loads((tmp_path / "grade.json").read_text("utf-8"))
    assert (content["score"], content["max_score"], content["passed"]) == (17.0, 20.0, False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("seed"), "the key 'seed' is missing"),
        (lambda c: c.update(colour="red"), "unknown key 'colour'"),
        (lambda c: c["milestones"][0].update(status="fine"), "expected one of passed, failed"),
        (
            lambda c: c["milestones"][0]["gates"][0].update(score="2"),
            r"gates\[0\]\.score: expected float, got '2'",
        ),
        (lambda c: c.update(schema="other"), "expected a grade of the schema"),
    ],
)
def test_a_grade_that_is_none_is_refused(change, says):
    content = json.loads(sample().to_json())
    change(content)
    with pytest.raises(ValueError, match=says):
        Grade.from_json(json.dumps(content))


def test_gradescope():
    found = json.loads(FORMATS["gradescope"][1](sample()))
    assert found["score"] == 17.0
    assert sum(test["score"] for test in found["tests"]) == pytest.approx(7.0 + 7.0)
    assert {test["visibility"] for test in found["tests"]} == {"visible"}
    assert {"name": "xor accuracy", "value": 0.99, "order": "desc"} in found["leaderboard"]
    assert {"name": "seconds", "value": 4.2, "order": "asc"} in found["leaderboard"]


def test_classroom50_gives_whole_points_and_rounds_down():
    grade = sample()
    grade.milestones[1].score = 7.9
    found = json.loads(FORMATS["classroom50"][1](grade))
    assert found["schema"] == "classroom50/result/v1"
    assert (found["score"], found["max-score"]) == (17, 20)
    assert [test["test-name"] for test in found["tests"]] == ["XOR, 1969", "MLP revival"]


def test_prairielearn():
    grade = sample()
    found = json.loads(FORMATS["prairielearn"][1](grade))
    assert found["score"] == pytest.approx(0.85)
    assert found["gradable"]
    for milestone in grade.milestones:
        milestone.gates[0] = dataclasses.replace(
            milestone.gates[0], status="failed", message="it cannot be imported"
        )
    found = json.loads(FORMATS["prairielearn"][1](grade))
    assert not found["gradable"]
    assert found["format_errors"] == ["it cannot be imported"]


def test_prairielearn_stays_below_a_megabyte():
    grade = sample(message="x" * 5000)
    grade.milestones = [dataclasses.replace(grade.milestones[1], gates=grade.milestones[1].gates * 200)]
    assert len(FORMATS["prairielearn"][1](grade).encode()) <= 1_000_000


def test_junit_counts():
    suites = list(ET.fromstring(FORMATS["junit"][1](sample())))
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    assert suites[1].find("testcase/failure").get("message") == "the gradient is off by 12 %"


@pytest.mark.parametrize("name", FORMATS)
def test_nasty_names_and_messages_stay_text(name, tmp_path):
    grade = sample(NASTY, NASTY, NASTY)
    (path,) = write(grade, tmp_path, [name]) if name != "json" else (tmp_path / "grade.json",)
    if name == "json":
        path.write_text(grade.to_json(), "utf-8")  # escapes what no file can hold
    text = path.read_text("utf-8")
    if name == "junit":
        ET.fromstring(text)
    elif name not in ("html", "markdown"):
        json.loads(text)
    if name in ("html", "markdown"):
        assert "<script" not in text


@pytest.mark.parametrize("name", ["html", "markdown", "junit", "prairielearn"])
def test_a_hidden_gate_tells_nothing(name):
    text = FORMATS[name][1](sample(message="a hidden message", hint="a hidden hint", visibility="hidden"))
    grade = sample(message="a hidden message", visibility="hidden")
    assert "hidden" not in {gate.message for gate in grade.milestones[0].gates}
    assert "a hidden message" not in re.sub(r"<pre>.*?</pre>", "", text)


class _References(HTMLParser):
    """What a page would ask the network for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [
            v for k, v in attributes if k in ("src", "href", "action") and v and not v.startswith("#")
        ]
        if tag in ("script", "iframe", "object", "embed", "link"):
            self.found.append(tag)


def test_the_page_asks_for_nothing():
    page = FORMATS["html"][1](sample())
    references = _References()
    references.feed(page)
    assert references.found == []
    assert "url(" not in page
    assert "@import" not in page
    assert len(page.encode()) < 2_000_000


# --- points ---------------------------------------------------------------------------------------------


def graded(points, findings, value=None):
    left = Left(Outcome(0), {}, {}, None)
    return points.grade(TRIALS["mlp"], Verdict(findings, value), left, 1.0)


def found(name, status="passed"):
    return Finding(name, name, status)


def test_points_of_gates_share_those_of_the_milestone():
    names = TRIALS["mlp"].gates
    whole = graded(Points.read(), [found(name) for name in names], 0.97)
    assert whole.score == pytest.approx(whole.max_score)
    assert whole.mark == "distinction"
    one = graded(
        Points.read(), [found(name, "error" if name == "gradients" else "passed") for name in names], 0.97
    )
    assert one.max_score == pytest.approx(whole.max_score), "what could not be tried stays in the total"
    assert one.score < whole.score
    assert one.status == "failed"
    assert one.mark is None


def test_partial_credit_is_linear_from_the_floor():
    scores = [
        graded(Points.read(), [found("accuracy", "failed")], value).score
        for value in (0.05, 0.1, 0.475, 0.85)
    ]
    assert scores == pytest.approx([0.0, 0.0, 10.0, 20.0])


def test_a_smaller_loss_is_better():
    assert best_mark(0.8, {"pass": 1.1, "merit": 1.0, "distinction": 0.9}, True) == "distinction"
    assert best_mark(1.05, {"pass": 1.1, "merit": 1.0, "distinction": 0.9}, True) == "pass"
    assert best_mark(1.2, {"pass": 1.1, "merit": 1.0, "distinction": 0.9}, True) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gates.accuracy]\npoint = 2", "unknown key 'point'; did you mean 'points'"),
        ("[gates.accuracy]\nvisibility = 'secret'", "expected one of visible, hidden"),
        ("[gates.accuracy]\npoints = -1", "expected 0 or more"),
        ("[milestone]\nmlp = 2", "did you mean 'milestones'"),
    ],
)
def test_a_mistake_in_the_points_is_named(text, says, tmp_path):
    path = tmp_path / "points.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        Points.read(path)
