"""FLOPs by the seed's name, what training costs, and how costs grow."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import MLP, LeNet
from tinytorch.systems import benchmark_training, estimate_flops, file_bytes, scaling_study
from tinytorch.systems.profiling.estimates import exponent


def test_flops_by_the_seeds_name():
    assert estimate_flops(MLP(784, (128, 64), 10), (784,)) == 218_762
    assert estimate_flops(nn.Linear(784, 10), tt.zeros(3, 784)) == 3 * (2 * 7840 + 10)
    assert estimate_flops(nn.Conv2d(1, 2, 3), (1, 5, 5), batch_size=2) == 2 * 9 * 2 * 19


def test_what_training_costs():
    model = MLP(8, (16,), 2)
    before = [p.numpy().copy() if not p.requires_grad else p.data.copy() for p in model.parameters()]
    cost = benchmark_training(model, batch_size=32, steps=3, samples=70)
    assert (cost.batch_size, cost.steps) == (32, 3)
    assert cost.samples_per_second == pytest.approx(32 / cost.seconds_per_step)
    assert cost.seconds_per_epoch == float(cost) == pytest.approx(3 * cost.seconds_per_step), (
        "the last is of 6"
    )
    assert f"{cost:.6f}s/epoch" == f"{cost.seconds_per_epoch:.6f}s/epoch"
    assert "TrainingCost" in f"{cost}"
    assert cost.peak_bytes > 4 * sum(p.data.size for p in model.parameters()), "gradients at least"
    for parameter, values in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, values)
        assert parameter.grad is None


def test_the_optimiser_and_the_loss_are_used():
    stepped, asked = [], []

    class Counts(tt.optim.SGD):
        def step(self, closure=None):
            stepped.append(1)
            return super().step(closure)

    def loss(output):
        asked.append(output.shape)
        return output.mean()

    benchmark_training(
        LeNet(1, 8, channels=(2, 2), hidden=4), (1, 8, 8), batch_size=2, loss=loss, steps=2,
        optimizer=lambda parameters: Counts(parameters, lr=0.1),
    )  # fmt: skip
    assert len(stepped) == len(asked) == 2 + 2 + 1, "two to warm up, one for the memory"
    assert set(asked) == {(2, 10)}


def test_what_training_refuses():
    with pytest.raises(ValueError, match=r"benchmark_training: expected the shape .* begins with Conv2d"):
        benchmark_training(LeNet(1, 8))
    with pytest.raises(ValueError, match="expected a model with parameters to train, got none"):
        benchmark_training(nn.ReLU(), (3,))
    with pytest.raises(ValueError, match="expected steps of 1 or more, got 0"):
        benchmark_training(nn.Linear(2, 2), steps=0)
    with pytest.raises(TypeError, match="benchmark_training: expected a module, got int"):
        benchmark_training(3)  # pyright: ignore[reportArgumentType]


def test_how_costs_grow():
    def make(width):
        return nn.Sequential(nn.Linear(width, width, bias=False))

    study = scaling_study(make, [16, 32, 64], batch_size=4, steps=2)
    assert [row.params for row in study.rows] == [256, 1024, 4096]
    assert [row.flops for row in study.rows] == [2 * 256, 2 * 1024, 2 * 4096]
    assert [row.bytes for row in study.rows] == [file_bytes(make(width)) for width in (16, 32, 64)]
    assert study.exponents["params"] == pytest.approx(2)
    assert study.exponents["flops"] == pytest.approx(2)
    assert set(study.exponents) == {"params", "flops", "bytes", "seconds_per_step", "peak_bytes"}
    text = str(study)
    assert "size^2.00" in text
    assert "training steps of 4" in text
    assert json.loads(json.dumps(study.to_dict()))["rows"][0]["params"] == 256


def test_inputs_may_depend_on_the_size():
    study = scaling_study(
        lambda size: nn.Conv2d(1, 1, 3), [4, 6], lambda size: (1, size, size), batch_size=1, steps=1
    )
    assert [row.flops for row in study.rows] == [4 * 19, 16 * 19]


def test_sizes_that_are_names_have_no_exponents():
    assert scaling_study(lambda name: nn.Linear(2, 2), ["a", "b"], steps=1).exponents == {}
    with pytest.raises(ValueError, match="scaling_study: expected at least one size, got none"):
        scaling_study(lambda size: nn.Linear(2, 2), [])


def test_an_exponent_by_hand():
    assert exponent([1, 2, 4], [5, 10, 20]) == pytest.approx(1.0)
