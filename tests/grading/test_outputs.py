"""What is written about a grade: every format keeps its contract, whatever a submission is called or says."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from rich.console import Console

from grading.outputs import FORMATS, classroom50, gradescope, write
from grading.outputs.grade import GateGrade, Grade
from grading.outputs.shown import advice, best_mark, shown, status
from grading.outputs.terminal import summary
from grading.submissions.grade import grade as graded_for_real
from tests.grading.sample_grade import rich, sample

NASTY = "<script>alert(1)</script> ]]> \x00\x1b[2J \ud800\u202e | ` & \"' <img src=x> \r" + "x" * 300
SECRET = "only a hidden gate knows"


def text(name: str, grade: Grade) -> str:
    return FORMATS[name][1](grade)


# --- grade.json -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", [sample(), rich(), sample(NASTY, NASTY, NASTY)])
def test_what_is_written_can_be_read_again(grade, tmp_path):
    grade.write(tmp_path / "grade.json")
    assert Grade.read(tmp_path / "grade.json") == grade
    content = json.loads((tmp_path / "grade.json").read_text("utf-8"))
    assert content["score"] == sum(milestone.score for milestone in grade.milestones)
    assert (content["max_score"], content["passed"]) == (grade.max_score, False)
    assert [path.name for path in tmp_path.iterdir()] == ["grade.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("seed"), "grade: the key 'seed' is missing"),
        (lambda c: c.update(colour="red"), "grade: unknown key 'colour'"),
        (lambda c: c.update(schema="other"), "expected a grade of the schema"),
        (lambda c: c.update(milestones={}), r"grade\.milestones: expected a list, got {}"),
        (lambda c: c["milestones"][0].update(status="fine"), "xor.status: expected one of passed, failed"),
        (
            lambda c: c["milestones"][0].update(marks={"pass": "a lot"}),
            r"marks\.pass: expected float, got 'a l",
        ),
        (lambda c: c["milestones"][0]["gates"][0].update(score="2"), r"gates\[0\]\.score: expected float, g"),
        (lambda c: c["milestones"][0]["gates"][0].update(score=True), "score: expected float, got True"),
        (
            lambda c: c["milestones"][0]["gates"][0].update(visibility="secret"),
            "xor.ran.visibility: expected",
        ),
    ],
)
def test_a_grade_that_is_none_is_refused(change, says):
    content = json.loads(sample().to_json())
    change(content)
    with pytest.raises(ValueError, match=says):
        Grade.from_json(json.dumps(content))


def test_nothing_asked_is_nothing_passed():
    assert not dataclasses.replace(sample(), milestones=[]).passed
    assert status([]) == "skipped"


# --- one format after the other -------------------------------------------------------------------------


def test_gradescope():
    found = json.loads(text("gradescope", sample()))
    assert found["score"] == 14.0
    assert sum(test["score"] for test in found["tests"]) == pytest.approx(14.0)
    assert sum(test["max_score"] for test in found["tests"]) == pytest.approx(17.0)
    assert [test["number"] for test in found["tests"]] == ["2.1", "2.2", "3.1", "3.2", "3.3"]
    assert found["tests"][3]["output"] == "the gradient is off by 12 %\nlook at the bias"
    assert {test["visibility"] for test in found["tests"]} == {"visible"}
    assert found["leaderboard"] == [
        {"name": "seconds", "value": 4.2, "order": "asc"},
        {"name": "xor accuracy", "value": 0.99, "order": "desc"},
        {"name": "xor MiB", "value": 180.0, "order": "asc"},
        {"name": "mlp accuracy", "value": 0.9123, "order": "desc"},
        {"name": "mlp MiB", "value": 180.0, "order": "asc"},
    ]
    assert {"name": "transformer validation_loss", "value": 0.95, "order": "asc"} in json.loads(
        text("gradescope", rich())
    )["leaderboard"]


def test_gradescope_has_a_word_for_a_grader_that_failed():
    found = json.loads(gradescope.failed("no memory left \x00"))
    assert (found["score"], found["visibility"], found["output"]) == (0, "visible", "no memory left \ufffd")


RUNNER = {
    "CLASSROOM": "fall", "ASSIGNMENT": "mlp", "SUBMISSION_TAG": "submit/1", "COMMIT_URL": "commit/ab",
    "RELEASE_URL": "releases/1",
}  # fmt: skip


def test_classroom50_gives_whole_points_and_rounds_down():
    grade = sample()
    grade.milestones[1].score = 7.9
    found = json.loads(classroom50.text(grade, RUNNER))
    assert found["schema"] == "classroom50/result/v1"
    assert (found["score"], found["max-score"]) == (14, 17)
    assert [test["score"] for test in found["tests"]] == [7, 7]
    assert all(type(test[key]) is int for test in found["tests"] for key in ("score", "max-score"))
    assert [(test["test-name"], test["passed"]) for test in found["tests"]] == [
        ("XOR, 1969", True),
        ("MLP revival, 1986: digits", False),
    ]
    assert found["datetime"] == "2026-11-26T12:00:00Z"


def test_classroom50_says_which_submission_it_is_about_where_a_runner_knows():
    found = json.loads(classroom50.text(sample(), RUNNER))
    assert {key: found[key] for key in ("classroom", "assignment", "submission", "release")} == {
        "classroom": "fall", "assignment": "mlp", "submission": "submit/1", "release": "releases/1"
    }  # fmt: skip
    assert found["review"] == found["commit"] == "commit/ab"
    assert "classroom" not in json.loads(classroom50.text(sample(), {}))


def test_prairielearn():
    found = json.loads(text("prairielearn", sample()))
    assert found["score"] == pytest.approx(14 / 17)
    assert found["gradable"]
    assert "format_errors" not in found
    assert found["tests"][3] == {
        "name": "MLP revival, 1986: digits: Gradients", "description": "look at the bias", "points": 0.0,
        "max_points": 3.0, "message": "the gradient is off by 12 %", "output": "",
    }  # fmt: skip


def test_a_submission_that_cannot_be_loaded_costs_no_attempt_at_prairielearn(tmp_path):
    path = tmp_path / "student.py"
    path.write_text("from tinytorch import nothing_of_that_name", encoding="utf-8")
    found = json.loads(text("prairielearn", graded_for_real(path, ["1", "2"], seed=1, isolated=False)))
    assert not found["gradable"]
    assert len(found["format_errors"]) == 1
    assert "nothing_of_that_name" in found["format_errors"][0]
    assert found["score"] == 0


@pytest.mark.parametrize(
    ("name", "most"), [("prairielearn", 1_000_000), ("markdown", 1 << 20), ("html", 2e6)]
)
def test_no_format_is_larger_than_its_reader_takes(name, most):
    grade = sample(message="é" * 5000, hint="é" * 5000)
    milestone = grade.milestones[1]
    milestone.gates *= 20 if name == "html" else 200  # more than there will ever be
    assert len(text(name, grade).encode()) <= most


def test_junit_counts():
    root = ET.fromstring(text("junit", sample()))
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "1", "0", "0"]
    assert [suite.get("failures") for suite in root] == ["0", "1"]
    failure = root[1].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "the gradient is off by 12 %"
    assert [suite.get("errors") for suite in ET.fromstring(text("junit", rich()))][3] == "1"


def test_markdown_has_a_row_for_each_milestone_and_what_is_not_met():
    lines = text("markdown", rich()).splitlines()
    assert "| 2 XOR, 1969 | 99 % | 85 % | ✓ distinction | 7.0 / 7 |" in lines
    assert "| 1 Perceptron, 1957 | – | 85 % | skipped | 0.0 / 5 |" in lines
    assert "- **Gradients**: the gradient is off by 12 % *look at the bias*" in lines
    assert "- 8 more gates are not met, which had nothing to look at" in lines
    assert not any("it left no before" in line for line in lines), "what follows from the first is not told"


def test_a_format_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match=r"expected formats of json, html.*, got 'word'"):
        write(sample(), tmp_path / "out", ["json", "word"])
    assert not (tmp_path / "out").exists()


# --- what comes from a submission -----------------------------------------------------------------------


class Parsed(HTMLParser):
    """Tags of a page, and what it would ask the network for."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.asked = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.asked += [
            value
            for key, value in attributes
            if key in ("src", "href", "action", "srcset", "poster", "data") and value
            if not value.startswith(("#", "data:image/png;base64,"))
        ]


