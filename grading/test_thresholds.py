"""The thresholds are in order, and the reference stands above them by what is noted beside them."""

from __future__ import annotations

import pytest

from grading.thresholds import GATES, GRADES, MILESTONES, step_memory

NAMES = list(MILESTONES)


@pytest.mark.parametrize("name", NAMES)
def test_marks_rise_and_the_reference_reaches_all_of_them(name):
    milestone = MILESTONES[name]
    marks = [milestone.marks[grade] for grade in GRADES]
    assert 0.5 < marks[0] < marks[1] < marks[2] < 1
    minutes = milestone.seconds > 600  # of training for each seed
    assert milestone.measured["seeds"] >= (5 if minutes else 10)
    assert milestone.measured["failed"] == 0
    assert milestone.measured["accuracy"] >= milestone.marks[milestone.reaches]


@pytest.mark.parametrize("name", NAMES)
def test_the_other_thresholds_have_a_margin_of_a_third_at_least(name):
    milestone, measured = MILESTONES[name], MILESTONES[name].measured
    assert 1.5 * measured["apart"] <= milestone.reported_within
    assert 1 - measured["loss_left"] >= 1.5 * (1 - milestone.loss_left)
    assert measured["moved"] >= 1.5 * GATES["moved"]
    assert 1.5 * measured["process_mib"] <= milestone.process_mib
    assert 1.5 * measured["seconds"] <= milestone.seconds
    assert measured.get("above_train", 0.0) <= GATES["test_above_train"] / 1.5
    assert 1.5 * measured.get("reset", 0.0) <= GATES["convolutions_reset"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("perceptron", 3),
        ("xor", 17),
        ("mlp-digits", 17_226),
        ("mlp-mnist", 109_386),
        ("cnn-digits", 13_706),
        ("cnn-lenet", 1_070_794),
        ("cnn-resnet", 464_170),
    ],
)
def test_parameters_are_counted(name, parameters):
    assert MILESTONES[name].network.parameters == parameters


def test_memory_of_a_step_is_counted():
    # weights and gradients of 3 parameters, and for each of 1,000 points 2 inputs and 1 output, 4 bytes each
    assert step_memory(MILESTONES["perceptron"]) == 4 * (2 * 3 + 1000 * 3)
    # AdamW keeps two numbers more for each parameter
    assert step_memory(MILESTONES["mlp-mnist"]) == 4 * (4 * 109_386 + 128 * (784 + 128 + 64 + 10))


@pytest.mark.parametrize(
    ("accuracy", "grade"),
    [(0.9499, None), (0.95, "pass"), (0.98, "merit"), (0.9899, "merit"), (1.0, "distinction")],
)
def test_grade_of_an_accuracy(accuracy, grade):
    assert MILESTONES["perceptron"].grade(accuracy) == grade
