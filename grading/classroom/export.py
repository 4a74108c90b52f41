"""`python -m grading export`: what an autograder needs, ready to upload."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path

from grading.__main__ import MET

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("tinytorch", "grading", "tito", "milestones", "examples")
_SUFFIXES = (".py", ".toml", ".css", ".npz", ".safetensors", ".typed", ".md")
_WHEN = (2024, 1, 1, 0, 0, 0)  # of every file, so that the same sources give the same archive

SETUP = """#!/usr/bin/env bash
set -euo pipefail
cd /autograder/source
python3 -m pip install --quiet -c constraints.txt .
python3 -c 'import tinytorch; tinytorch.warmup()'
"""
RUN = """#!/usr/bin/env bash
# Whatever happens, a results.json is left: a student must see why there are no points.
root=${AUTOGRADER_ROOT:-/autograder}
mkdir -p "$root/results"
cd "$root/source" || exit 1
formats=json,html,gradescope
flags=(--formats $formats --output "$root/graded" MILESTONES)
said=$(timeout 590 python3 -m grading "$root/submission" "${flags[@]}" 2>&1)
code=$?
if [ -f "$root/graded/results.json" ]; then
  cp "$root/graded/results.json" "$root/results/results.json"
else
  GRADER_SAID="the grader ended with exit code $code: $said" python3 -c \\
    'import os; from grading.outputs.gradescope import failed; print(failed(os.environ["GRADER_SAID"]))' \\
    > "$root/results/results.json"
fi
"""
WORKFLOW = """name: grade
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@v4
        with: {path: submission}
      - uses: actions/checkout@v4
        with: {repository: "OWNER/tinytorch", path: grader}   # yours, which students cannot write to
      - uses: actions/setup-python@v5
        with: {python-version: "3.11"}
      - run: python -m pip install -c constraints.txt .
        working-directory: grader
      - run: >
          python -m grading ../submission/SUBMISSION --output ../graded
          --formats json,html,markdown,junit,classroom50 MILESTONES
        working-directory: grader
      - if: always()
        run: cat graded/grade.md >> "$GITHUB_STEP_SUMMARY"
      - if: always()
        uses: actions/upload-artifact@v4
        with: {name: grade, path: graded}
"""


def export_command(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grading export", description=__doc__)
    parser.add_argument("what", choices=("gradescope", "github"))
    parser.add_argument("--output", type=Path, default=Path("results") / "export", metavar="DIR")
    parser.add_argument("--milestones", default="", metavar="LIST", help="numbers or names (default: all)")
    parser.add_argument(
        "--submission", default=".", help="github: the file or package in a student's repository"
    )
    given = parser.parse_args(arguments)
    asked = f"--milestones {given.milestones}" if given.milestones else ""
    if given.what == "gradescope":
        path = given.output / "autograder.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        _bundle(path, RUN.replace("MILESTONES", asked))
    else:
        path = given.output / ".github" / "workflows" / "grade.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = WORKFLOW.replace("MILESTONES", asked).replace("SUBMISSION", given.submission)
        path.write_text(text, encoding="utf-8")
    print(f"written: {path}")
    return MET


def _bundle(path: Path, run: str) -> None:
    """The sources that grading needs, with the two scripts that Gradescope calls."""
    files = [ROOT / name for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")]
    for package in _PACKAGES:
        found = sorted((ROOT / package).rglob("*"))
        files += [p for p in found if p.suffix in _SUFFIXES and "mutants" not in p.parts and p.is_file()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", run)):
            _add(archive, name, text.encode(), 0o755)
        for file in files:
            _add(archive, file.relative_to(ROOT).as_posix(), file.read_bytes(), 0o644)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
