"""A class of submissions: one row each, whatever they do, and the same again after a kill."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from grading.classroom import command as classroom
from grading.classroom.command import ROOT, _unpacked, command
from grading.classroom.export import export_command
from grading.classroom.table import Row, alike
from grading.outputs.grade import Grade
from tests.grading.test_outputs import sample

MICRO = (ROOT / "examples" / "micro.py").read_text("utf-8")
BROKEN = MICRO.replace("parameter.data = parameter.data - self.lr * parameter.grad", "pass")
FLAGS = ("--milestones", "1", "--seed", "1")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "submissions"
    place.mkdir()
    (place / "alice.py").write_text(MICRO, "utf-8")
    (place / "bob.py").write_text(BROKEN, "utf-8")
    (place / "=carl.py").write_text("import os; os._exit(0)", "utf-8")
    with zipfile.ZipFile(place / "dora.zip", "w") as archive:
        archive.writestr("dora/__init__.py", MICRO)
    return place


def rows(output):
    with (output / "class.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_each_has_a_row(folder, tmp_path):
    assert command([str(folder), "--output", str(tmp_path / "out"), *FLAGS]) == 1
    found = {row["student"]: row for row in rows(tmp_path / "out")}
    assert found["alice"]["passed"] == found["dora"]["passed"] == "True"
    assert found["bob"]["passed"] == "False"
    assert found["'=carl"]["score"] == "0.00", "and no formula for a spreadsheet"
    assert (tmp_path / "out" / "alice" / "report.html").exists()
    page = (tmp_path / "out" / "class.html").read_text("utf-8")
    assert "alice/report.html" in page
    assert "<script" not in page


def test_killed_half_way_it_goes_on_to_the_same_result(folder, tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command([str(folder), "--output", str(whole), *FLAGS])
    process = subprocess.Popen(
        [sys.executable, "-m", "grading", "class", str(folder), "--output", str(killed), "--jobs", "1",
         *FLAGS],
        cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(killed.glob("*/stamp.json")) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.parent.name for path in killed.glob("*/stamp.json")}
    assert 0 < len(done) < 4
    again = []
    one = classroom._one
    monkeypatch.setattr(classroom, "_one", lambda *a: again.append(one(*a)) or again[-1])
    command([str(folder), "--output", str(killed), *FLAGS])
    assert {row.name for row in again if row.again} == done
    assert rows(killed) == rows(whole)


def test_another_file_is_graded_again(folder, tmp_path):
    command([str(folder), "--output", str(tmp_path / "out"), *FLAGS])
    (folder / "bob.py").write_text(MICRO, "utf-8")
    command([str(folder), "--output", str(tmp_path / "out"), *FLAGS])
    assert {row["student"]: row["passed"] for row in rows(tmp_path / "out")}["bob"] == "True"


def test_failures_that_look_alike_stand_together():
    students = [
        Row(name, sample(message=f"off by {share} % in /home/{name}/x.py"), "", 1.0)
        for name, share in (("a", 12.5), ("b", 3), ("c", 0.1))
    ] + [Row("d", sample(message="no gradient reached the weight"), "", 1.0)]
    assert [who for _, _, who in alike(students)] == [["a", "b", "c"], ["d"]]


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py"])
def test_an_archive_does_not_lead_out(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(ValueError, match="leads out of the archive"):
        _unpacked(tmp_path / "x.zip", tmp_path / "inside")
    assert not (tmp_path / "outside.py").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [(["--milestones", "9"], "expected milestones of"), (["--formats", "pdf"], "expected some of json")],
)
def test_bad_usage(flags, says, folder, capsys):
    with pytest.raises(SystemExit) as end:
        command([str(folder), *flags])
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_the_bundle_is_the_same_every_time_and_grades(folder, tmp_path):
    for name in ("one", "two"):
        export_command(["gradescope", "--output", str(tmp_path / name), "--milestones", "1"])
    first, second = (tmp_path / name / "autograder.zip" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    source = tmp_path / "root" / "source"
    with zipfile.ZipFile(first) as archive:
        archive.extractall(source)
    for code, score in ((MICRO, '"score": 10.0'), ("raise OSError", '"score": 0')):
        (tmp_path / "root" / "submission").mkdir(exist_ok=True)
        (tmp_path / "root" / "submission" / "mine.py").write_text(code, "utf-8")
        environment = {**os.environ, "AUTOGRADER_ROOT": str(tmp_path / "root"), "PYTHONPATH": str(source)}
        environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"  # noqa: PTH120
        subprocess.run(
            ["bash", str(source / "run_autograder")], env=environment, check=True, capture_output=True
        )
        assert score in (tmp_path / "root" / "results" / "results.json").read_text("utf-8")


def test_the_workflow_names_what_is_graded(tmp_path):
    export_command(["github", "--output", str(tmp_path), "--milestones", "1,2", "--submission", "mine.py"])
    text = (tmp_path / ".github" / "workflows" / "grade.yml").read_text("utf-8")
    assert "../submission/mine.py" in text
    assert "--milestones 1,2" in text


def test_a_grade_can_be_read_by_others(folder, tmp_path):
    command([str(folder), "--output", str(tmp_path / "out"), *FLAGS])
    assert Grade.read(tmp_path / "out" / "dora" / "grade.json").submission.name == "dora"