@pytest.mark.parametrize("name", FORMATS)
def test_nasty_names_and_messages_stay_text(name, tmp_path):
    (path,) = write(sample(NASTY, NASTY, NASTY), tmp_path, [name])
    found = path.read_bytes().decode("utf-8", errors="strict")
    assert "\x00" not in found
    assert "\x1b" not in found
    if name == "junit":
        ET.fromstring(found)
    elif name in ("html", "markdown"):
        assert Parsed(found).tags & {"script", "iframe", "object", "embed", "link", "base", "form"} == set()
        assert "alert(1)" in found
        assert name == "html" or "<" not in found
    else:
        json.loads(found)


def test_a_terminal_is_not_told_what_to_do():
    shown_there = io.StringIO()
    Console(file=shown_there, width=100, color_system=None).print(summary(sample(NASTY, NASTY, NASTY)))
    shown_there.getvalue().encode("utf-8")
    assert "\x1b" not in shown_there.getvalue()
    assert "\r" not in shown_there.getvalue()
    assert "✗ Gradients: <script>" in shown_there.getvalue()


def test_the_page_asks_for_nothing():
    page = text("html", rich())
    assert Parsed(page).asked == []
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_page_says_on_which_side_of_a_threshold_one_has_to_be():
    page = text("html", rich())
    assert "52 %</span><span" in page
    assert "≥ 85 %" in page  # of an accuracy that is below
    assert "≤ 1.1 nats" in page  # of a loss
    assert "1.7 × 10<sup>−7</sup>" in page
    assert "≤ 0.0001" in page


