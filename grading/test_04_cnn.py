"""Milestone 4, 1998: convolutions, on the embedded digits always and on CIFAR-10 where it can be had."""

from __future__ import annotations

import math

from grading import gates
from grading.leaks import learns_from_training_data_only
from grading.milestone_tests import MilestoneTests, StepMemoryTests, limit_memory, steps


class ConvolutionTests(MilestoneTests, StepMemoryTests):
    """What networks with convolutions have to show beside their accuracy."""

    def test_the_convolutions_do_the_work(self, run, milestone, exam):
        gates.convolutions_are_used(run, milestone, exam)

    def test_did_not_learn_the_test_images(self, run, milestone, exam):
        gates.untainted(run, milestone, exam)


class TestCnnDigits(ConvolutionTests):
    name = "cnn-digits"

    def test_does_not_train_on_the_test_set(self, milestone, exam):
        learns_from_training_data_only(milestone)

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))


class TestCnnLenet(ConvolutionTests):
    name = "cnn-lenet"

    def test_does_not_train_on_the_test_set(self, milestone, exam):  # nor does the next: it is the same loop
        learns_from_training_data_only(milestone)

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))


class TestCnnResnet(ConvolutionTests):
    name = "cnn-resnet"

    @limit_memory(name)
    def test_step_memory(self, batch, milestone):
        assert math.isfinite(steps(milestone, *batch))
