"""A class of submissions: one row each, whatever they do, and the same again after a kill."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from grading.classroom.command import command
from grading.classroom.crew import ROOT, Terms
from grading.classroom.table import Row, alike
from grading.outputs.grade import Grade
from tests.grading.sample_grade import sample

MICRO = (ROOT / "examples" / "micro.py").read_text("utf-8")
BROKEN = MICRO.replace("parameter.data = parameter.data - self.lr * parameter.grad", "pass")
FLAGS = ("--milestones", "1", "--seed", "1")
# Does what a submission says, in place of grading it, and adds its name to a list.
FAKE = """
import os, signal, sys, time
from pathlib import Path
path, output = Path(sys.argv[1]), Path(sys.argv[sys.argv.index("--output") + 1])
with (output.parent / "called").open("a") as stream:
    print(output.name, file=stream)
exec(path.read_text() if path.is_file() else "")
(output / "grade.json").write_text(Path(sys.argv[0]).with_name("sample.json").read_text())
sys.exit(1)
"""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "submissions"
    place.mkdir()
    (place / "alice.py").write_text(MICRO, "utf-8")
    (place / "bob.py").write_text(BROKEN, "utf-8")
    (place / "=carl.py").write_text("import os; os._exit(0)", "utf-8")
    return place


@pytest.fixture
def fake(tmp_path):
    """Grades a class of which only names and contents are given, without grading anything."""
    program, place = tmp_path / "fake.py", tmp_path / "class"
    program.write_text(FAKE, "utf-8")
    sample().write(tmp_path / "sample.json")
    place.mkdir()

    def grade(contents, *flags):
        for name, content in contents.items():
            (place / name).write_text(content, "utf-8")
        given = [str(place), "--output", str(tmp_path / "out"), *FLAGS, *flags]
        return command(given, (sys.executable, str(program)))

    return grade


def rows(output):
    with (output / "class.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def statuses(output):
    return {row["student"]: row["status"] for row in rows(output)}


def called(output):
    """Whom the fake grader was called for since the last look."""
    path = output / "called"
    found = sorted(path.read_text("utf-8").split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_each_has_a_row(folder, tmp_path):
    assert command([str(folder), "--output", str(tmp_path / "out"), *FLAGS]) == 1
    assert statuses(tmp_path / "out") == {"alice": "passed", "bob": "failed", "'=carl": "failed"}
    alice, *_ = [row for row in rows(tmp_path / "out") if row["student"] == "alice"]
    assert (alice["score"], alice["of"], alice["perceptron mark"]) == ("10.00", "10", "distinction")
    assert (tmp_path / "out" / "alice" / "report.html").exists()
    students = json.loads((tmp_path / "out" / "class.json").read_text("utf-8"))["students"]
    alice, *_ = [student for student in students if student["name"] == "alice"]
    assert alice["seconds"] > 0
    assert alice["peak_mib"] > 10
    assert alice["milestones"]["perceptron"]["status"] == "passed"


def test_killed_half_way_it_goes_on_to_the_same_result(folder, tmp_path, capfd):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command([str(folder), "--output", str(whole), *FLAGS])
    process = start(folder, killed, "--jobs", "1")
    wait_for(lambda: list(killed.glob("*/stamp.json")))
    process.kill()
    process.wait()
    done = {path.parent.name for path in killed.glob("*/stamp.json")}
    assert 0 < len(done) < 3
    capfd.readouterr()
    command([str(folder), "--output", str(killed), *FLAGS])
    told = capfd.readouterr().err.splitlines()
    assert len([line for line in told if line.endswith("graded before")]) == len(done)
    assert (killed / "class.csv").read_bytes() == (whole / "class.csv").read_bytes()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_from_outside_it_leaves_nothing_running(how, folder, tmp_path, fake):
    (folder / "dora.py").write_text("while True:\n    pass\n", "utf-8")
    for name in ("alice.py", "bob.py", "=carl.py"):
        (folder / name).unlink()
    process = start(folder, tmp_path / "out")
    wait_for(lambda: (tmp_path / "out" / ".lock").exists() and (tmp_path / "out" / ".lock").read_text())
    scratch = Path((tmp_path / "out" / ".lock").read_text("utf-8"))
    wait_for(lambda: any("inside/__main__" in line for line in processes(scratch)))
    process.send_signal(how)
    assert process.wait(30) == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[how]
    wait_for(lambda: not processes(scratch))
    if how == signal.SIGKILL:
        assert scratch.exists(), "nobody could remove it"
        fake({"erin.py": ""})
    assert not scratch.exists()


def start(folder, output, *flags):
    """As from a terminal: where these tests run in the background, Ctrl-C is ignored and would be by it."""
    return subprocess.Popen(
        [sys.executable, "-m", "grading", "class", str(folder), "--output", str(output), *FLAGS, *flags],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(found):
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.02)


def processes(scratch):
    """Command lines that name a folder."""
    listed = ["ps", "-ww", "-e", "-o", "args="]
    lines = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if str(scratch) in line]


def test_only_what_changed_is_graded_again(fake, tmp_path):
    out = tmp_path / "out"
    fake({"a.py": "x = 1", "b.py": "x = 2"})
    assert called(out) == ["a", "b"]
    fake({"b.py": "x = 3"})
    assert called(out) == ["b"]
    fake({}, "--formats", "gradescope")
    assert called(out) == []
    assert (out / "a" / "results.json").exists(), "written from the grade that is there"
    fake({}, "--seed", "2")
    assert called(out) == ["a", "b"]
    (tmp_path / "points.toml").write_text("[milestones]\nperceptron = 3\n", "utf-8")
    fake({}, "--seed", "2", "--points", str(tmp_path / "points.toml"))
    assert called(out) == ["a", "b"]


def test_killed_between_grade_and_stamp_it_is_graded_again(fake, tmp_path):
    fake({"a.py": "x = 1"})
    fake({"a.py": "sys.exit(9)"})  # as a kill does, after the old stamp was there
    called(tmp_path / "out")
    fake({"a.py": "x = 1"})
    assert called(tmp_path / "out") == ["a"]


def test_a_grader_that_fails_costs_one_row(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(Terms, "most_seconds", 2.0)
    contents = {
        "crash.py": "os.kill(os.getpid(), signal.SIGSEGV)", "late.py": "time.sleep(60)",
        "none.py": "sys.exit(1)", "fine.py": "", "data.py": "print('no MNIST here'); sys.exit(3)",
        "large.py": "print('python -m grading: error: more than 32 MiB'); sys.exit(2)",
    }  # fmt: skip
    assert fake(contents) == 4
    problems = {row["student"]: (row["status"], row["problem"]) for row in rows(tmp_path / "out")}
    assert problems["fine"] == ("failed", "")
    assert problems["late"] == ("error", "the grader did not end within 2 s")
    assert problems["data"] == ("no data", "no MNIST here")
    assert problems["large"] == ("refused", "more than 32 MiB")
    assert problems["crash"][0] == problems["none"][0] == "error"
    assert "to leave a grade.json" in problems["none"][1]


def test_what_cannot_be_taken_scores_nothing_and_fails_nobody_else(fake, tmp_path):
    os.mkfifo(tmp_path / "class" / "pipe.py")
    assert fake({"notes.txt": "x", "fine.py": "", "bad.zip": "no archive"}) == 1
    assert statuses(tmp_path / "out") == {
        "bad": "refused", "fine": "failed", "notes": "refused", "pipe": "refused",
    }  # fmt: skip
    notes, *_ = [row for row in rows(tmp_path / "out") if row["student"] == "notes"]
    assert (notes["score"], notes["of"]) == ("0.00", "10")
    assert notes["problem"] == "expected a .py file or a folder of them, got notes.txt"


def test_two_calls_do_not_grade_into_one_folder(fake, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert fake({"a.py": ""}) == 2
    assert "another class is being graded" in capsys.readouterr().err
    assert fake({"a.py": ""}) == 1


def test_failures_that_look_alike_stand_together():
    students = [
        Row.of(name, sample(message=f"off by {share} % in /home/{name}/x.py. It printed {name}"))
        for name, share in (("a", 12.5), ("b", 3), ("c", 0.1))
    ]
    students.append(Row.of("d", sample(message="no gradient reached the weight")))
    students += [Row(name, "refused", problem=f"'{name}.txt' is no .py file") for name in ("e", "f")]
    found = [(group.what, group.milestones, group.students) for group in alike(students)]
    assert found == [
        ("Gradients", ["mlp"], ["a", "b", "c"]),
        ("Cannot be taken", [], ["e", "f"]),
        ("Gradients", ["mlp"], ["d"]),
    ]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--milestones", "9"], "expected milestones of"),
        (["--formats", "pdf"], "expected some of json"),
        (["--jobs", "0"], "--jobs: expected 1 or more, got 0"),
        (["--points", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_bad_usage(flags, says, folder, capsys):
    with pytest.raises(SystemExit) as end:
        command([str(folder), *flags])
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_a_folder_without_submissions(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        command([str(tmp_path)])
    assert end.value.code == 2
    assert "expected submissions, got an empty folder" in capsys.readouterr().err


def test_nothing_stays_in_the_folder_of_temporary_files(fake, tmp_path):
    before = {path.name for path in Path(tempfile.gettempdir()).glob("tinytorch-class-*")}
    fake({"a.py": ""})
    scratch = Path((tmp_path / "out" / ".lock").read_text("utf-8"))
    assert scratch.name not in before
    assert not scratch.exists()


def test_a_grade_is_what_the_grader_wrote(fake, tmp_path):
    fake({"dora.py": ""})
    assert Grade.read(tmp_path / "out" / "dora" / "grade.json") == sample()