# --- what is hidden -------------------------------------------------------------------------------------


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
@pytest.mark.parametrize("name", ["html", "markdown", "junit", "prairielearn", "classroom50"])
def test_a_hidden_gate_tells_nothing(name, visibility):
    """Not by its words, not by its points, and not by what is written when another one is met."""
    missed = sample(message=SECRET, hint=SECRET, visibility=visibility)
    missed.milestones[1].text = []
    missed.milestones[1].next = SECRET  # by a grader that did not think of it
    found = text(name, missed)
    assert SECRET not in found
    met = sample(message=SECRET, hint=SECRET, visibility=visibility)
    met.milestones[1].text = []
    met.milestones[1].gates[1] = dataclasses.replace(met.milestones[1].gates[1], status="passed", score=3.0)
    met.milestones[1].status, met.milestones[1].score, met.milestones[1].mark = "passed", 10.0, "pass"
    if name not in ("prairielearn", "classroom50"):  # whose grade is the grade
        assert text(name, met) == found


def test_gradescope_hides_gates_by_itself_and_we_hide_their_sum():
    found = json.loads(text("gradescope", sample(visibility="hidden")))
    assert [test["visibility"] for test in found["tests"]].count("hidden") == 1
    assert found["output"] == ""


def test_a_hidden_accuracy_is_nowhere():
    grade = sample()
    for milestone in grade.milestones:
        milestone.gates[-1].visibility = "hidden"
    seen = shown(grade).milestones[1]
    assert (seen.value, seen.mark, seen.confusion, seen.mistakes) == (None, None, None, [])
    assert (seen.score, seen.max_score) == (2.0, 5.0)
    assert seen.message == "1 gate is not shown; its points are not counted here."
    for name in ("html", "markdown", "junit", "prairielearn"):
        assert "91.23" not in text(name, grade)
    assert "accuracy" not in {row["name"][4:] for row in json.loads(text("gradescope", grade))["leaderboard"]}
    assert grade.milestones[1].value == 0.9123, "the grade itself is whole"


# --- advice and marks -----------------------------------------------------------------------------------


def test_advice_is_about_the_first_thing_that_can_be_seen():
    _, xor, mlp, _, gpt, systems = rich().milestones
    assert advice(xor) == ""
    assert advice(mlp) == "Gradients: look at the bias"
    assert advice(gpt) == "The next mark, distinction, is at 0.9 nats."
    assert advice(systems).startswith("Runs to its end: milestone 6 needs `quantize_dynamic`")
    mlp.gates[1].visibility = "hidden"
    assert advice(mlp) == "All gates that are shown are met."


@pytest.mark.parametrize(
    ("value", "falls", "mark"),
    [
        (0.85, False, "pass"),
        (0.849, False, None),
        (1.0, False, "distinction"),
        (0.85, True, "pass"),
        (0.93, True, None),
        (0.6, True, "distinction"),
        (None, False, None),
    ],
)
def test_marks_are_reached_from_either_side(value, falls, mark):
    marks = {"pass": 0.85, "merit": 0.8 if falls else 0.93, "distinction": 0.7 if falls else 0.96}
    assert best_mark(value, marks, falls) == mark


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["passed", "error"], "failed"),
        (["passed", "skipped"], "failed"),
        (["skipped", "skipped"], "skipped"),
    ],
)
def test_a_milestone_is_passed_when_all_of_its_gates_are(found, expected):
    assert status([GateGrade("a", "A", state, 0.0, 1.0) for state in found]) == expected
