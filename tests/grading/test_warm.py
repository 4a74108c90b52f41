"""Compiling is the grader's time and not the submission's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from grading.sandbox.box import ROOT
from grading.submissions import warm as module
from grading.submissions.profiles import TRIALS
from grading.submissions.warm import warm

FIRST_RUN = """
import sys
from grading.submissions.grade import grade
grade("examples/my_convolution.py", ["perceptron"])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


def test_a_milestone_is_gone_through_once(cache):
    trials = [TRIALS["perceptron"], TRIALS["xor"]]
    assert warm(trials[:1]) == ["perceptron"]
    assert warm(trials) == ["xor"]
    assert warm(trials) == []


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "file" / "kernels")
    assert warm([TRIALS["perceptron"]]) == []


def test_the_first_grade_on_a_machine_leaves_compiled_kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYTORCH_CACHE_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", FIRST_RUN], cwd=ROOT, check=True, capture_output=True)
    assert list(tmp_path.glob("kernels/*/graded-perceptron"))
    assert list(tmp_path.glob("kernels/*/*.nbi"))
