"""Graders at work: each in a process of its own, which ends with this one, in time, or when told to."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.__main__ import MET, MISSED, NO_DATA, USAGE
from grading.classroom.intake import Entry, source_of
from grading.classroom.table import Row
from grading.outputs import FORMATS
from grading.outputs import write as write_formats
from grading.outputs.grade import Grade
from grading.sandbox import Refused, dies_with_parent
from grading.submissions.grade import LOADING, fingerprint
from grading.submissions.trial import Trial
from tinytorch.milestone.result import write

ROOT = Path(__file__).resolve().parents[2]
GRADER = (sys.executable, "-m", "grading")
EACH_MIB = 3072  # of memory for one submission and its grader
CLEANING = 10.0  # seconds that a grader has to remove its sandbox when it is told to stop
_ASIDE = {"mutants", "checkpoints", "classroom"}  # parts of the grader that no grade depends on
_ONE_THREAD = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Terms:
    """What all submissions of a class have in common."""

    output: Path
    trials: tuple[Trial, ...]
    seed: int
    points: Path
    formats: tuple[str, ...]
    isolated: bool
    grader: tuple[str, ...] = GRADER

    @property
    def most_seconds(self) -> float:
        """What a grader may take: all limits of its sandbox, and as much again to judge. One that takes more
        is broken, and must not hold up the class."""
        return 120.0 + sum(trial.seconds + LOADING + 30.0 for trial in self.trials)

    def key(self) -> str:
        """Changes when a grade has to be made anew: a hash of the grader, the library, the points and the
        milestones. Not of the formats: these are written from a grade."""
        names = ",".join(trial.name for trial in self.trials)
        digest = hashlib.sha256(f"{names} {self.isolated} {self.seed}".encode() + self.points.read_bytes())
        for package in ("grading", "tinytorch"):
            for path in sorted((ROOT / package).rglob("*")):
                aside = path.name.startswith("test_") or _ASIDE & {*path.parts}
                if path.suffix in (".py", ".toml") and not aside:
                    digest.update(path.read_bytes())
        return digest.hexdigest()


def jobs_here() -> int:
    """As many as there are cores, and as memory holds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(_available_mib() // EACH_MIB)))


def _available_mib() -> float:
    """What can be had without swapping; the whole memory on a system that does not tell."""
    facts = Path("/proc/meminfo")
    if facts.exists():
        for line in facts.read_text("utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


class Crew:
    """Grades entries from several threads. scratch: a folder for unpacked archives and sandboxes, removed by
    whoever made it."""

    def __init__(self, terms: Terms, scratch: Path):
        self._terms, self._scratch = terms, scratch
        self._key = terms.key()
        self._lock, self._stopping = threading.Lock(), False
        self._running: set[subprocess.Popen[str]] = set()

    def grade(self, entry: Entry) -> Row:
        """Grade one submission, or find its grade."""
        folder = self._terms.output / entry.name
        began = time.monotonic()
        try:
            source = source_of(entry, self._scratch / "unpacked")
            sha256 = fingerprint(source)
        except (Refused, OSError) as error:
            return Row(entry.name, "refused", problem=str(error))
        folder.mkdir(exist_ok=True)
        stamp, wanted = folder / "stamp.json", {"sha256": sha256, "key": self._key}
        if (grade := self._finished(folder, stamp, wanted)) is not None:
            return Row.of(entry.name, grade, again=True)
        stamp.unlink(missing_ok=True)  # a kill after the new grade.json must not leave it with the old stamp
        code, said = self._run(source, folder)
        seconds = time.monotonic() - began
        if code == USAGE:
            # All flags were looked at before: what it does not take is the submission.
            problem = said.partition(": error: ")[2] or said  # without argparse's lines on how to call it
            return Row(entry.name, "refused", problem=problem, seconds=seconds)
        if code == NO_DATA:
            return Row(entry.name, "no data", problem=said, seconds=seconds)
        if code not in (MET, MISSED):
            return Row(entry.name, "error", problem=said or f"exit code {code}", seconds=seconds)
        try:
            grade = Grade.read(folder / "grade.json")
        except (OSError, ValueError) as error:
            problem = f"expected the grader to leave a grade.json, got exit code {code} and {error}"
            return Row(entry.name, "error", problem=problem, seconds=seconds)
        write(json.dumps(wanted), stamp)
        return Row.of(entry.name, grade, seconds=seconds)

    def stop(self) -> None:
        """End all graders, and start no other. They are asked first: a grader removes its sandbox."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + CLEANING
        for process in running:
            _wait_or_kill(process, end - time.monotonic())

    def _finished(self, folder: Path, stamp: Path, wanted: dict[str, Any]) -> Grade | None:
        try:
            if json.loads(stamp.read_text("utf-8")) != wanted:
                return None
            grade = Grade.read(folder / "grade.json")
        except (OSError, ValueError):
            return None
        if any(not (folder / FORMATS[name][0]).exists() for name in self._terms.formats):
            write_formats(grade, folder, self._terms.formats)
        return grade

    def _run(self, source: Path, folder: Path) -> tuple[int, str]:
        """The exit code of a grader, and the end of what it said."""
        terms = self._terms
        command = [
            *dies_with_parent(), *terms.grader, str(source), "--output", str(folder),
            "--seed", str(terms.seed), "--points", str(terms.points), "--formats", ",".join(terms.formats),
            "--milestones", ",".join(trial.name for trial in terms.trials),
            *([] if terms.isolated else ["--no-isolation"]),
        ]  # fmt: skip
        environment = {**os.environ, **_ONE_THREAD, "TMPDIR": str(self._scratch)}
        with self._lock:
            if self._stopping:
                return -signal.SIGINT, "stopped"
            # A session of its own: Ctrl-C at the terminal reaches it once, from stop(), and not again while
            # it cleans up.
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, encoding="utf-8", errors="replace",
            )  # fmt: skip
            self._running.add(process)
        try:
            said, _ = process.communicate(timeout=terms.most_seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            _wait_or_kill(process, CLEANING)
            return -signal.SIGKILL, f"the grader did not end within {terms.most_seconds:.0f} s"
        finally:
            with self._lock:
                self._running.discard(process)
            if process.stdout is not None:
                process.stdout.close()
        return process.returncode, said.strip()[-400:]


def _wait_or_kill(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
