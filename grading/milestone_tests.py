"""The tests that every milestone takes; `test_0N_*.py` name the milestone and add what is its own."""

from __future__ import annotations

import gc
import sys

import pytest

import tinytorch as tt
from grading import gates
from grading.gradients import gradients_are_right
from grading.reference import RECIPES, criterion_of, marks_of, model_of, targets_of
from grading.thresholds import MILESTONES, step_memory_limit
from tinytorch.kernels.memory import empty_cache


def limit_memory(name: str) -> pytest.MarkDecorator:
    """Memray's limit for a training step of milestone `name`."""
    if sys.platform == "win32":
        return pytest.mark.skip(reason="memray does not run on Windows")
    return pytest.mark.limit_memory(f"{step_memory_limit(MILESTONES[name])}B")


class MilestoneTests:
    """Set `name`; the script of that milestone is trained once, and every test looks at that run."""

    name: str
    pytestmark = pytest.mark.timeout(900)  # the scripts have time limits of their own, in thresholds.toml

    def test_runs_to_its_end(self, run, milestone):
        gates.finished(run, milestone)

    def test_result_file(self, run, milestone):
        gates.reported(run, milestone)

    def test_parameters(self, run, milestone):
        gates.parameters(run, milestone)

    def test_accuracy(self, run, milestone, exam, note):
        note("value", gates.value(run, milestone, exam))
        gates.accurate(run, milestone, exam)

    def test_reported_accuracy_is_true(self, run, milestone, exam):
        gates.honest(run, milestone, exam)

    def test_loss_falls(self, run, milestone):
        gates.loss_fell(run, milestone)

    def test_every_layer_is_trained(self, run, milestone):
        gates.every_layer_moved(run, milestone)

    def test_process_memory(self, run, milestone):
        if run.process_mib is None:
            pytest.skip("this system does not tell the memory of a process")
        gates.process_memory(run, milestone)

    def test_gradients(self, milestone, exam):
        gradients_are_right(milestone)

    def test_the_script_has_the_same_marks(self, milestone):
        assert marks_of(milestone).items() <= milestone.marks.items()


class StepMemoryTests:
    """Peak memory of some training steps, measured by memray; the subclass marks `test_step_memory`."""

    @pytest.fixture
    def batch(self, milestone, exam):
        """A batch, after the same steps on it: kernels are compiled, and their buffers given back."""
        x = milestone.network.prepared(exam.x[: milestone.batch])
        y = targets_of(milestone, exam.y[: milestone.batch])
        steps(milestone, x, y)
        empty_cache()
        room = room_in_arenas()
        yield x, y
        del room


def room_in_arenas():
    """Room for small Python objects: hold the result, and none of Python's arenas is mapped meanwhile.

    An arena is 1 MiB, more than the memory of a step, and would be counted as the step's.
    """
    gc.collect()
    full = [bytes(400) for _ in range(8000)]  # about three arenas
    return full[::1000]  # one object in each keeps it mapped, and the rest of it free


def peak_of(work, path) -> int:
    """Bytes at most while `work()` runs a second time, as pytest-memray measures them; `path` is memray's."""
    import memray

    work()
    empty_cache()
    room = room_in_arenas()
    with memray.Tracker(path):
        work()
    del room
    return memray.FileReader(path).metadata.peak_memory


def steps(milestone, x, y, keep=None):
    """Build the milestone's network and train it on one batch, ten times; returns the last loss.

    Ten, so that something that is kept from step to step shows. `keep` is a list that keeps every graph.
    """
    recipe = RECIPES[milestone.name]
    model, criterion = model_of(milestone), criterion_of(milestone)
    optimizer = recipe.optimizer(model.parameters(), lr=recipe.lr)
    for _ in range(10):
        optimizer.zero_grad()
        loss = criterion(model(tt.tensor(x)), tt.tensor(y))
        loss.backward(retain_graph=keep is not None)
        optimizer.step()
        if keep is not None:
            keep.append(loss)
    return loss.item()
