"""Where grades go: grade.json, and every format that is written from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from grading.outputs import classroom50, gradescope, junit, markdown, page, prairielearn
from grading.outputs.grade import Grade
from tinytorch.milestone.result import write as write_text

# Each format's file, and what is in it.
FORMATS: dict[str, tuple[str, Callable[[Grade], str]]] = {
    "json": ("grade.json", Grade.to_json),
    "html": ("report.html", page.report),
    "junit": ("junit.xml", junit.text),
    "markdown": ("grade.md", markdown.text),
    "gradescope": ("results.json", gradescope.text),
    "classroom50": ("result.json", classroom50.text),
    "prairielearn": ("prairielearn.json", prairielearn.text),
}


def write(grade: Grade, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write a grade in some formats; returns the files. ValueError for a format that there is not."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ValueError(f"expected formats of {', '.join(FORMATS)}, got {unknown[0]!r}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in formats:
        file, text = FORMATS[name]
        write_text(text(grade).rstrip("\n"), folder / file)
        paths.append(folder / file)
    return paths
