"""Grading one submission: questions into its sandbox, and a judgement of what came out."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import itertools
import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from grading.outputs.grade import Grade, MilestoneGrade, Submission
from grading.outputs.points import Points
from grading.sandbox import Box, Limits, Outcome, Refused, Unreadable, files_of, read_array, read_json, run
from grading.submissions.inside.requirements import LIBRARY
from grading.submissions.inside.work import work
from grading.submissions.profiles import chosen
from grading.submissions.trial import Left, Paper, Trial
from grading.submissions.warm import warm
from tinytorch.milestone.result import versions

SEED_BITS = 53  # more than can be tried, and a number that JSON keeps
_MOST_FILES, _MOST_BYTES = 1000, 128 << 20  # of what is left of one milestone

LOADING = 30.0  # seconds that importing a submission may take


def grade(
    path: Path | str,
    milestones: Sequence[str] = (),
    *,
    seed: int | None = None,
    isolated: bool = True,
    namespaces: bool | None = None,
    points: Points | None = None,
    told: Callable[[MilestoneGrade], object] = lambda _: None,
) -> Grade:
    """Grade a file, a package's folder, or an importable package.

    milestones: names or numbers, all by default. seed: of the data; a new one where None, so that nobody
    knows it beforehand. isolated: False runs it in this process, for submissions that are trusted.
    namespaces: as in `sandbox.run`. told: called with each milestone's grade as soon as it is there.
    Raises Refused for what cannot be taken as a submission, ValueError for milestones that there are not.
    """
    found, trials = find(path), chosen(list(milestones))
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    points = points or Points.read()
    if isolated:
        warm(trials)
    began, started = time.monotonic(), datetime.now(UTC)
    grades: list[MilestoneGrade] = []
    names: dict[str, set[str]] = {"theirs": set(), "ours": set()}
    isolation: dict[str, Any] = {
        "namespaces": False,
        "network": "open",
        "files": "open",
        "user": "the grader's",
        "notes": ["in-process"],
    }
    with Box.make(found) as box:
        papers = {trial.name: trial.paper(seed) for trial in trials}
        for trial in trials:
            _hand_out(box, trial, papers[trial.name])
        waiting = list(trials)
        while waiting:
            outcome, seconds = _attempt(box, waiting, isolated, namespaces)
            isolation = outcome.isolation or isolation
            ended = [i for i, trial in enumerate(waiting) if not _done(box, trial)]
            # With the one that it ended in; all, where its import did not end, and would not another time.
            loaded = os.path.exists(box.out / "loaded")  # noqa: PTH110  as in _done
            done = waiting[: ended[0] + 1] if ended and loaded else waiting
            for trial in done:
                left = _collect(box, trial, outcome)
                for who, whose in names.items():
                    whose |= _known(left.facts.get(who))
                verdict = trial.judge(left, papers[trial.name])
                grades.append(points.grade(trial, verdict, left, seconds.get(trial.name, 0.0)))
                told(grades[-1])
            waiting = waiting[len(done) :]
    environment = {**versions(), "platform": platform.platform(), "cpus": os.cpu_count() or 1}
    about = Submission(
        found.stem, str(path), fingerprint(found), sorted(names["theirs"]), sorted(names["ours"])
    )
    return Grade(
        about, started.isoformat(timespec="seconds"), time.monotonic() - began, seed, "small", environment,
        isolation, grades,
    )  # fmt: skip


def find(path: Path | str) -> Path:
    """The file or folder of a path, or of a package that can be imported; it is not imported."""
    if Path(path).exists():
        return Path(path).resolve()
    if str(path).replace(".", "").isidentifier():
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(str(path))
            if spec is not None and spec.origin is not None:
                origin = Path(spec.origin)
                return origin.parent if spec.submodule_search_locations else origin
    raise Refused(
        f"expected a Python file, a package's folder or an importable package, got {path}: there is none"
    )


def fingerprint(path: Path) -> str:
    """The SHA-256 of all files of a submission that are graded, and of their names."""
    digest = hashlib.sha256()
    for file, place in files_of(path):
        content = file.read_bytes()
        digest.update(f"{place.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _hand_out(box: Box, trial: Trial, paper: Paper) -> None:
    folder = box.into / trial.name
    folder.mkdir()
    for name, array in paper.arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "task.json").write_text(json.dumps(paper.task), encoding="utf-8")


def _attempt(
    box: Box, waiting: Sequence[Trial], isolated: bool, namespaces: bool | None
) -> tuple[Outcome, dict[str, float]]:
    """One process that does the tasks of `waiting`, and the seconds of each."""
    tasks = {t.name: json.loads((box.into / t.name / "task.json").read_text("utf-8")) for t in waiting}
    papers = [{"name": t.name, "number": t.number, "child": t.child, "task": tasks[t.name]} for t in waiting]
    box.renew_out()
    (box.into / "tasks.json").write_text(json.dumps(papers), encoding="utf-8")
    watch = _Watch(box, waiting)
    if isolated:
        limits = Limits(
            seconds=10 + sum(trial.seconds for trial in waiting),
            memory_mib=max(trial.memory_mib for trial in waiting),
        )
        outcome = run(
            box, ["lib/inside/__main__.py", str(box.root)], limits, namespaces=namespaces, expired=watch
        )
    else:
        printed, began = io.StringIO(), time.monotonic()
        kept = set(sys.modules)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                work(box.root / "submission", box.into, box.out)
        finally:
            for name in set(sys.modules) - kept:
                if getattr(sys.modules[name], "__file__", None) and str(box.root) in str(
                    sys.modules[name].__file__
                ):
                    del sys.modules[name]
        outcome = Outcome(0, seconds=time.monotonic() - began, output=printed.getvalue()[-4000:])
    watch(outcome.seconds)
    return outcome, watch.seconds


class _Watch:
    """Knows which task is at work, since when, and whether its time is up."""

    def __init__(self, box: Box, trials: Sequence[Trial]):
        self.box, self.trials = box, trials
        self.seconds: dict[str, float] = {}
        self.at, self.since = 0, 0.0

    def __call__(self, seconds: float) -> bool:
        while self.at < len(self.trials) and _done(self.box, self.trials[self.at]):
            self.seconds[self.trials[self.at].name] = seconds - self.since
            self.at, self.since = self.at + 1, seconds
        if not os.path.exists(self.box.out / "loaded"):  # noqa: PTH110  as in _done
            return seconds > LOADING
        if self.at == len(self.trials):
            return seconds - self.since > 5.0  # nothing is left to do: whoever stays has no reason to
        self.seconds[self.trials[self.at].name] = seconds - self.since
        return seconds - self.since > self.trials[self.at].seconds


def _known(told: Any) -> set[str]:
    """Of the names that were told, those of the protocol."""
    return (
        {name for name in told if isinstance(name, str)} & set(LIBRARY) if isinstance(told, list) else set()
    )


def _done(box: Box, trial: Trial) -> bool:
    """Path.exists would raise where the submission took the right to look away."""
    return os.path.exists(box.out / trial.name / "facts.json")  # noqa: PTH110


def _collect(box: Box, trial: Trial, outcome: Outcome) -> Left:
    """All arrays and facts of a milestone that can be read, up to a size that no milestone comes near.

    The sum counts, too: a hundred files with holes take nothing on disk, and gigabytes when they are read.
    """
    folder = box.out / trial.name
    left = Left(outcome, {}, {}, folder)
    if box.out.is_symlink() or folder.is_symlink() or not folder.is_dir():
        return left
    try:
        facts = read_json(folder / "facts.json")
        left.facts = facts if isinstance(facts, dict) else {}
    except Unreadable as error:
        left.problems.append(str(error))
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_FILES)]
    except OSError as error:
        left.problems.append(f"{folder.name}: {error.strerror}")
        return left
    room = _MOST_BYTES
    for path in sorted(folder / name for name in names if name.endswith(".npy")):
        try:
            left.arrays[path.stem] = read_array(path, room)
            room -= left.arrays[path.stem].nbytes
        except Unreadable as error:
            left.problems.append(str(error))
    return left
