"""`python -m grading export`: what an autograder needs, ready to upload."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path

from grading.__main__ import MET
from grading.classroom.scripts import RUN, SETUP, WORKFLOW
from grading.outputs.points import DEFAULT, Points
from grading.submissions.grade import LOADING
from grading.submissions.profiles import chosen
from grading.submissions.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("tinytorch", "grading", "tito", "milestones", "examples")
_SUFFIXES = (".py", ".toml", ".css", ".js", ".npz", ".safetensors", ".typed", ".md")
_WHEN = (2024, 1, 1, 0, 0, 0)  # of every file, so that the same sources give the same archive
_ASKED = "vars.TINYTORCH_GRADER"  # in a workflow: a variable that GitHub keeps
_OPEN = ("html", "markdown", "junit", "classroom50")  # these leave out what is hidden; grade.json does not
_USUAL = 600.0  # seconds that Gradescope gives an autograder when nobody changes it


def export_command(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grading export", description=__doc__)
    parser.add_argument("what", choices=("gradescope", "github"))
    parser.add_argument("--output", type=Path, default=Path("results") / "export", metavar="DIR")
    parser.add_argument("--milestones", default="", metavar="LIST", help="numbers or names (default: all)")
    parser.add_argument("--points", type=Path, metavar="TOML", help="gradescope: put into the bundle")
    parser.add_argument(
        "--submission", default=".", help="github: the file or package in a student's repository"
    )
    parser.add_argument(
        "--grader",
        metavar="OWNER/NAME",
        help=f"github: the repository with this checkout (default: {_ASKED})",
    )
    given = parser.parse_args(arguments)
    try:
        trials = chosen(given.milestones.replace(",", " ").split())
        points = given.points or DEFAULT
        hides = Points.read(points).hides
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if given.what == "gradescope":
        path = given.output / "autograder.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = _most_seconds(trials)
        _bundle(path, _filled(SETUP, trials), _filled(RUN, trials, SECONDS=f"{seconds:.0f}"), points)
        if seconds > _USUAL:
            print(
                f"set the autograder's timeout to {seconds / 60:.0f} minutes or more: a submission may hang"
            )
    else:
        if given.points is not None:
            parser.error(
                f"--points: a workflow takes those of its grader; edit {DEFAULT.relative_to(ROOT)} there"
            )
        if given.grader is not None and given.grader.count("/") != 1:
            parser.error(f"--grader: expected the OWNER/NAME of a repository, got {given.grader}")
        path = given.output / ".github" / "workflows" / "grade.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        grader = given.grader or f"${{{{ {_ASKED} }}}}"
        formats = ",".join(_OPEN if hides else ("json", *_OPEN))
        text = _filled(WORKFLOW, trials, GRADER=grader, SUBMISSION=given.submission, FORMATS=formats)
        path.write_text(text, encoding="utf-8")
        if given.grader is None:
            print(
                f"set {_ASKED.partition('.')[2]}, a variable of the organisation or repository, to OWNER/NAME"
            )
    print(f"written: {path}")
    return MET


def _most_seconds(trials: Sequence[Trial]) -> float:
    """Until the slowest submission is graded: all limits, the import, and judging."""
    return 60.0 + LOADING + sum(trial.seconds for trial in trials)


def _filled(text: str, trials: Sequence[Trial], **values: str) -> str:
    for name, value in {"MILESTONES": ",".join(trial.name for trial in trials), **values}.items():
        text = text.replace(f"@{name}@", value)
    return text


def _bundle(path: Path, setup: str, run: str, points: Path) -> None:
    """The sources that grading needs, with the two scripts that Gradescope calls."""
    files = [ROOT / name for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")]
    for package in _PACKAGES:
        found = sorted((ROOT / package).rglob("*"))
        files += [p for p in found if p.suffix in _SUFFIXES and "mutants" not in p.parts and p.is_file()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", setup), ("run_autograder", run)):
            _add(archive, name, text.encode(), 0o755)
        _add(archive, "points.toml", points.read_bytes(), 0o644)
        for file in files:
            _add(archive, file.relative_to(ROOT).as_posix(), file.read_bytes(), 0o644)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
