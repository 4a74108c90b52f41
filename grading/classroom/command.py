"""`python -m grading class`: every entry of a folder is a submission, graded in a process of its own.

What is finished is not graded again: a grade of the same files, with the same seed, points and grader. So a
second call after a kill goes on where the first one ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from grading.__main__ import BROKEN, MET, MISSED, USAGE, add_flags
from grading.classroom.table import Row, write_tables
from grading.outputs import FORMATS
from grading.outputs.grade import Grade
from grading.outputs.points import DEFAULT
from grading.sandbox.box import MOST_BYTES, MOST_FILES
from grading.submissions.grade import fingerprint
from grading.submissions.profiles import TRIALS, chosen
from tinytorch.milestone.result import write

EACH_MIB = 3072  # of memory for one submission and its grader
ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "grading"


@dataclass(frozen=True)
class Class:
    """What all submissions of a class have in common. key: changes when a grade has to be made anew."""

    output: Path
    milestones: str
    seed: int
    points: Path
    formats: str
    isolated: bool
    key: str


def command(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grading class", description=__doc__)
    parser.add_argument("folder", type=Path, help="of submissions: files, packages, .zip archives")
    add_flags(parser)
    parser.add_argument("--formats", default="json,html", help=f"of each: some of {', '.join(FORMATS)}")
    parser.add_argument("--jobs", type=int, help="at a time (default: as cores and memory allow)")
    parser.add_argument("--no-isolation", action="store_true", help="without namespaces")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"expected a folder of submissions, got {given.folder}")
    try:
        chosen(given.milestones.replace(",", " ").split())
    except ValueError as error:
        parser.error(str(error))
    if unknown := set(given.formats.replace(",", " ").split()) - set(FORMATS):
        parser.error(f"--formats: expected some of {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}")
    found = sorted(p for p in given.folder.iterdir() if not p.name.startswith((".", "__")))
    if not found:
        print(f"{given.folder}: expected submissions, got an empty folder", file=sys.stderr)
        return USAGE
    output = (given.output or Path("results") / "classes" / given.folder.resolve().name).resolve()
    output.mkdir(parents=True, exist_ok=True)
    points = (given.points or DEFAULT).resolve()
    of = Class(
        output, given.milestones, _seed(output, given.seed), points, _with_json(given.formats),
        not given.no_isolation, _key(points, given.milestones),
    )  # fmt: skip
    jobs = given.jobs or _jobs()
    console = Console(stderr=True)
    console.print(f"{len(found)} submissions, {jobs} at a time, seed {of.seed}, into {output}")
    rows = _all(found, of, jobs, console)
    names = [trial.name for trial in chosen(given.milestones.replace(",", " ").split())]
    written = write_tables(rows, names, {t.name: t for t in TRIALS.values()}, output)
    console.print(f"written to {output}: {', '.join(path.name for path in written)}")
    if any(row.grade is None for row in rows):
        return BROKEN
    return MET if all(row.grade is not None and row.grade.passed for row in rows) else MISSED


def _with_json(formats: str) -> str:
    names = formats.replace(",", " ").split()
    return ",".join(dict.fromkeys(["json", *names]))


def _seed(output: Path, given: int | None) -> int:
    """The same for all, and the same again when the class is resumed."""
    path = output / "class-seed.json"
    if given is None and path.exists():
        return int(json.loads(path.read_text("utf-8"))["seed"])
    seed = secrets.randbits(31) if given is None else given
    write(json.dumps({"seed": seed}), path)
    return seed


def _key(points: Path, milestones: str) -> str:
    """A hash of the grader, the points and the milestones."""
    digest = hashlib.sha256(milestones.encode() + points.read_bytes())
    for path in sorted(HERE.rglob("*")):
        aside = path.name.startswith("test_") or {"mutants", "checkpoints", "classroom"} & {*path.parts}
        if path.suffix in (".py", ".toml") and not aside:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _jobs() -> int:
    """As many as there are cores, and as memory holds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    except (AttributeError, ValueError, OSError):
        return cores
    return max(1, min(cores, free // EACH_MIB))


def _all(found: Sequence[Path], of: Class, jobs: int, console: Console) -> list[Row]:
    rows: dict[str, Row] = {}
    running: set[subprocess.Popen] = set()
    pool = ThreadPoolExecutor(jobs)
    futures = {pool.submit(_one, path, of, running): path for path in found}
    try:
        for future in as_completed(futures):
            row = future.result()
            rows[row.name] = row
            console.print(f"[{len(rows)}/{len(found)}] {row.told}", highlight=False, markup=False)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(running):
            process.send_signal(signal.SIGINT)
        raise
    pool.shutdown()
    return [rows[name] for name in sorted(rows)]


def _one(path: Path, of: Class, running: set[subprocess.Popen]) -> Row:
    """Grade one submission, or find its grade."""
    name = path.stem if path.is_file() else path.name
    folder = of.output / name
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    try:
        source = _unpacked(path, folder / "unpacked") if path.suffix == ".zip" else path
        print_ = fingerprint(source)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return Row(name, None, f"cannot be read: {error}", 0.0)
    stamp, file = folder / "stamp.json", folder / "grade.json"
    wanted = {"sha256": print_, "seed": of.seed, "key": of.key}
    if (grade := _finished(stamp, file, wanted)) is not None:
        return Row(name, grade, "", 0.0, again=True)
    command = [
        sys.executable, "-m", "grading", str(source), "--output", str(folder), "--seed", str(of.seed),
        "--points", str(of.points), "--formats", of.formats,
        *(["--milestones", of.milestones] if of.milestones else []),
        *([] if of.isolated else ["--no-isolation"]),
    ]  # fmt: skip
    one_thread = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **one_thread}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    running.add(process)
    said, _ = process.communicate()
    running.discard(process)
    seconds = time.monotonic() - began
    if process.returncode not in (MET, MISSED):
        return Row(name, None, said.strip()[-400:] or f"exit code {process.returncode}", seconds)
    write(json.dumps(wanted), stamp)
    return Row(name, Grade.read(file), "", seconds)


def _finished(stamp: Path, file: Path, wanted: dict[str, Any]) -> Grade | None:
    try:
        return Grade.read(file) if json.loads(stamp.read_text("utf-8")) == wanted else None
    except (OSError, ValueError):
        return None


def _unpacked(archive: Path, folder: Path) -> Path:
    """The files of an archive that lie within its folder; ValueError for too many, or too much."""
    with zipfile.ZipFile(archive) as content:
        entries = [entry for entry in content.infolist() if not entry.is_dir()]
        if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise ValueError(f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        for entry in entries:
            target = (folder / entry.filename).resolve()
            if (
                not target.is_relative_to(folder.resolve())
                or (entry.external_attr >> 16) & 0o170000 == 0o120000
            ):
                raise ValueError(f"{entry.filename} leads out of the archive")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read(entry))
    inner = [path for path in folder.iterdir() if not path.name.startswith((".", "__"))]
    return inner[0] if len(inner) == 1 else folder
