"""The thresholds are in order, and the reference stands above them by what is noted beside them."""

from __future__ import annotations

import numpy as np
import pytest

from grading.thresholds import (
    GATES,
    GRADES,
    MEMORY,
    MILESTONES,
    PROBES,
    WRITING,
    attention_memory,
    step_memory,
)

NAMES = list(MILESTONES)


@pytest.mark.parametrize("name", NAMES)
def test_marks_rise_and_the_reference_reaches_all_of_them(name):
    milestone = MILESTONES[name]
    marks = [milestone.marks[grade] for grade in GRADES]
    if milestone.falls:
        assert np.log(milestone.network.outputs) > marks[0] > marks[1] > marks[2] > 0
    else:
        assert 0.5 < marks[0] < marks[1] < marks[2] < 1
    minutes = milestone.seconds > 600  # of training for each seed
    assert milestone.measured["seeds"] >= (5 if minutes else 10)
    assert milestone.measured["failed"] == 0
    assert milestone.reaches_mark(milestone.measured[milestone.metric], milestone.marks[milestone.reaches])


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


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("transformer")])
def test_what_is_asked_of_language_models_has_a_margin(name):
    measured = MILESTONES[name].measured
    assert 1.5 * measured["logits"] <= PROBES["logits"]
    assert 1.5 * measured["cached"] <= PROBES["cached"]
    assert 1 - measured["uniform"] >= 1.5 * (1 - PROBES["uniform"])
    assert measured.get("new", 1.0) >= 1.5 * WRITING["new"]
    assert 1 - measured.get("known_words", 1.0) <= (1 - WRITING["known_words"]) / 1.5
    assert 1.5 * measured.get("copied", 0.0) <= WRITING["copied"]
    assert measured.get("below_bigram", 1.0) >= 1.5 * WRITING["below_bigram"]


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
        ("transformer-sequences", 102_144),
        ("transformer-grammar", 844_544),
        ("transformer-shakespeare", 801_664),
    ],
)
def test_parameters_are_counted(name, parameters):
    assert MILESTONES[name].network.parameters == parameters


def test_memory_of_a_step_is_counted():
    # weights and gradients of 3 parameters, and for each of 1,000 points 2 inputs and 1 output, 4 bytes each
    assert step_memory(MILESTONES["perceptron"]) == 4 * (2 * 3 + 1000 * 3)
    # AdamW keeps two numbers more for each parameter
    assert step_memory(MILESTONES["mlp-mnist"]) == 4 * (4 * 109_386 + 128 * (784 + 128 + 64 + 10))


def test_memory_of_attention_is_that_of_eight_arrays_and_far_from_that_of_all_scores():
    t, heads = MEMORY["attention"]["long"], MEMORY["attention"]["heads"]
    assert attention_memory(t) == 1.5 * 8 * 4096 * 128 * 4 + 2**16
    assert 10 * attention_memory(t) < heads * t * t * 4


@pytest.mark.parametrize(
    ("accuracy", "grade"),
    [(0.9499, None), (0.95, "pass"), (0.98, "merit"), (0.9899, "merit"), (1.0, "distinction")],
)
def test_grade_of_an_accuracy(accuracy, grade):
    assert MILESTONES["perceptron"].grade(accuracy) == grade


@pytest.mark.parametrize(
    ("loss", "grade"),
    [(1.881, None), (1.88, "pass"), (1.7, "merit"), (1.65, "distinction"), (float("nan"), None)],
)
def test_grade_of_a_loss(loss, grade):
    assert MILESTONES["transformer-shakespeare"].grade(loss) == grade
