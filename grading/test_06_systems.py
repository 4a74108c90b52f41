"""Milestone 6, 2024: trained models made smaller and faster, and the tools that say so."""

from __future__ import annotations

import sys

import pytest

from grading import exams, optimised, tools
from grading.gates import finished
from grading.runs import Run, run_script
from grading.thresholds import ROOT, SYSTEMS
from tinytorch.datasets import DatasetUnavailable

CLASSIFIERS = ("dense", "convolutional")
NAMES = {"dense": "mlp", "convolutional": "cnn", "language": "gpt"}


class _Script:
    """How the gates that are shared with other milestones speak of it."""

    name = "systems"


@pytest.fixture(scope="session")
def runs(tmp_path_factory, request):
    """`runs(embedded)` runs the script the first time, and gives what it left every time.

    Or what `--left` names, where that run had the same data: nothing is believed that a run says, so it does
    not matter who started it.
    """
    done = {}
    if (left := request.config.getoption("--left")) is not None:
        done[optimised.is_embedded(left)] = Run(0, None, {}), left

    def run(embedded):
        if embedded not in done:
            folder = tmp_path_factory.mktemp("embedded" if embedded else "whole")
            flags = ["--no-plots", "--json", *(["--demo-mode"] if embedded else [])]
            path = ROOT / "milestones" / SYSTEMS["script"]
            done[embedded] = run_script(path, *flags, output_dir=folder, seconds=SYSTEMS["seconds"]), folder
        return done[embedded]

    return run


class SystemsTests:
    """What is asked of the models, whichever data they learned from."""

    embedded: bool
    pytestmark = pytest.mark.timeout(SYSTEMS["seconds"] + 60)  # the script has a time limit of its own

    @pytest.fixture
    def run(self, runs, models_exist):
        return runs(self.embedded)

    @pytest.fixture
    def models_exist(self):
        """Skips, with the reason, where a dataset that the models need is not there."""
        if not self.embedded:
            try:
                for dataset in ("mnist", "cifar-10"):
                    exams.exam(dataset)
            except DatasetUnavailable as error:
                pytest.skip(str(error).splitlines()[0])

    @pytest.fixture
    def model(self, run, kind):
        return optimised.read(*run)[NAMES[kind]]

    @pytest.fixture
    def exam(self, model):
        return exams.of(model.milestone)

    def test_runs_to_its_end(self, run):
        finished(run[0], _Script)

    @pytest.mark.parametrize("kind", NAMES)
    def test_int8(self, model, exam, note):
        optimised.sizes_are_those_of_files(model, exam)
        optimised.codes_are_integers(model, exam)
        optimised.smaller_on_disk(model, exam)
        optimised.loses_little("int8", "int8")(model, exam)

    @pytest.mark.parametrize("kind", NAMES)
    def test_what_is_reported_is_true(self, model, exam):
        optimised.qualities_are_true(model, exam)

    @pytest.mark.parametrize("kind", CLASSIFIERS)
    def test_zeros(self, model, exam):
        optimised.mostly_zeros(model, exam)
        optimised.loses_little("80 % zeros", "zeros")(model, exam)

    @pytest.mark.parametrize("kind", CLASSIFIERS)
    def test_fewer_channels(self, model, exam):
        optimised.half_is_smaller(model, exam)
        optimised.loses_little("half the channels", "structured")(model, exam)
        optimised.half_is_faster(model, exam)


class TestSystemsEmbedded(SystemsTests):
    embedded = True


class TestSystems(SystemsTests):
    embedded = False


class TestSystemsTools:
    """The profiler, the cache and distillation, on models of the grader's own."""

    def test_parameters_and_flops_are_those_counted_by_hand(self):
        tools.counts_are_right()

    def test_the_cache_pays_and_changes_nothing(self):
        tools.cache_pays()

    def test_a_student_learns_from_a_teacher(self):
        tools.student_is_better()

    def test_profiled_seconds_are_those_of_the_clock(self):
        tools.profiled_seconds_are_true()

    @pytest.mark.skipif(sys.platform == "win32", reason="memray does not run on Windows")
    def test_profiled_bytes_are_those_of_memray(self):
        tools.profiled_bytes_are_true()
