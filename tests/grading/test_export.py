"""Bundles for autograders: the same every time, and they leave a result whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from grading.classroom import export
from grading.classroom.export import export_command
from grading.outputs.points import DEFAULT
from tests.grading.test_classroom import MICRO
from tinytorch.kernels._jit import cache_folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundle")
    export_command(["gradescope", "--output", str(place), "--milestones", "1"])
    return place / "autograder.zip"


@pytest.fixture
def machine(bundle, tmp_path):
    """What Gradescope makes of a bundle, without its container and without an installation."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "source")
    (tmp_path / "submission").mkdir()

    def graded():
        environment = {
            **os.environ,
            "AUTOGRADER_ROOT": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "TINYTORCH_CACHE_DIR": str(cache_folder().parents[1]),  # warm
        }
        program = ["bash", str(tmp_path / "source" / "run_autograder")]
        subprocess.run(program, env=environment, check=False, capture_output=True, timeout=120)
        return json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))

    return graded


def test_it_is_the_same_every_time(bundle, tmp_path):
    export_command(["gradescope", "--output", str(tmp_path), "--milestones", "1"])
    assert (tmp_path / "autograder.zip").read_bytes() == bundle.read_bytes()
    assert bundle.stat().st_size < 10 << 20
    with zipfile.ZipFile(bundle) as archive:
        assert {"setup.sh", "run_autograder", "points.toml", "constraints.txt"} <= set(archive.namelist())
        assert not [name for name in archive.namelist() if "mutants" in name or name.startswith("tests/")]


def test_it_grades(machine, tmp_path):
    (tmp_path / "submission" / "mine.py").write_text(MICRO, "utf-8")
    found = machine()
    assert found["score"] == 10.0
    assert {test["status"] for test in found["tests"]} == {"passed"}


def test_a_second_submission_does_not_get_the_first_ones_points(machine, tmp_path):
    (tmp_path / "submission" / "mine.py").write_text("raise OSError('mine')", "utf-8")
    (tmp_path / "graded").mkdir()
    (tmp_path / "graded" / "results.json").write_text('{"score": 10}', "utf-8")
    found = machine()
    assert found["score"] == 0
    assert "mine" in found["tests"][0]["output"]


def test_a_grader_that_fails_says_so(machine, tmp_path):
    (tmp_path / "source" / "points.toml").write_text("[milestone]\n", "utf-8")
    found = machine()
    assert found["score"] == 0
    assert "unknown key 'milestone'" in found["output"]


def test_a_grader_that_cannot_even_start_leaves_a_result(machine, tmp_path):
    (tmp_path / "source" / "grading" / "__init__.py").write_text("raise SystemExit(9)", "utf-8")
    assert machine() == {"score": 0, "output": "No result. Please tell your instructor."}


def test_points_of_ones_own(tmp_path):
    points = tmp_path / "mine.toml"
    points.write_text("[milestones]\nperceptron = 3\n", "utf-8")
    export_command(["gradescope", "--output", str(tmp_path), "--points", str(points)])
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        assert archive.read("points.toml") == points.read_bytes()


def test_time_for_all_milestones_has_to_be_asked_for(tmp_path, capsys):
    export_command(["gradescope", "--output", str(tmp_path)])
    assert "set the autograder's timeout to " in capsys.readouterr().out


@pytest.mark.parametrize("script", ["setup.sh", "run_autograder"])
def test_a_shell_takes_the_scripts(script, bundle, tmp_path):
    with zipfile.ZipFile(bundle) as archive:
        path = archive.extract(script, tmp_path)
    assert "@" not in Path(path).read_text("utf-8").replace('"$@"', "")
    subprocess.run(["bash", "-n", path], check=True)


def test_the_workflow_names_what_is_graded(tmp_path, capsys):
    flags = ["github", "--output", str(tmp_path), "--milestones", "1,2", "--submission", "mine.py"]
    path = tmp_path / ".github" / "workflows" / "grade.yml"
    export_command([*flags, "--grader", "school/tinytorch"])
    text = path.read_text("utf-8")
    assert '"../submission/mine.py" --milestones perceptron,xor' in text
    assert 'repository: "school/tinytorch"' in text
    assert "set TINYTORCH_GRADER" not in capsys.readouterr().out
    export_command(flags)
    assert 'repository: "${{ vars.TINYTORCH_GRADER }}"' in path.read_text("utf-8")
    assert "set TINYTORCH_GRADER" in capsys.readouterr().out


def test_a_workflow_keeps_back_the_file_that_tells_what_is_hidden(tmp_path, monkeypatch):
    path = tmp_path / ".github" / "workflows" / "grade.yml"
    export_command(["github", "--output", str(tmp_path)])
    assert "--formats json,html,markdown,junit,classroom50\n" in path.read_text("utf-8")
    (tmp_path / "points.toml").write_text('[gates.gradients]\nvisibility = "after_due_date"', "utf-8")
    monkeypatch.setattr(export, "DEFAULT", tmp_path / "points.toml")
    export_command(["github", "--output", str(tmp_path)])
    assert "--formats html,markdown,junit,classroom50\n" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["gradescope", "--milestones", "9"], "expected milestones of"),
        (["gradescope", "--points", "nowhere.toml"], "nowhere.toml"),
        (["github", "--grader", "tinytorch"], "--grader: expected the OWNER/NAME"),
        (["github", "--points", str(DEFAULT)], "edit grading/outputs/points.toml there"),
    ],
)
def test_bad_usage(flags, says, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        export_command([*flags, "--output", str(tmp_path)])
    assert end.value.code == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
