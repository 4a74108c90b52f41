"""Milestone 2, 1969: what no line can separate, and a hidden layer can."""

from __future__ import annotations

import math

import pytest

import tinytorch as tt
from grading import exams, gates
from grading.milestone_tests import MilestoneTests, StepMemoryTests, limit_memory, steps
from grading.networks import Weights
from grading.thresholds import MILESTONES
from tinytorch import datasets, nn, optim


class TestXor(MilestoneTests, StepMemoryTests):
    name = "xor"

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))

    def test_the_hidden_layer_does_the_work(self, run, milestone, exam):
        gates.depth_is_used(run, milestone, exam)

    @pytest.mark.parametrize("seed", range(5))
    def test_a_single_layer_stays_below_the_ceiling(self, milestone, exam, seed):
        line = MILESTONES["perceptron"].network
        gates.under_ceiling(exams.accuracy(line, single_layer(seed), exam.x, exam.y), milestone)


def single_layer(seed: int) -> Weights:
    """A line, trained on XOR for as long as the hidden layer is."""
    tt.manual_seed(seed)
    x, y = (tt.tensor(array) for array in datasets.xor(1000, seed=seed))
    model, criterion = nn.Linear(2, 1), nn.BCEWithLogitsLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    return [{"weight": model.weight.data, "bias": model.bias.data}]
