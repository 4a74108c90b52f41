"""What a sandboxed process may see of the machine: the system's programs, the interpreter, and its box."""

from __future__ import annotations

import os
import site
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ("/bin", "/gnu/store", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/sbin", "/usr")
FACTS = ("/sys/devices/system",)  # about processors and caches
_OF_ETC = (
    "alternatives", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "nsswitch.conf", "passwd",
)  # fmt: skip
ETC = tuple(f"/etc/{name}" for name in _OF_ETC)
# A grader that is root could read the disk through the others.
DEVICES = tuple(f"/dev/{name}" for name in ("full", "null", "random", "urandom", "zero"))
# Of other processes nothing: their command lines tell seeds.
PROCESSES = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat")
_PREFIXES = (sys.prefix, sys.base_prefix)
# Beneath a package folder: the library as it is installed, and the same digits with their labels elsewhere.
_LABELLED = ("tinytorch", "sklearn/datasets/data")


def packages() -> list[str]:
    """The interpreter's folders, which may lie where nothing else is shown."""
    found = {Path(text).resolve() for text in _PREFIXES}
    found.add(Path(sys.executable).resolve().parent)
    return sorted(str(path) for path in found if path != Path("/"))


def hidden() -> list[Path]:
    """Where labels, trained weights and other people's work are: empty even beneath what is shown."""
    named = [os.environ.get(name) for name in ("TINYTORCH_DATA_DIR", "TINYTORCH_CACHE_DIR", "XDG_CACHE_HOME")]
    places = [ROOT, Path.home(), Path(tempfile.gettempdir()), *(Path(text) for text in named if text)]
    places += [Path(folder) / name for folder in site.getsitepackages() for name in _LABELLED]
    return sorted({path.resolve() for path in places if path.is_dir()} - {Path("/")})


def layout(box: Path, kernels: Path | None, cache: Path) -> list[tuple[str, str, str]]:
    """(kind, source, target) of all that there is in a file system of its own, outer targets first.

    kernels: compiled ones, shown in `cache`, which lies in the box.
    """
    shown = [*SYSTEM, *FACTS, *ETC, *packages(), str(box), "/proc"]
    found = [_shown(path) for path in shown if os.path.exists(path)]
    found += [("empty", "", str(path)) for path in hidden() if _beneath(path, shown)]
    found += [("empty", "", "/dev"), *(("bind", path, path) for path in DEVICES if os.path.exists(path))]
    found += [("link", real, text) for text in _PREFIXES if (real := str(Path(text).resolve())) != text]
    if kernels is not None:
        found.append(("bind", str(kernels), str(cache)))
    # What is hidden and shown is shown: the interpreter in the checkout, the box among temporary files.
    unique = {target: (kind, source, target) for kind, source, target in sorted(found, reverse=True)}
    return sorted(unique.values(), key=lambda entry: Path(entry[2]).parts)


def openable(box: Path, kernels: Path | None) -> tuple[list[str], list[str]]:
    """Folders whose names may be listed and files and folders that may be read, where there is no file system
    of its own: all the same, but what is hidden beneath a folder is left out of it."""
    listable = [path for path in (*SYSTEM, *packages()) if os.path.isdir(path)]
    concealed = hidden()
    readable: list[str] = []
    for path in (*SYSTEM, *packages()):
        readable += _without(Path(path), concealed)
    readable += [*FACTS, *ETC, *DEVICES, *PROCESSES, str(box)]
    return listable, readable if kernels is None else [*readable, str(kernels)]


def _shown(path: str) -> tuple[str, str, str]:
    link = os.path.islink(path)
    return ("link", os.readlink(path), path) if link else ("bind", path, path)


def _beneath(path: Path, shown: Iterable[str]) -> bool:
    return any(path.is_relative_to(Path(other).resolve()) for other in shown)


def _without(folder: Path, concealed: list[Path]) -> list[str]:
    """A folder; or, where something in it is concealed, all of what is in it but that."""
    real = folder.resolve()
    inside = [path for path in concealed if path != real and path.is_relative_to(real)]
    if not inside:
        return [str(folder)]
    found: list[str] = []
    for path in sorted(real.iterdir()):
        if path not in inside:
            found += _without(path, inside)
    return found
