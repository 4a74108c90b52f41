"""Folders that a hostile process may have filled: thousands of levels deep, closed, with links and pipes."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path

DEEPEST = 100  # levels; a path of the system has an end, and beyond it nothing could be counted
BLOCK = 4096  # bytes that the smallest file takes


def size(folders: Iterable[Path]) -> float:
    """Bytes on disk, so holes count nothing; infinite where it is too deep or closed to be counted."""
    total, waiting = 0, [(str(folder), 0) for folder in folders if not folder.is_symlink()]
    while waiting:
        folder, depth = waiting.pop()
        if depth > DEEPEST:
            return math.inf
        try:
            entries = os.scandir(folder)
        except PermissionError:
            return math.inf
        except OSError:  # gone meanwhile
            continue
        with entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += max(entry.stat(follow_symlinks=False).st_blocks * 512, BLOCK)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
    return total


def remove(root: Path) -> None:
    """Delete a folder and all that is in it. No process may be at work there any more.

    Inner folders are moved up to be deleted, so that no path and no recursion gets long.
    """
    names = (root / f".to-be-removed-{number}" for number in itertools.count())
    waiting = [root]
    emptied = []
    while waiting:
        folder = waiting.pop()
        folder.chmod(stat.S_IRWXU)
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
        for path, is_folder in found:
            if not is_folder:
                path.unlink()
            elif folder == root:
                waiting.append(path)
            else:
                path.chmod(stat.S_IRWXU)  # to be moved it has to be writable
                waiting.append(path.rename(next(name for name in names if not os.path.lexists(name))))
        emptied.append(folder)
    for folder in reversed(emptied):
        folder.rmdir()
