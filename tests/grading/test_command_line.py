"""`python -m grading` and `pytest grading --implementation`: exit codes, files, and what is selected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grading import __main__ as program
from grading.outputs.grade import Grade
from grading.submissions.profiles import TRIALS
from tinytorch.datasets import DatasetUnavailable

ROOT = Path(__file__).resolve().parents[2]
MICRO = str(ROOT / "examples" / "micro.py")


class NoDigits(DatasetUnavailable):
    def __init__(self, message):
        RuntimeError.__init__(self, message)


def test_a_pass_is_exit_code_0_and_every_format_is_written(tmp_path, capsys):
    names = "json,html,junit,markdown,gradescope,classroom50,prairielearn"
    arguments = [MICRO, "--milestones", "1", "--output", str(tmp_path), "--formats", names, "--seed", "3"]
    assert program.main(arguments) == program.MET
    assert {path.name for path in tmp_path.iterdir()} == {
        "grade.json", "report.html", "junit.xml", "grade.md", "results.json", "result.json",
        "prairielearn.json",
    }  # fmt: skip
    found = Grade.read(tmp_path / "grade.json")
    assert (found.seed, found.score, found.max_score) == (3, 10, 10)
    assert "1 Perceptron, 1957" in capsys.readouterr().out


def test_a_miss_is_exit_code_1_and_json_is_all_that_is_printed(tmp_path, capsys):
    path = tmp_path / "student.py"
    path.write_text("from tinytorch import nn\nclass Linear(nn.Linear):\n    x = 1 / 0", encoding="utf-8")
    arguments = [str(path), "--milestones", "perceptron", "--output", str(tmp_path / "out"), "--json"]
    assert program.main(arguments) == program.MISSED
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is False
    assert "ZeroDivisionError" in printed["milestones"][0]["gates"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/file.py"], "an importable package, got no/such/file.py: there is none"),
        ([MICRO, "--milestones", "7"], "expected milestones of 1 (perceptron)"),
        ([MICRO, "--formats", "json,word"], "--formats: expected some of json, html"),
        ([MICRO, "--points", "no.toml"], "no.toml"),
        ([str(ROOT / "pyproject.toml")], "expected a .py file or a folder of them, got pyproject.toml"),
    ],
)
def test_bad_usage_is_exit_code_2_and_says_what_is_wanted(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        program.main([*arguments, "--output", str(tmp_path)])
    assert ended.value.code == program.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(NoDigits("no digits"), 3, "no digits"), (RuntimeError("our fault"), 4, "our fault")],
)
def test_missing_data_is_exit_code_3_and_a_broken_grader_4(
    error, code, message, monkeypatch, capsys, tmp_path
):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("grading.submissions.grade.grade", fails)
    assert program.main([MICRO, "--output", str(tmp_path)]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def pytest_grading(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "grading", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip


def test_pytest_grades_an_implementation_with_a_test_for_each_gate(tmp_path):
    path = tmp_path / "student.py"
    text = Path(MICRO).read_text("utf-8")
    path.write_text(
        text.replace("- self.lr * parameter.grad", "+ self.lr * parameter.grad"), encoding="utf-8"
    )
    done = pytest_grading("--implementation", str(path), "-k", "perceptron")
    assert done.returncode == 1, done.stdout + done.stderr
    gates = len(TRIALS["perceptron"].gates)
    assert f"3 failed, {gates - 3} passed" in done.stdout
    assert "Two steps of SGD: after one step the weight of linear 1 is not where it should be" in done.stdout


def test_pytest_without_an_implementation_has_no_tests_of_one():
    done = pytest_grading("--collect-only", "-k", "perceptron or xor")
    assert done.returncode == 0, done.stdout
    assert "test_submission" not in done.stdout
    assert "test_01_perceptron" in done.stdout
