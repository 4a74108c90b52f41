"""Milestone 3, 1986: handwritten digits, the embedded ones always and MNIST where it can be had."""

from __future__ import annotations

import math

from grading import gates
from grading.leaks import learns_from_training_data_only
from grading.milestone_tests import MilestoneTests, StepMemoryTests, limit_memory, steps


class TestMlpDigits(MilestoneTests, StepMemoryTests):
    name = "mlp-digits"

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))

    def test_did_not_learn_the_test_images(self, run, milestone, exam):
        gates.untainted(run, milestone, exam)

    def test_does_not_train_on_the_test_set(self, milestone, exam):
        learns_from_training_data_only(milestone)


class TestMlpMnist(MilestoneTests, StepMemoryTests):
    name = "mlp-mnist"

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))

    def test_did_not_learn_the_test_images(self, run, milestone, exam):
        gates.untainted(run, milestone, exam)

    def test_does_not_train_on_the_test_set(self, milestone, exam):
        learns_from_training_data_only(milestone)
