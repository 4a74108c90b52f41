"""Grade a submission: a Python file, a package's folder, or an importable package.

    python -m grading examples/micro.py --milestones 1,2,3 --output graded
    python -m grading class submissions/ --output graded        a folder of submissions
    python -m grading export gradescope --output bundle         what an autograder needs

Exit codes: 0 graded, everything asked for is met · 1 graded, something is not · 2 bad usage ·
3 data not available · 4 the grader failed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

MET, MISSED, USAGE, NO_DATA, BROKEN = range(5)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["class"]:
            from grading.classroom.command import command

            return command(given[1:])
        if given[:1] == ["export"]:
            from grading.classroom.export import export_command

            return export_command(given[1:])
        return _one(given)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception:  # whatever it is, it is the grader's fault and not the submission's
        traceback.print_exc()
        return BROKEN


def parser() -> argparse.ArgumentParser:
    """The flags of grading one submission."""
    from grading.outputs import FORMATS

    found = argparse.ArgumentParser(
        prog="python -m grading", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("path", help="a .py file, a package's folder, or an importable package")
    add_flags(found)
    found.add_argument(
        "--formats", default="json,html", help=f"of {', '.join(FORMATS)} (default: %(default)s)"
    )
    found.add_argument("--json", action="store_true", help="print grade.json, and nothing else")
    found.add_argument(
        "--no-isolation",
        action="store_true",
        help="without namespaces: for machines that have none, and for submissions that are trusted",
    )
    return found


def add_flags(found: argparse.ArgumentParser) -> None:
    """The flags that one submission and a class have in common."""
    found.add_argument("--milestones", default="", metavar="LIST", help="numbers or names (default: all)")
    found.add_argument("--output", type=Path, metavar="DIR", help="default: results/grades/<name>")
    found.add_argument("--seed", type=int, help="of the data (default: a new one, which nobody knows)")
    found.add_argument("--points", type=Path, metavar="TOML", help="default: grading/outputs/points.toml")


def _one(arguments: list[str]) -> int:
    from rich.console import Console

    from grading.outputs import FORMATS, write
    from grading.outputs.points import DEFAULT, Points
    from grading.outputs.terminal import summary
    from grading.sandbox import Refused
    from grading.submissions.grade import find, grade
    from grading.submissions.profiles import chosen
    from tinytorch.datasets import DatasetUnavailable

    flags = parser()
    given = flags.parse_args(arguments)
    formats = given.formats.replace(",", " ").split()
    names = given.milestones.replace(",", " ").split()
    if unknown := set(formats) - set(FORMATS):
        flags.error(f"--formats: expected some of {', '.join(FORMATS)}, got {', '.join(sorted(unknown))}")
    try:
        chosen(names)
        points = Points.read(given.points or DEFAULT)
        path = find(given.path)
    except (ValueError, OSError, Refused) as error:
        flags.error(str(error))
    folder = given.output or Path("results") / "grades" / path.stem
    console = Console(stderr=given.json)
    try:
        with console.status(f"grading {path.name}"):
            found = grade(
                given.path,
                names,
                seed=given.seed,
                namespaces=False if given.no_isolation else None,
                points=points,
            )
    except Refused as error:
        flags.error(str(error))
    except DatasetUnavailable as error:
        print(error, file=sys.stderr)
        return NO_DATA
    written = write(found, folder, formats)
    if given.json:
        print(found.to_json())
    else:
        console.print(summary(found))
        console.print(f"written to {folder}: {', '.join(path.name for path in written)}", soft_wrap=True)
    return MET if found.passed else MISSED


if __name__ == "__main__":
    sys.exit(main())
