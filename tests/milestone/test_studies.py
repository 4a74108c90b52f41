"""What is measured beside the training: arithmetic by hand, and steps that are training and nothing else."""

from __future__ import annotations

import time

import pytest

import tinytorch as tt
from tinytorch.autograd.registry import REGISTRY
from tinytorch.milestone import Run, studies


@pytest.fixture
def new_run(milestones):
    """`new_run(script, epochs)` with the milestone's recipe."""

    def new_run(script, epochs=0):
        milestone = milestones[script]
        data = milestone.load(tt.datasets.DatasetManager(), 0)
        return Run(milestone, data, epochs=epochs, batch_size=milestone.batch_size, lr=milestone.lr, seed=0)

    return new_run


def test_the_flops_of_training_by_hand(new_run):
    """Products forward and for the weights, and for the inputs of all layers but the first; little else."""
    layers = [64 * 128, 128 * 64, 64 * 10]
    products = 2 * (2 * sum(layers) + sum(layers[1:]))
    assert products < studies.training_flops(new_run("mlp_digits", 1)) < 1.02 * products


def test_the_flops_of_an_example_do_not_depend_on_the_batch(new_run):
    run = new_run("xor_solved", 1)
    many = studies.training_flops(run)
    run.batch_size = 50
    assert studies.training_flops(run) == pytest.approx(many, rel=0.01)


def test_operations_are_those_of_training_steps_alone(new_run, monkeypatch):
    """Also where an epoch is one step, and where the recipe has no epochs at all."""
    run = new_run("xor_solved")
    monkeypatch.setattr(Run, "evaluate", lambda self, examples: pytest.fail("it was evaluated"))
    found = studies.operations(run)
    calls = {op.name: op.calls for op in found.ops}
    assert found.steps == studies.PROFILED == 20
    assert (calls["linear"], calls["matmul_grad_b"], calls["bce_with_logits"]) == (40, 40, 20)


def test_what_is_between_operations_is_a_row_of_its_own(new_run, monkeypatch):
    step = tt.optim.SGD.step
    monkeypatch.setattr(tt.optim.SGD, "step", lambda self: (time.sleep(0.01), step(self)))
    first, *others = studies.operations(new_run("xor_solved")).ops
    assert (first.name, first.calls, first.flops) == ("between operations", 0, 0)
    assert first.seconds >= 20 * 0.01
    assert sum(op.seconds for op in others) < 20 * 0.01


def test_waiting_for_batches_is_a_row_of_its_own(new_run, monkeypatch):
    gather = tt.data.TensorDataset.gather
    monkeypatch.setattr(
        tt.data.TensorDataset, "gather", lambda self, indices: (time.sleep(0.01), gather(self, indices))[1]
    )
    rows = {op.name: op for op in studies.operations(new_run("mlp_digits", 1)).ops}
    assert rows["waiting for batches"].seconds >= 19 * 0.01
    assert 0 <= rows["between operations"].seconds < 20 * 0.01


def test_the_warm_up_takes_the_way_that_is_measured(new_run, monkeypatch):
    """`matmul_grad_b` is called only where somebody watches: its first call must not be the counted one."""
    op, calls = REGISTRY["matmul_grad_b"], []

    def slow_at_first(*arrays, forward=op.forward, **params):
        calls.append(1)
        time.sleep(0.3 if len(calls) == 1 else 0)
        return forward(*arrays, **params)

    monkeypatch.setattr(op, "forward", slow_at_first)
    found = studies.operations(new_run("mlp_digits", 1))
    (counted,) = (entry for entry in found.ops if entry.name == "matmul_grad_b")
    assert counted.calls == 60 < len(calls)
    assert counted.seconds < 0.3
