"""Starting a process in its sandbox, watching its whole tree, and ending all of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from grading.sandbox.box import ROOT, Box
from grading.sandbox.crowd import Crowd

LAUNCH = Path(__file__).with_name("launch.py")
POLL, POLL_DISK = 0.02, 0.2  # seconds
WRITABLE = ("out", "home", "tmp", "cache")  # of the box
_PYTHON = (sys.executable, "-I", "-B")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SUBREAPER = 36
_HOLDERS = ("/mnt", "/media", "/srv", "/opt")  # where things are put down while folders are covered
# -r: root inside, nobody outside. --kill-child: whoever kills unshare kills all of it.
_UNSHARE = ("unshare", "-U", "-r", "-n", "-m", "-p", "-i", "-f", "--kill-child", "--mount-proc")


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
def namespaces_work() -> str:
    """ "" where a process can be given namespaces of its own, else why not; tried once."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return "no unshare(1) on this system"
    true = shutil.which("true") or "/bin/true"
    with tempfile.TemporaryDirectory(prefix="tinytorch-probe-") as folder:
        box = Box(Path(folder))
        for name in (*WRITABLE, "settings"):
            (box.root / name).mkdir()
        launch = [*_UNSHARE, *_PYTHON, str(LAUNCH), _write_settings(box, Limits(), True), true]
        found = subprocess.run(launch, capture_output=True, text=True, check=False, timeout=20)
    return "" if found.returncode == 0 else found.stderr.strip()[-300:] or "unshare failed"


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
    problem = namespaces_work() if namespaces is None else "" if namespaces else "switched off"
    isolation = {
        "namespaces": not problem,
        "network": "namespace" if not problem else "refused socket",
        "user": "root of its own namespace, without capabilities" if not problem else "the grader's",
        "notes": [
            f"no namespaces ({problem}): files of the machine can be read, sockets are refused in Python only"
        ]
        if problem
        else [],
    }
    settings = _write_settings(box, limits, not problem)
    script, *rest = arguments
    command = [*_PYTHON, str(LAUNCH), settings, *_PYTHON, str(box.root / script), *rest]
    if not problem:
        command = [*_UNSHARE, *command]
    elif sys.platform.startswith("linux"):  # who leaves the session becomes a child of this process
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
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
    disk = _Disk(box)
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
    return Outcome(None if stopped else process.returncode, stopped, seconds, peak, said, isolation)


def _write_settings(box: Box, limits: Limits, namespaces: bool) -> str:
    descriptor, path = tempfile.mkstemp(suffix=".json", dir=box.root / "settings")
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump(_settings(box, limits, namespaces), stream)
    return path


def _settings(box: Box, limits: Limits, namespaces: bool) -> dict[str, Any]:
    """What `launch.py` needs. Covered are the checkout, home and the folders of temporary files and of data,
    but for the interpreter, its packages and the box."""
    root = box.root.resolve()
    data = os.environ.get("TINYTORCH_DATA_DIR")
    cache = os.environ.get("XDG_CACHE_HOME")
    wanted = [
        ROOT,
        Path.home(),
        Path(tempfile.gettempdir()),
        Path("/tmp"),
        Path("/var/tmp"),
        Path("/run"),  # sockets of the machine's services
    ]
    wanted += [Path(text) for text in (data, cache) if text]
    covered = sorted({path.resolve() for path in wanted if path.is_dir()} - {Path("/")})
    # What lies in another that is covered is gone with it, unless it is kept.
    outer = [
        path for path in covered if not any(path != other and path.is_relative_to(other) for other in covered)
    ]
    packages = {str(Path(path).resolve()) for path in (sys.prefix, sys.base_prefix)} - {"/usr", "/"}
    keep = packages | {str(root)}
    environment = {
        "PATH": os.defpath,
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONHASHSEED": "0",
        "TINYTORCH_CACHE_DIR": str(root / "cache"),
        "TINYTORCH_DATA_DIR": str(root / "home"),
        "TINYTORCH_OFFLINE": "1",
        "TINYTORCH_QUIET": "1",
        "TINYTORCH_SOCKETS": "" if namespaces else "refused",
        "MPLBACKEND": "Agg",
    }
    threads = os.environ.get("NUMBA_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    environment |= dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), threads)
    return {
        "namespaces": namespaces,
        "folder": str(root / "home"),
        "cover": [str(path) for path in outer],
        "keep": sorted(keep),
        "holder": next(path for path in _HOLDERS if Path(path).is_dir()),
        "writable": [str(root / name) for name in WRITABLE],
        "limits": {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": limits.file_mib << 20,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CPU": int(limits.seconds * (os.cpu_count() or 1)) + 5,
        },
        "environment": environment,
    }


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
    """How much was written since it was made: by size on disk, so holes count nothing, but 4 KiB a file."""

    def __init__(self, box: Box):
        self._folders = [box.root / name for name in WRITABLE]
        self._before, self._at, self._mib = self._count(), 0.0, 0.0

    def mib(self, seconds: float) -> float:
        """MiB, looked at every POLL_DISK seconds."""
        if seconds - self._at > POLL_DISK:
            self._at, self._mib = seconds, (self._count() - self._before) / 2**20
        return self._mib

    def _count(self) -> int:
        total = 0
        for top in self._folders:
            for folder, folders, files in os.walk(top) if not top.is_symlink() else ():
                for name in (*files, *folders):
                    with contextlib.suppress(OSError):
                        total += max(os.lstat(os.path.join(folder, name)).st_blocks * 512, 4096)
        return total


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
