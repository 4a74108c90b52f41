"""The checkout that holds milestones, grader and benchmarks, and the programs in it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

MET, MISSED, USAGE, NO_DATA, BROKEN = range(5)


def fail(text: str, code: int = USAGE) -> NoReturn:
    """Say why not, and end."""
    print(f"tito: {text}", file=sys.stderr)
    raise typer.Exit(code)


def root() -> Path:
    """The checkout: above this package, or above the current folder."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent, Path.cwd(), *Path.cwd().parents):
        if (folder / "milestones").is_dir() and (folder / "grading" / "thresholds.toml").is_file():
            return folder
    fail("expected a checkout of TinyTorch, a folder with milestones and grading, here or above: go there")


def program(*arguments: str) -> int:
    """Run Python on arguments in the checkout, in this terminal; its exit code."""
    return subprocess.run([sys.executable, *arguments], cwd=root(), check=False).returncode


def answer(*arguments: str) -> Any:
    """What a program of the checkout prints as JSON."""
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=root(),
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    try:
        return json.loads(found.stdout)
    except ValueError:
        fail(f"{' '.join(arguments)} failed: {found.stderr.strip()[-500:]}", BROKEN)


def milestones() -> dict[int, list[dict[str, Any]]]:
    """Of each milestone's number its scripts, as grading/thresholds.toml describes them."""
    table = tomllib.loads((root() / "grading" / "thresholds.toml").read_text("utf-8"))
    found: dict[int, list[dict[str, Any]]] = {}
    for name, entry in table["milestones"].items():
        found.setdefault(int(entry["script"][:2]), []).append({"name": name, **entry})
    systems = table["systems"]
    found[6] = [
        {
            "name": "systems", "title": "Systems age, 2024", "script": systems["script"],
            "dataset": "those of milestones 3 to 5", "metric": "times_smaller",
            "pass": systems["times_smaller"],
        }
    ]  # fmt: skip
    return dict(sorted(found.items()))


def result_of(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What the script last wrote, or None."""
    path = Path(entry["script"])
    file = root() / "results" / path.parent / path.stem / "result.json"
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def scripts(number: int) -> Sequence[str]:
    """The scripts of a milestone; ends with what there is for a number that there is not."""
    known = milestones()
    if number not in known:
        fail(f"expected a milestone from {min(known)} to {max(known)}, got {number}")
    return list(dict.fromkeys(entry["script"] for entry in known[number]))
