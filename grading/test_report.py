"""The table of grades says what happened, whatever happened."""

from __future__ import annotations

from types import SimpleNamespace

from grading.report import PREFIX, Grades


def report(outcome: str, when: str = "call", **facts):
    return SimpleNamespace(
        when=when,
        passed=outcome == "passed",
        failed=outcome == "failed",
        skipped=outcome == "skipped",
        user_properties=[(PREFIX + name, value) for name, value in facts.items()],
    )


def lines(*reports) -> list[str]:
    grades = Grades()
    for each in reports:
        grades.add(each)
    return grades.lines()


def test_a_milestone_that_is_met():
    heading, row = lines(
        report("passed", milestone="perceptron", value=0.985),
        report("passed", milestone="perceptron", step_bytes=50 * 1024, seconds=1.25, process_mib=170.4),
    )
    assert heading.startswith("milestone         reached  pass  merit  dist.  grade")
    assert heading.endswith("process   time")
    assert row.startswith("Perceptron, 1957   98.50%   95%    98%    99%  merit")
    assert row.endswith("170 MiB  1.2 s")
    assert "50 KiB of 82 KiB" in row


def test_one_failure_is_enough():
    _, row = lines(report("passed", milestone="xor", value=1.0), report("failed", "setup", milestone="xor"))
    assert "NOT MET (1 failed)" in row


def test_a_skip_for_want_of_data_is_no_pass():
    _, row, reason = lines(
        report("passed", milestone="mlp-mnist"),
        report("skipped", "setup", milestone="mlp-mnist", without_data="train-images.gz is not available."),
    )
    assert row.split()[-4:] == ["skipped", "–", "–", "–"]
    assert reason.startswith("MLP on MNIST, 1986 was skipped: train-images.gz is not available.")
    assert "python milestones/data_manager.py mnist" in reason


def test_a_milestone_whose_accuracy_was_not_asked_for():
    _, row = lines(report("passed", milestone="xor"))
    assert "not graded" in row


def test_a_test_that_belongs_to_no_milestone_is_left_out():
    assert lines(report("failed")) == [lines(report("failed"))[0]]


def test_a_remark_stands_below_the_table():
    *_, remark = lines(report("passed", milestone="xor", **{"remark.longer": "12 % of longer ones"}))
    assert remark == "XOR, 1969: 12 % of longer ones."


def test_a_loss_is_better_the_smaller_it_is():
    _, row = lines(report("passed", milestone="transformer-shakespeare", value=1.7))
    assert "1.7000 nats  1.88   1.75   1.65  merit" in row
