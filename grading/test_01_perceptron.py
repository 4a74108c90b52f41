"""Milestone 1, 1957: a line between two clouds of points."""

from __future__ import annotations

import math

from grading.milestone_tests import MilestoneTests, StepMemoryTests, limit_memory, steps


class TestPerceptron(MilestoneTests, StepMemoryTests):
    name = "perceptron"

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))
