"""Epochs, rehearsals, snapshots: what a script's training loop is given."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.milestone import Data, Run
from tinytorch.milestone.run import Epoch


@pytest.fixture
def new_run(milestones):
    """`new_run(script, **changes)` with little data."""

    def new_run(script="xor_solved", **changes):
        milestone = milestones[script]
        if changes:
            milestone = dataclasses.replace(milestone, **changes)
        data = milestone.load(tt.datasets.DatasetManager(), 0)
        small = Data(*((x[:200], y[:200]) for x, y in (data.train, data.test)), names=data.names)
        return Run(milestone, small, epochs=4, batch_size=50, lr=0.5, seed=3)

    return new_run


def test_an_epoch_averages_its_losses():
    epoch = Epoch(1, lambda epoch: None)
    assert math.isnan(epoch.loss)
    for loss in (1.0, 2.0, tt.tensor(6.0)):
        epoch.log(loss)
    assert (epoch.loss, epoch.steps) == (3.0, 3)


def test_history_has_a_line_for_each_epoch(new_run):
    run = new_run().train()
    assert [entry["epoch"] for entry in run.history] == [1, 2, 3, 4]
    assert all(set(entry) == {"epoch", "loss", "accuracy", "seconds"} for entry in run.history)
    assert run.train_seconds == pytest.approx(sum(entry["seconds"] for entry in run.history))


def test_a_rehearsal_ends_after_its_steps(new_run):
    run = new_run()
    steps = []
    run.watcher.step = lambda run, epoch: steps.append(epoch.steps)
    assert run.rehearse(3) == 3
    assert steps == [1, 2]
    assert run.history == []


def test_a_rehearsal_evaluates_nothing_and_says_how_many_steps_there_were(new_run, monkeypatch):
    run = new_run()
    monkeypatch.setattr(Run, "evaluate", lambda self, examples: pytest.fail("it was evaluated"))
    assert run.rehearse(100) == 4 * run.steps_per_epoch
    assert (run.history, run.train_seconds) == ([], 0.0)


def test_snapshots_bring_back_what_the_model_was(new_run):
    run = new_run()
    points = run.data.test[0]
    before = run.score(points)
    run.train()
    after = run.score(points)
    assert not np.array_equal(before, after)
    assert np.array_equal(run.score_after(0)(points), before)
    assert np.array_equal(run.score_after(4)(points), after)
    assert np.array_equal(run.score(points), after)
    assert run.moments(3) == [0, 1, 4]


def test_large_models_are_not_kept(new_run):
    run = new_run("mlp_digits")
    with pytest.raises(KeyError, match=r"score_after\(0\): weights are kept for epochs none"):
        run.score_after(0)


def test_again_repeats_the_recipe_and_leaves_the_run_alone(new_run):
    run = new_run().train()
    weights = {name: tensor.data.copy() for name, tensor in run.model.state_dict().items()}
    again = run.again(run.data)
    assert again.history[-1]["loss"] == run.history[-1]["loss"]
    assert len(run.history) == 4
    assert all(np.array_equal(weights[name], tensor.data) for name, tensor in run.model.state_dict().items())


def test_a_picture_needs_a_folder(new_run):
    with pytest.raises(ValueError, match=r"picture\('x.png'\): this run has no folder"):
        new_run().picture("x.png")


class HalfUsed(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.forgotten = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x):
        return self.used(x)


def test_parameters_without_a_gradient_are_named(new_run):
    run = new_run(build=HalfUsed)
    with pytest.warns(
        UserWarning, match=r"had no gradient, .*: forgotten.weight, forgotten.bias\. Is the graph cut"
    ):
        run.train()


def test_a_loop_that_cuts_its_graph_is_an_error_that_says_where(new_run):
    def train(model, data, run):
        optimizer = optim.SGD(model.parameters(), lr=run.lr)
        for epoch in run.each_epoch():
            loss = nn.BCEWithLogitsLoss()(
                tt.tensor(model(tt.tensor(data.train[0])).data), tt.tensor(data.train[1])
            )
            loss.backward()
            optimizer.step()
            epoch.log(loss)

    with pytest.raises(RuntimeError, match=r"reaches no parameter: its graph was cut by .*\.data"):
        new_run(train=train).train()
