"""Every gate stops what it is there for: a training run with one part broken, on purpose, fails it.

And the whole one passes, over several seeds. Both on small data, in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from grading import exams, gates, knockouts
from grading.exams import Exam
from grading.gradients import gradients_are_right
from grading.leaks import learns_from_training_data_only
from grading.milestone_tests import peak_of, steps
from grading.reference import Training, script_of, targets_of
from grading.runs import Run
from grading.thresholds import MILESTONES, Milestone, step_memory_limit
from tinytorch.datasets import DatasetUnavailable

DIGITS = ("mlp-digits", "cnn-digits")
DEEP = ("xor", *DIGITS)
ALL = ("perceptron", *DEEP)
CNN = ("cnn-digits",)
SEEDS = range(3)

Gate = Callable[[Run, Milestone, Exam], object]


def _without_exam(gate: Callable[[Run, Milestone], object]) -> Gate:
    return lambda run, milestone, exam: gate(run, milestone)


finished, loss_fell, moved, parameters = map(
    _without_exam, (gates.finished, gates.loss_fell, gates.every_layer_moved, gates.parameters)
)

# The knock-out, the milestones it is tried on, the gate that has to stop it, and what the gate has to say.
KNOCKOUTS = [
    (knockouts.detached_loss, ALL, finished, r"(?s)exit code 0, got 1.*reaches no parameter.*cut"),
    (knockouts.loss_made_a_leaf, ALL, moved, "did not change .*weight, .*bias"),
    (knockouts.loss_made_a_leaf, DEEP, gates.accurate, "expected an accuracy"),
    (knockouts.flattened_graph, ("perceptron",), finished, r"(?s)reaches no parameter.*\.data"),
    (
        knockouts.flattened_graph,
        ("xor", "mlp-digits"),
        moved,
        r"did not change hidden\.1\.weight, hidden\.1\.b",
    ),
    (knockouts.flattened_graph, CNN, moved, r"did not change features\.0\.weight, features\.0\.bias"),
    (knockouts.still_optimizer, ALL, moved, "did not change .*the optimiser hold"),
    (knockouts.still_optimizer, ALL, loss_fell, "does the optimiser step"),
    (knockouts.still_optimizer, DEEP, gates.accurate, "expected an accuracy"),
    (knockouts.forgotten_bias, ALL, moved, r"did not change \S*bias"),
    # A line of any direction may part two clouds by luck, so for the perceptron the loss has to tell.
    (knockouts.shuffled_labels, DEEP, gates.accurate, "were the labels those of the examples"),
    (knockouts.shuffled_labels, ALL, loss_fell, "expected at most"),
    (knockouts.linear_only, ("xor",), gates.accurate, "expected an accuracy of 90"),
    (knockouts.trained_on_the_exam, DIGITS, gates.untainted, "trained on the test set"),
    (knockouts.examined_on_training_data, DIGITS, gates.honest, "measured on the training data"),
    (knockouts.reports_luck, ALL, gates.honest, r"reports 100\.00%, its weights give"),
    (knockouts.weight_gradient_zero, ALL, moved, r"did not change \S*weight"),
    (knockouts.weight_gradient_negated, ("perceptron", *DIGITS), gates.accurate, "expected an accuracy"),
    (knockouts.weight_gradient_negated, ("xor",), gates.accurate, "NaN or infinity in .* diverged"),
    (knockouts.weight_gradient_negated, ALL, loss_fell, "Is the gradient right|at least two finite losses"),
    (knockouts.matmul_grad_b_zero, ALL, moved, r"did not change \S*weight"),
    (
        knockouts.convolution_gradient_zero,
        CNN,
        moved,
        r"did not change features\.0\.weight, features\.3\.weight",
    ),
    (
        knockouts.convolution_passes_nothing_back,
        CNN,
        moved,
        r"did not change features\.0\.weight, features\.0\.b",
    ),
]
WRONG_GRADIENTS = [
    (knockouts.weight_gradient_zero, ALL),
    (knockouts.weight_gradient_negated, ALL),
    (knockouts.weight_gradient_a_tenth_off, ALL),
    (knockouts.bias_gradient_lost, ALL),
    (knockouts.matmul_grad_b_zero, ALL),
    (knockouts.relu_gradient_ignores_the_sign, DEEP),
    (knockouts.convolution_gradient_zero, CNN),
    (knockouts.convolution_gradient_transposed, CNN),
    (knockouts.convolution_window_not_turned, CNN),
    (knockouts.convolution_passes_nothing_back, CNN),
    (knockouts.convolution_bias_gradient_lost, CNN),
    (knockouts.pooling_gradient_spread, CNN),
    (knockouts.norm_gradient_a_tenth_off, ("cnn-resnet",)),
    (knockouts.norm_weight_gradient_lost, ("cnn-resnet",)),
]


def _cases(table):
    return [
        pytest.param(name, knockout, *rest, id=f"{name}-{knockout_id(knockout)}-{i}")
        for i, (knockout, names, *rest) in enumerate(table)
        for name in names
    ]


def knockout_id(knockout: Callable) -> str:
    return next(name for name, value in vars(knockouts).items() if value is knockout).replace("_", " ")


@cache
def whole(name: str, seed: int) -> Run:
    return Training(MILESTONES[name], seed).run()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ALL)
def test_the_whole_one_passes_every_gate(name, seed):
    milestone, run = MILESTONES[name], whole(name, seed)
    exam = exams.of(milestone)
    for gate in (finished, parameters, loss_fell, moved, gates.accurate, gates.honest):
        gate(run, milestone, exam)
    if name == "xor":
        gates.depth_is_used(run, milestone, exam)
    if name in DIGITS:
        gates.untainted(run, milestone, exam)
    if name in CNN:
        gates.convolutions_are_used(run, milestone, exam)
    gradients_are_right(milestone, seed)


@pytest.mark.parametrize(("name", "knockout", "gate", "says"), _cases(KNOCKOUTS))
def test_a_knockout_is_stopped(name, knockout, gate, says, monkeypatch):
    training = Training(MILESTONES[name], seed=0)
    knockout(training, monkeypatch)
    run = training.run()
    with pytest.raises(gates.NotMet, match=says):
        gate(run, training.milestone, training.exam)


@pytest.mark.parametrize(("name", "knockout"), _cases(WRONG_GRADIENTS))
def test_a_wrong_gradient_is_stopped(name, knockout, monkeypatch):
    milestone = MILESTONES[name]
    try:
        gradients_are_right(milestone)
    except DatasetUnavailable as error:
        pytest.skip(str(error).splitlines()[0])
    knockout(Training(milestone, seed=0), monkeypatch)
    with pytest.raises(gates.NotMet, match=r"is off by .* from the one computed by hand"):
        gradients_are_right(milestone)


@pytest.mark.parametrize("name", DIGITS)
def test_a_script_that_trains_on_the_test_set_is_stopped(name):
    milestone = MILESTONES[name]
    learns_from_training_data_only(milestone)
    with pytest.raises(gates.NotMet, match="Does it train on the test set"):
        learns_from_training_data_only(milestone, knockouts.leaking(script_of(milestone)))


def test_an_exam_that_needs_no_convolutions_is_stopped():
    milestone, run = MILESTONES["cnn-digits"], whole("cnn-digits", 0)
    bias = dict(run.weights)
    bias["head.3.bias"] = np.where(np.arange(10) == 3, 100, 0)  # always answers 3
    threes = exams.exam("digits")
    threes = Exam(threes.x[threes.y == 3], threes.y[threes.y == 3])
    with pytest.raises(gates.NotMet, match=r"with its convolutions reset it still reaches 100"):
        gates.convolutions_are_used(Run(0, None, bias), milestone, threes)


@pytest.mark.skipif(sys.platform == "win32", reason="memray does not run on Windows")
@pytest.mark.parametrize("name", ALL)
def test_steps_that_keep_every_graph_are_over_the_memory_limit(name, tmp_path):
    milestone = MILESTONES[name]
    exam = exams.of(milestone)
    batch = (
        milestone.network.prepared(exam.x[: milestone.batch]),
        targets_of(milestone, exam.y[: milestone.batch]),
    )
    whole = peak_of(lambda: steps(milestone, *batch), tmp_path / "whole")
    leaking = peak_of(lambda: steps(milestone, *batch, keep=[]), tmp_path / "leaking")
    assert whole < step_memory_limit(milestone) < leaking


@pytest.mark.parametrize("name", ["xor"])
def test_an_exam_that_a_line_can_pass_is_stopped(name):
    milestone, exam = MILESTONES[name], exams.exam("two_gaussians")
    run = whole("perceptron", 0)
    network = MILESTONES["perceptron"].network
    line = network.read(run.weights)
    with pytest.raises(gates.NotMet, match="no line does better than 75%"):
        gates.under_ceiling(exams.accuracy(network, line, exam.x, exam.y), milestone)
    straight = Run(0, None, lifted(run))
    with pytest.raises(gates.NotMet, match="without ReLU it still reaches"):
        gates.depth_is_used(straight, milestone, exam)


def lifted(run: Run) -> dict:
    """A line, written as a network with a hidden layer of which one unit is used."""
    hidden = MILESTONES["xor"].network.shapes[0]["bias"][0]
    first, second = np.zeros((hidden, 2)), np.zeros((1, hidden))
    first[0], second[0, 0] = run.weights["linear.weight"][0], 1.0
    return {
        "hidden.1.weight": first, "hidden.1.bias": np.zeros(hidden),
        "output.weight": second, "output.bias": run.weights["linear.bias"],
    }  # fmt: skip
