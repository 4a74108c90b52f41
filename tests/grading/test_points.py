"""Points, partial credit, and an instructor's mistakes in the table of them."""

from __future__ import annotations

import math

import pytest

from grading.outputs.points import DEFAULT, Points
from grading.sandbox import Outcome
from grading.submissions.profiles import TRIALS
from grading.submissions.trial import Finding, Left, Verdict


def graded(findings, value=None, *, points=None, milestone="mlp"):
    left = Left(Outcome(0), {}, {}, None)
    return (points or Points.read()).grade(TRIALS[milestone], Verdict(findings, value), left, 1.0)


def found(name, status="passed", **more):
    return Finding(name, name, status, **more)


def read(text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return Points.read(path)


def test_every_milestone_is_worth_something():
    points = Points.read()
    assert points.milestones.keys() == TRIALS.keys()
    assert all(points.milestones.values())


@pytest.mark.parametrize("status", ["failed", "error", "skipped"])
def test_what_could_not_be_tried_scores_nothing_and_stays_in_the_total(status):
    names = TRIALS["mlp"].gates
    whole = graded([found(name) for name in names], 0.97)
    assert whole.score == whole.max_score == pytest.approx(20.0)
    assert (whole.status, whole.mark) == ("passed", "distinction")
    one = graded([found(name, status if name == "gradients" else "passed") for name in names], 0.97)
    assert one.max_score == pytest.approx(20.0)
    assert one.score == pytest.approx(20.0 * 11 / 14)  # three shares of fourteen
    assert (one.status, one.mark) == ("failed", None)


def test_nothing_found_is_not_passed():
    nothing = graded([])
    assert (nothing.status, nothing.score, nothing.mark) == ("skipped", 0, None)


def test_partial_credit_is_linear_from_the_floor_to_the_mark():
    values = (0.05, 0.1, 0.475, 0.85, None, math.nan)
    scores = [graded([found("accuracy", "failed")], value).score for value in values]
    assert scores == pytest.approx([0.0, 0.0, 10.0, 20.0, 0.0, 0.0])
    assert graded([found("accuracy", "error")], 0.8).score == 0.0
    assert graded([found("used", "failed")], 0.8, milestone="xor").score == 0.0


def test_partial_credit_of_a_loss_runs_the_other_way():
    scores = [
        graded([found("validation_loss", "failed")], value, milestone="transformer").score
        for value in (3.0, 2.5, 1.8, 1.1)
    ]
    assert scores == pytest.approx([0.0, 0.0, 15.0, 30.0])


def test_what_is_not_finite_is_not_in_the_grade():
    verdict = Verdict([found("accuracy", "failed", value=math.inf)], math.nan, {"loss": [1.0, math.nan]})
    grade = Points.read().grade(TRIALS["mlp"], verdict, Left(Outcome(0), {}, {}, None), 1.0)
    assert (grade.value, grade.gates[0].value, grade.curves) == (None, None, {"loss": [1.0, None]})


def test_an_instructor_may_change_everything(tmp_path):
    table = """
        [milestones]
        mlp = 8
        [gates.default]
        points = 0
        [gates.gradients]
        points = 3
        visibility = "after_due_date"
        hint = "Read chapter 4."
        [gates.accuracy]
        points = 1
    """
    points = read(table, tmp_path)
    findings = [found("ran"), found("gradients", "failed", hint="ours"), found("accuracy")]
    grade = graded(findings, 0.9, points=points)
    assert [(gate.score, gate.max_score) for gate in grade.gates] == [(0, 0), (0, 6), (2, 2)]
    assert (grade.gates[1].visibility, grade.gates[1].hint) == ("after_due_date", "Read chapter 4.")
    assert "chapter" not in grade.next, "a hidden gate gives no advice"
    assert graded([found("accuracy")], 0.99, points=points, milestone="xor").max_score == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gates.accuracy]\npoint = 2", "gates.accuracy: unknown key 'point'; did you mean 'points'"),
        ("[milestone]\nmlp = 2", "unknown key 'milestone'; did you mean 'milestones'"),
        ("[milestones]\nmpl = 2", "milestones: unknown key 'mpl'; did you mean 'mlp'"),
        ("[gates.gradient]\npoints = 2", "gates: unknown key 'gradient'; did you mean 'gradients'"),
        ("[gates.accuracy]\nvisibility = 'secret'", "expected one of visible, hidden"),
        ("[gates.accuracy]\npoints = -1", "expected a number that is 0 or more, got -1"),
        ("[gates.accuracy]\npoints = '2'", "expected a number that is 0 or more, got '2'"),
        ("[gates.accuracy]\npoints = nan", "expected a number that is 0 or more, got nan"),
        ("[gates]\naccuracy = 2", "accuracy: expected a table, got 2"),
        ("[milestones]\nmlp = true", "milestones.mlp: expected a number that is 0 or more, got True"),
        ("[gates.accuracy]\nhint = 3", "gates.accuracy.hint: expected words, got 3"),
        ("[gates.accuracy]\nfloor = { mlp = 0.9 }", "expected a value below the pass mark 0.85, got 0.9"),
        ("[gates.validation_loss]\nfloor = { transformer = 1 }", "expected a value above the pass mark 1.1"),
        ("[gates.accuracy]\nfloor = { nlp = 0.1 }", "accuracy.floor: unknown key 'nlp'; did you mean 'mlp'"),
        ("[gates.ran]\nfloor = { mlp = 0.1 }", "partial credit is for gates.accuracy, which measures mlp"),
        ("[milestones]\nmlp = 5\n[gates.default]\npoints = 0", "5 points, and no gate of it is worth any"),
        ("[gates", r"mine\.toml: Expected"),
    ],
)
def test_a_mistake_in_the_table_is_named(text, says, tmp_path):
    with pytest.raises(ValueError, match=rf"mine\.toml: .*{says}" if "mine" not in says else says):
        read(text, tmp_path)


def test_the_table_that_comes_with_the_grader_can_be_copied(tmp_path):
    assert read(DEFAULT.read_text("utf-8"), tmp_path) == Points.read()
