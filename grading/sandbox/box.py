"""The folder that a sandboxed process lives in, with copies of all that it needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from grading.sandbox import trees
from grading.sandbox.view import ROOT

INSIDE = ROOT / "grading" / "submissions" / "inside"
MOST_FILES, MOST_BYTES = 2000, 32 << 20  # of a submission
_LEFT_OUT = (
    "conftest.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.ini",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
)
_DATA = (".npz", ".gz", ".safetensors", ".txt", ".npy")  # of the library: test labels, trained weights


class Refused(ValueError):
    """A submission that cannot be taken: what is wrong with it, in a sentence."""


@dataclass(frozen=True)
class Box:
    """Where everything is. `into` what it is given, `out` what it may leave, `lib` the library's code."""

    root: Path

    @classmethod
    def make(cls, submission: Path) -> Box:
        """A new box with copies of the submission and of the library without its data.

        Raises Refused for what is no Python file and no folder of them, and for what is too much.
        """
        box = cls(Path(tempfile.mkdtemp(prefix="tinytorch-box-")))
        try:
            for name in ("in", "out", "home", "tmp", "settings"):
                (box.root / name).mkdir()
            _copy_submission(submission, box.root / "submission")
            shutil.copytree(ROOT / "tinytorch", box.root / "lib" / "tinytorch", ignore=_without_data)
            shutil.copytree(INSIDE, box.root / "lib" / "inside")
        except BaseException:
            box.remove()
            raise
        return box

    @property
    def into(self) -> Path:
        """Questions: written by the grader, only read by the process."""
        return self.root / "in"

    @property
    def out(self) -> Path:
        """Answers."""
        return self.root / "out"

    def renew_out(self) -> None:
        """An empty `out`; what is in its place by now, whatever it is, is moved aside until the box goes."""
        with contextlib.suppress(FileNotFoundError):
            self.out.rename(self.root / f"out-{len(list(self.root.iterdir()))}")
        self.out.mkdir()

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete everything, whatever became of it."""
        trees.remove(self.root)


def _without_data(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name.endswith(_DATA)}


def files_of(source: Path) -> list[tuple[Path, Path]]:
    """The files of a submission that are taken, and their places in the copy: regular ones, in order.

    Links, pipes, devices and files that configure Python or pytest stay behind. Raises Refused for what is no
    Python file and no folder of them, and for what is too much.
    """
    if source.is_symlink() or not source.exists():
        raise Refused(f"expected a Python file or a folder of them, got {source.name}, which is not there")
    found: list[tuple[Path, Path]] = []
    if source.is_file():
        if source.suffix != ".py":
            raise Refused(f"expected a .py file or a folder of them, got {source.name}")
        found.append((source, Path(source.name)))
    elif not source.is_dir():
        raise Refused(f"expected a .py file or a folder of them, got {source.name}, a pipe or a device")
    else:
        for folder, folders, files in os.walk(source, followlinks=False):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", ".git", ".venv"))
            there = source.name / Path(folder).relative_to(source)
            found += [
                (Path(folder) / name, there / name)
                for name in sorted(files)
                if name not in _LEFT_OUT and not name.endswith((".pth", ".pyc"))
            ]
    kept, total = [], 0
    for number, (path, place) in enumerate(found, 1):
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            continue
        total += facts.st_size
        if number > MOST_FILES or total > MOST_BYTES:
            raise Refused(f"{source.name}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        kept.append((path, place))
    return kept


def _copy_submission(source: Path, target: Path) -> None:
    files = files_of(source)
    target.mkdir()
    for path, place in files:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / place, follow_symlinks=False)
