"""What was handed in: entries of a folder under names of their own, and archives unpacked without trust."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from grading.sandbox.box import MOST_BYTES, MOST_FILES, Refused

# Files of the class itself, which stand beside the students' folders.
CLASS_FILES = ("class.csv", "class.html", "class.json", "class-seed.json")
_SYMLINK, _KIND = 0o120000, 0o170000
_NOT_READ = (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Entry:
    """One submission. name: of its row and its folder; no other entry of the class has it."""

    name: str
    path: Path


def entries(folder: Path, output: Path) -> list[Entry]:
    """The submissions in a folder, by name; what is hidden, and the output if it lies in there, is none."""
    paths = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith((".", "__")) and path.resolve() != output
    ]
    short = {path: path.name if path.is_dir() else path.stem for path in paths}
    taken = Counter(short.values())
    whole = {path.name for path in paths}
    found = []
    for path in paths:
        name = short[path]
        if taken[name] > 1 or (name in whole and name != path.name):
            name = path.name  # alice.py and alice.zip are two students, or two attempts: both have a row
        found.append(Entry(f"{name}-submission" if name in CLASS_FILES else name, path))
    return sorted(found, key=lambda entry: entry.name)


def source_of(entry: Entry, folder: Path) -> Path:
    """What is graded: the entry itself, or what is in it if it is an archive, unpacked into a new `folder`.

    Raises Refused for an archive that is damaged, too large, or leads out of its folder.
    """
    if entry.path.suffix.lower() != ".zip" or not entry.path.is_file():
        return entry.path
    try:
        return _unpacked(entry.path, folder / entry.name)
    except Refused:
        raise
    except _NOT_READ as error:
        raise Refused(f"{entry.path.name} cannot be unpacked: {error}") from error


def _unpacked(archive: Path, folder: Path) -> Path:
    """The only file or folder that is in it; all of it where there are more, or where it is a package."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(archive) as content:
        files = [entry for entry in content.infolist() if not entry.is_dir()]
        if len(files) > MOST_FILES or sum(entry.file_size for entry in files) > MOST_BYTES:
            raise Refused(f"{archive.name}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        for entry in files:
            place = PurePosixPath(entry.filename.replace("\\", "/"))  # as some programs on Windows write them
            is_link = (entry.external_attr >> 16) & _KIND == _SYMLINK
            if place.is_absolute() or ".." in place.parts or is_link:
                raise Refused(f"{archive.name}: {entry.filename} leads out of the archive")
            if any(part.startswith(".") or part in ("__MACOSX", "__pycache__") for part in place.parts):
                continue
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read(entry))  # at most file_size: a longer stream is an error
    inner = list(folder.iterdir())
    if not inner:
        raise Refused(f"{archive.name}: expected a Python file or a folder of them, got an empty archive")
    alone = inner[0]
    return alone if len(inner) == 1 and (alone.is_dir() or alone.name != "__init__.py") else folder
