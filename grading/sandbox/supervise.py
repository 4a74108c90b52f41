"""Starting a process in its sandbox, watching its whole tree, and ending all of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from grading.sandbox import trees
from grading.sandbox.box import Box
from grading.sandbox.crowd import Crowd
from grading.sandbox.walls import Walls

POLL, POLL_DISK = 0.02, 0.2  # seconds
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DUMPABLE, _SUBREAPER = 4, 36  # of prctl(2)


@dataclass(frozen=True)
class Limits:
    """Of the whole tree: seconds by the clock, resident MiB, processes and threads of it, MiB of one file and
    of all in the box, open files of a process, KiB that are kept of what it prints; 16 times that ends it."""

    seconds: float = 120.0
    memory_mib: float = 3072.0
    processes: int = 64
    file_mib: int = 64
    disk_mib: float = 256.0
    open_files: int = 256
    output_kib: int = 256


@dataclass
class Outcome:
    """How a sandboxed process ended.

    exit_code: None when it was stopped. stopped: "", "time", "memory", "processes", "output" or "disk".
    output: the tail of what it printed. isolation: what held it, as in grade.json.
    """

    exit_code: int | None
    stopped: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    output: str = ""
    isolation: dict[str, Any] = field(default_factory=dict)


@functools.cache
def dies_with_parent() -> tuple[str, ...]:
    """What to put before a command so that it is killed with the process that starts it; () where there is
    nothing. Without it a grader that is killed leaves its sandbox behind, and nobody watches it any more."""
    command = ("setpriv", "--pdeathsig", "KILL")
    if not sys.platform.startswith("linux") or shutil.which(command[0]) is None:
        return ()
    found = subprocess.run([*command, shutil.which("true") or "/bin/true"], capture_output=True, check=False)
    return command if found.returncode == 0 else ()  # there are small ones that do not know the flag


def run(
    box: Box,
    arguments: Sequence[str],
    limits: Limits,
    *,
    namespaces: bool | None = None,
    expired: Callable[[float], bool] = lambda seconds: False,
) -> Outcome:
    """Run Python on `arguments`, paths in the box first, until it ends or breaks a limit.

    namespaces: None uses them where they work. expired: asked at every look, with the seconds so far,
    whether the time is up before `limits.seconds`.
    """
    walls = Walls.here(namespaces)
    bounds = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.file_mib << 20,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CPU": int(limits.seconds * (os.cpu_count() or 1)) + 5,
    }
    settings, writable = walls.prepare(box, bounds)
    script, *rest = arguments
    command = walls.command(settings, [str(box.root.resolve() / script), *rest])
    if walls.problem and sys.platform.startswith("linux"):
        # Who leaves the session becomes a child of this process, whose memory is nobody's to read.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)
    crowd = Crowd(limits.processes)
    command = [*dies_with_parent(), *crowd.entering(command)]
    before = set(_tree(os.getpid()))
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=box.root, env={"PATH": os.defpath}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    printed = _Printed(process.stdout, limits.output_kib << 10)
    disk = _Disk(writable)
    peak, stopped = 0.0, ""
    try:
        while process.poll() is None and not stopped:
            seconds = time.monotonic() - began
            tree = [pid for pid in _tree(os.getpid()) if pid not in before]
            resident = sum(map(_resident_mib, tree))
            peak = max(peak, resident)
            if crowd.full:
                stopped = "processes"
            elif seconds > limits.seconds or expired(seconds):
                stopped = "time"
            elif sum(map(_threads, tree)) > limits.processes:
                stopped = "processes"
            elif resident > limits.memory_mib:
                stopped = "memory"
            elif printed.flooded:
                stopped = "output"
            elif disk.mib(seconds) > limits.disk_mib:
                stopped = "disk"
            else:
                time.sleep(POLL)
        stopped = "processes" if crowd.full else stopped
    finally:
        _end(process, before)
        crowd.remove()
    seconds, said = time.monotonic() - began, printed.close()
    code = None if stopped else process.returncode
    return Outcome(code, stopped, seconds, peak, said, walls.isolation)


class _Printed:
    """Drains a pipe in a thread, and keeps the end of what came."""

    def __init__(self, stream: IO[bytes], most: int):
        self._stream, self._most = stream, most
        self._kept, self._total = bytearray(), 0
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while chunk := os.read(self._stream.fileno(), 1 << 16):
                self._total += len(chunk)
                self._kept += chunk
                del self._kept[: -self._most]

    @property
    def flooded(self) -> bool:
        return self._total > 16 * self._most

    def close(self) -> str:
        """The end of what came. Nobody holds the other end of the pipe any more."""
        self._thread.join(5.0)
        self._stream.close()
        return bytes(self._kept).decode("utf-8", "replace")


def _tree(pid: int) -> list[int]:
    """All descendants of a process."""
    found, waiting = [], [pid]
    while waiting:
        for task in _listed(f"/proc/{waiting.pop()}/task"):
            with contextlib.suppress(OSError):
                children = [int(text) for text in Path(f"{task}/children").read_text().split()]
                found += children
                waiting += children
    return found


def _listed(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [f"{folder}/{name}" for name in os.listdir(folder)]
    return []


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    return 0.0


def _threads(pid: int) -> int:
    return len(_listed(f"/proc/{pid}/task"))


class _Disk:
    """How much was written since it was made: looked at every POLL_DISK seconds."""

    def __init__(self, folders: Sequence[Path]):
        self._folders = folders
        # What cannot be counted now cannot be later: the difference has to be too much and not NaN.
        self._before = min(trees.size(folders), sys.float_info.max)
        self._at, self._mib = 0.0, 0.0

    def mib(self, seconds: float) -> float:
        if seconds - self._at > POLL_DISK:
            self._at, self._mib = seconds, (trees.size(self._folders) - self._before) / 2**20
        return self._mib


def _end(process: subprocess.Popen, before: set[int]) -> None:
    """Kill what is left of the tree, until nothing is."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(200):
        left = [pid for pid in _tree(os.getpid()) if pid not in before]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            if pid != process.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        if process.poll() is not None and not left:
            break
        time.sleep(0.005)
    process.wait()
