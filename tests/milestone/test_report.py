"""The story in the terminal: what the live bar shows and leaves behind, what can be copied."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

import tinytorch as tt
from tinytorch.milestone import Result, Run, flags
from tinytorch.milestone.report import Report


@pytest.fixture
def told(milestones):
    """`told(script, *flags)`: a report on a terminal of 60 columns, a run, and what was printed."""

    def told(script, *arguments):
        milestone = milestones[script]
        settings = flags.parse(milestone, arguments)
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=72, color_system=None, highlight=False)
        data = milestone.load(tt.datasets.DatasetManager(), 0)
        run = Run(
            milestone, data, epochs=settings.epochs, batch_size=milestone.batch_size, lr=milestone.lr, seed=0
        )
        run.watcher = Report(milestone, settings, console)
        return run.watcher, run, screen

    return told


def test_the_bar_knows_the_accuracy_of_every_epoch(told):
    """Also of epochs that are over sooner than anybody could see a new drawing."""
    report, run, _ = told("xor_solved", "--epochs", "30")
    seen = []
    with report.training(run):
        for number in range(1, 31):
            report.epoch(run, {"epoch": number, "loss": 0.5, "accuracy": number / 100, "seconds": 1e-4})
            seen.append(report._progress.tasks[0].fields["value"])
    assert seen == [f"{number:.2f} %" for number in range(1, 31)]


@pytest.mark.parametrize(("epochs", "lines"), [(12, 12), (13, 0)])
def test_few_epochs_leave_a_line_each_above_the_bar(told, epochs, lines):
    report, run, screen = told("mlp_digits", "--epochs", str(epochs))
    with report.training(run):
        for number in range(1, epochs + 1):
            report.epoch(run, {"epoch": number, "loss": 0.5, "accuracy": 0.25, "seconds": 1.0})
    history = [line for line in screen.getvalue().splitlines() if line.endswith("1.00 s, 1,442 images/s")]
    assert len(history) == lines


def test_the_command_of_the_weights_can_be_copied(told):
    report, run, screen = told("xor_solved", "--use-pretrained")
    command = "python milestones/02_1969_xor_crisis/xor_solved.py --epochs 200 --seed 0 --save-weights"
    assert len(command) > report.console.width
    report.pretrained(run.milestone.weights_file, {"accuracy": 1.0, "command": command})
    assert f"  {command}\n" in screen.getvalue()


def test_flags_that_mean_nothing_are_named_with_the_reason(told):
    for arguments, text in (
        (("--use-pretrained", "--epochs", "3"), "ignored: --epochs: the weights are trained already"),
        (("--test-only", "--profile"), "ignored: --profile: --test-only reads no data"),
    ):
        report, _, screen = told("mlp_digits", *arguments)
        report.console.width = 200
        report.opening()
        assert text in screen.getvalue()


def test_flops_of_training_are_what_was_counted(told):
    report, run, screen = told("mlp_digits", "--epochs", "2")
    report.console.width = 120
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Result))
    measured = {"params": 17_226, "flops_forward": 34_442, "peak_mib": 0.4, "eval_seconds": 0.1}
    result = Result(**{**nothing, **measured, "train_seconds": 2.0, "epochs": 2})
    report.measurements(result, run.data, 86_702.0, (3.0, 1.0), None)
    said = screen.getvalue()
    assert "86,702" in said
    assert "1,442 images/s, 125.0 MFLOP/s" in said
    assert "of which compiling 1.00 s" in said
