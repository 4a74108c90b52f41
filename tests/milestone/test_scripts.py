"""The scripts as they are run: from the project's folder and from `milestones`, in a process of their own."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys

import pytest

from tests.milestone.conftest import ROOT, SCRIPTS, path_of
from tinytorch.datasets import DatasetManager, DatasetUnavailable


def start(
    script: str, *flags: str, folder: str = ".", encoding: str = "utf-8"
) -> subprocess.CompletedProcess:
    where = ROOT / folder
    command = [sys.executable, "-W", "error", os.path.relpath(path_of(script), where), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    return subprocess.run(
        command, cwd=where, env=environment, capture_output=True, encoding=encoding, check=False
    )


@pytest.mark.parametrize("folder", [".", "milestones"])
def test_a_script_runs_from_either_folder(folder, tmp_path):
    flags = ("--demo-mode", "--no-plots", "--json", "--output-dir", str(tmp_path))
    done = start("perceptron_trained", *flags, folder=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"] is True
    assert (tmp_path / "01_1957_perceptron" / "perceptron_trained" / "result.json").is_file()


def test_a_terminal_without_these_characters_is_no_reason_to_stop():
    done = start("perceptron_trained", "--test-only", encoding="ascii")
    assert done.returncode == 0, done.stderr
    assert "Nothing was trained" in done.stdout


def test_exit_codes_reach_the_shell(tmp_path):
    missed = start("xor_solved", "--epochs", "1", "--lr", "1e-9", "--no-plots", "--output-dir", str(tmp_path))
    assert missed.returncode == 1, missed.stderr
    assert start("xor_solved", "--lr", "fast").returncode == 2


def test_names_are_those_of_the_contract(milestones):
    for script, folder in SCRIPTS.items():
        milestone = milestones[script]
        assert (milestone.folder, milestone.script) == (folder, script)
        assert milestone.weights_file == ROOT / "milestones" / "weights" / f"{script}.safetensors"
        assert milestone.weights_file.is_file()


def test_every_milestone_has_its_readme():
    for folder in {*SCRIPTS.values(), "06_2024_systems_age"}:
        text = (ROOT / "milestones" / folder / "README.md").read_text()
        assert all(
            heading in text
            for heading in ("## The history", "## The architecture", "pictures", "Three questions")
        )


def test_marks_are_in_order(milestones):
    for milestone in milestones.values():
        metric, marks = milestone.metric, milestone.marks
        better = 0.001 if not metric.falls else -0.001
        assert metric.reaches(marks["merit"], marks["pass"] + better)
        assert metric.reaches(marks["distinction"], marks["merit"] + better)
        assert metric.best(marks["merit"], marks) == "merit"
        assert metric.best(marks["pass"] - better, marks) is None


def test_pretrained_mnist_reads_the_test_images(run):
    try:
        DatasetManager(offline=True).get_mnist()
    except DatasetUnavailable as error:
        pytest.skip(str(error).splitlines()[0])
    done = run("mlp_mnist", "--use-pretrained", "--no-plots", "--json")
    assert done.code == 0
    assert done.result["value"] >= 0.98
    assert done.result["params"] == 109_386


def test_the_readme_shows_what_the_two_starts_of_xor_print():
    program = ROOT / "milestones" / "02_1969_xor_crisis" / "starts.py"
    done = subprocess.run(
        [sys.executable, program, "--seeds", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    usual, spread = done.stdout.splitlines()
    shape = r"(.*): (\d+) of (\d+) seeds missed 90%, the worst got [\d.]+%"
    assert re.fullmatch(shape, usual)
    assert re.fullmatch(shape, spread).groups() == ("evenly spread directions", "0", "2")
    readme = (program.parent / "README.md").read_text()
    assert [found[0] for found in re.findall(shape, readme)] == [usual.split(":")[0], spread.split(":")[0]]


def test_the_table_of_measurements_is_made_by_a_program():
    measured = runpy.run_path(str(ROOT / "milestones" / "measured.py"))
    readme = (ROOT / "milestones" / "README.md").read_text()
    assert readme.count(measured["BEGIN"]) == readme.count(measured["END"]) == 1
    scripts = {command.split()[0] for command in measured["SCRIPTS"]}
    trained = {f"{folder}/{script}.py" for script, folder in SCRIPTS.items()}
    assert scripts == trained | {"06_2024_systems_age/optimize_models.py"}
    row = measured["measure"]("01_1957_perceptron/perceptron_trained.py", 1)
    assert len(row) == len(measured["HEADINGS"])
    assert row[:2] == ["`perceptron_trained.py`", "two_gaussians"]
    assert row[6] == "3"
