"""The command line: what it says, in words and in JSON, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tito.app import app
from tito.checkout import root

RUNNER = CliRunner()


def tito(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tito", *arguments], cwd=root(), env={**os.environ, **environment},
        check=False, capture_output=True, text=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,  # noqa: E501
    )  # fmt: skip


def test_help_names_all_commands_and_loads_no_compiler():
    code = "import sys, tito.app; print('numba' in sys.modules, 'numpy' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=root(), capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["False", "False"]
    found = RUNNER.invoke(app, ["--help"])
    assert found.exit_code == 0
    for name in ("system", "checkpoint", "milestone", "data", "grade", "bench", "profile", "version"):
        assert name in found.output


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["version", "--json"], {"tinytorch", "numpy", "numba", "llvmlite"}),
        (["milestone", "list", "--json"], {"number", "year", "script", "pass", "state", "value"}),
        (["milestone", "status", "--json"], {"number", "state"}),
        (["milestone", "info", "4", "--json"], {"dataset", "metric"}),
        (["data", "list", "--json"], {"digits", "mnist", "cifar-10", "tiny-shakespeare"}),
        (["checkpoint", "status", "--json"], {"modules", "next", "milestones"}),
    ],
)
def test_json_is_all_that_is_printed(arguments, keys):
    found = RUNNER.invoke(app, arguments)
    assert found.exit_code == 0
    content = json.loads(found.output)
    assert keys <= (content[0] if isinstance(content, list) else content).keys()


def test_the_doctor_measures_and_advises(tmp_path):
    found = tito("system", "doctor", "--json", TINYTORCH_DATA_DIR=str(tmp_path))
    rows = {row["what"]: row for row in json.loads(found.stdout)}
    assert found.returncode == 0
    assert {
        "Python",
        "packages",
        "threading layer",
        "vectors",
        "kernel cache",
        "matrix product",
    } <= rows.keys()
    assert "GFLOP/s on 1" in rows["matrix product"]["found"]
    assert rows["datasets"]["status"] == "warn"
    assert "tito data download mnist" in rows["datasets"]["advice"]


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").touch()
    found = tito("system", "doctor", "--json", TINYTORCH_CACHE_DIR=str(tmp_path / "file"))
    (row,) = (row for row in json.loads(found.stdout) if row["what"] == "kernel cache")
    assert row["status"] == "warn"
    assert "TINYTORCH_CACHE_DIR" in row["advice"]


def test_clearing_the_cache_asks_nobody_where_nobody_is(tmp_path):
    (tmp_path / "kernels" / "old").mkdir(parents=True)
    (tmp_path / "kernels" / "old" / "gemm.nbc").write_bytes(bytes(1 << 20))
    found = tito("system", "clear-cache", TINYTORCH_CACHE_DIR=str(tmp_path))
    assert (found.returncode, found.stdout[:13]) == (0, "deleted 1 MiB")
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["milestone", "info", "9"], 2, "equal to 6"),
        (["profile", "nothing.py"], 2, "there is none"),
        (["grade", "nothing.py"], 2, "there is none"),
        (["grade", "examples/micro.py", "--milestones", "9"], 2, "expected milestones of 1 (perceptron)"),
        (["data", "download", "imagenet"], 2, "imagenet"),
        (["bench", "--no-such-flag"], 2, "no-such-flag"),
    ],
)
def test_bad_usage(arguments, code, says):
    found = tito(*arguments)
    assert found.returncode == code
    assert says in " ".join((found.stdout + found.stderr).split())


def test_a_submission_is_graded_and_its_exit_code_handed_on(tmp_path):
    found = tito("grade", "examples/micro.py", "--milestones", "1", "--output", str(tmp_path), "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["milestones"][0]["status"] == "passed"
    assert (tmp_path / "report.html").exists()
    mutant = "grading/mutants/sources/perceptron/optimizer_stands_still.py"
    assert tito("grade", mutant, "--milestones", "1", "--output", str(tmp_path)).returncode == 1


def test_a_terminal_of_ascii_is_no_crash():
    found = tito("milestone", "timeline", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert found.returncode == 0
    assert "1957" in found.stdout


def test_outside_of_a_checkout_it_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tito.checkout.__file__", str(tmp_path / "site" / "tito" / "checkout.py"))
    found = RUNNER.invoke(app, ["milestone", "list"])
    assert found.exit_code == 2


def test_a_script_is_profiled(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(
        "import sys, tinytorch as tt\n(tt.ones(8, 8) @ tt.ones(8, 8)).sum()\nsys.exit(int(sys.argv[1]))\n"
    )
    found = tito("profile", str(script), "3", "--output", str(tmp_path / "trace.json"))
    assert found.returncode == 3
    assert "matmul" in found.stderr
    assert json.loads((tmp_path / "trace.json").read_text("utf-8"))["traceEvents"]


def test_completion_is_there():
    found = tito("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_TITO_COMPLETE" in found.stdout or "COMPLETE" in found.stdout


def test_the_checkout_is_this_one():
    assert root() == Path(__file__).resolve().parents[2]
