"""`python -m grading class`: every entry of a folder is a submission, graded in a process of its own.

What is finished is not graded again: a grade of the same files, with the same seed, points, milestones and
grader. So a second call after a kill goes on where the first one ended.

Exit codes: 0 all met all that was asked for · 1 somebody did not · 2 bad usage · 3 data not available ·
4 the grader failed with a submission.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from grading.__main__ import BROKEN, MET, MISSED, NO_DATA, USAGE, add_flags
from grading.classroom.crew import GRADER, Crew, Terms, jobs_here
from grading.classroom.intake import Entry, entries
from grading.classroom.page import page
from grading.classroom.table import Row, Table
from grading.outputs import FORMATS
from grading.outputs.points import DEFAULT, Points
from grading.sandbox import Box
from grading.submissions.grade import SEED_BITS
from grading.submissions.profiles import chosen
from grading.submissions.warm import warm
from tinytorch.milestone.result import write

_SCRATCH = "tinytorch-class-"
_EXIT = {"error": BROKEN, "no data": NO_DATA, "refused": MISSED, "failed": MISSED, "passed": MET}


def command(arguments: Sequence[str], grader: Sequence[str] = GRADER) -> int:
    """Run the command line; returns the exit code. grader: what is called for each submission."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"expected a folder of submissions, got {given.folder}")
    if given.jobs is not None and given.jobs < 1:
        parser.error(f"--jobs: expected 1 or more, got {given.jobs}")
    formats = given.formats.replace(",", " ").split()
    if unknown := set(formats) - set(FORMATS):
        parser.error(f"--formats: expected some of {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}")
    points_file = (given.points or DEFAULT).resolve()
    try:
        trials = tuple(chosen(given.milestones.replace(",", " ").split()))
        points = Points.read(points_file)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    output = (given.output or Path("results") / "classes" / given.folder.resolve().name).resolve()
    if not (found := entries(given.folder, output)):
        parser.error(f"{given.folder}: expected submissions, got an empty folder")
    output.mkdir(parents=True, exist_ok=True)
    jobs, console = given.jobs or jobs_here(), Console(stderr=True)
    with _terminated(), _scratch(output) as scratch:
        if scratch is None:
            print(f"{output}: another class is being graded into this folder", file=sys.stderr)
            return USAGE
        terms = Terms(
            output, trials, _seed(output, given.seed), points_file,
            tuple(dict.fromkeys(("json", *formats))), not given.no_isolation, tuple(grader),
        )  # fmt: skip
        told = f"{len(found)} submissions, {jobs} at a time, seed {terms.seed}, into {output}"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        warm(trials)  # or each of them would
        rows = _graded(Crew(terms, scratch), found, jobs, console)
        worth = sum(points.milestones.get(trial.name, 0.0) for trial in trials)
        table = Table(rows, trials, terms.seed, worth)
        for name, text in (("csv", table.csv()), ("json", table.json()), ("html", page(table))):
            write(text.rstrip("\n"), output / f"class.{name}")
    console.print(f"written to {output}: class.csv, class.html, class.json", soft_wrap=True)
    return max((_EXIT[row.status] for row in rows), default=MET)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m grading class",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="of submissions: files, packages, .zip archives")
    add_flags(parser)
    parser.add_argument("--formats", default="json,html", help=f"of each: some of {', '.join(FORMATS)}")
    parser.add_argument("--jobs", type=int, help="at a time (default: as cores and memory allow)")
    parser.add_argument("--no-isolation", action="store_true", help="without namespaces")
    return parser


def _graded(crew: Crew, found: Sequence[Entry], jobs: int, console: Console) -> list[Row]:
    """A row for each entry, in their order. At a terminal with a bar, elsewhere with a line for each."""
    rows: dict[str, Row] = {}
    pool = ThreadPoolExecutor(jobs)
    columns = (MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=len(found))
        futures = [pool.submit(crew.grade, entry) for entry in found]
        try:
            for future in as_completed(futures):
                row = future.result()
                rows[row.name] = row
                bar.update(task, advance=1)
                line = f"[{len(rows)}/{len(found)}] {row.told}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.stop()
            raise
        finally:
            pool.shutdown()
    return [rows[entry.name] for entry in found]


def _seed(output: Path, given: int | None) -> int:
    """The same for all, and the same again when the class is resumed."""
    path = output / "class-seed.json"
    if given is None and path.exists():
        return int(json.loads(path.read_text("utf-8"))["seed"])
    seed = secrets.randbits(SEED_BITS) if given is None else given
    write(json.dumps({"seed": seed}), path)
    return seed


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path | None]:
    """A folder for sandboxes and unpacked archives, gone at the end; None while another call has one.

    A call that was killed could not remove its own. Its name is in the lock file, and so the next call does.
    """
    with (output / ".lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it, however the process ends
        except BlockingIOError:
            yield None
            return
        lock.seek(0)
        left = Path(lock.read().strip())
        if left.name.startswith(_SCRATCH) and left.is_dir() and not left.is_symlink():
            _remove(left)
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        lock.truncate(0)
        lock.write(str(folder))
        lock.flush()
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    for box in folder.glob("tinytorch-box-*"):
        Box(box).remove()  # whatever a submission did to its permissions
    shutil.rmtree(folder)


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Whoever ends this process, as a CI job that is cancelled, gets it with all that it started."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
