"""Which walls the kernel lets a sandbox have, and what a process is told to build them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.sandbox import landlock, syscalls, view
from grading.sandbox.box import Box
from tinytorch.kernels._jit import cache_folder

LAUNCH = Path(__file__).with_name("launch.py")
WRITABLE = ("out", "home", "tmp")  # of the box, and a cache of compiled kernels for each process
# As it is called, but through no link to its folder, which the process might not see.
_EXECUTABLE = Path(sys.executable).parent.resolve() / Path(sys.executable).name
PYTHON = (str(_EXECUTABLE), "-I", "-B")
# -r: root inside, nobody outside. --kill-child: whoever kills unshare kills all of it.
UNSHARE = ("unshare", "-U", "-r", "-n", "-m", "-p", "-i", "-f", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Walls:
    """What holds a process. problem: why it has no namespaces, "" where it has."""

    problem: str
    landlock: bool
    syscalls: bool

    @classmethod
    def here(cls, namespaces: bool | None = None) -> Walls:
        """All that this system allows. namespaces: False does without them, True does not ask."""
        problem = namespaces_work() if namespaces is None else "" if namespaces else "switched off"
        linux = sys.platform.startswith("linux")
        return cls(problem, bool(problem) and linux and landlock.version() > 0, linux and syscalls.known())

    @property
    def isolation(self) -> dict[str, Any]:
        """As it stands in grade.json."""
        rights = "without capabilities"
        if not self.problem:
            user = f"root of its own namespace, {rights}"
            return {
                "namespaces": True,
                "network": "namespace",
                "files": "namespace",
                "user": user,
                "notes": [],
            }
        note = f"no namespaces ({self.problem}): "
        note += "files are closed by Landlock" if self.landlock else "files of the machine can be read"
        note += ", sockets are refused " + ("by the kernel" if self.syscalls else "in Python only")
        return {
            "namespaces": False,
            "network": "refused socket",
            "files": "landlock" if self.landlock else "open",
            "user": f"the grader's, {rights}" if sys.platform.startswith("linux") else "the grader's",
            "notes": [note],
        }

    def command(self, settings: Path, arguments: list[str]) -> list[str]:
        """The command that builds them, and then becomes Python on `arguments`."""
        launch = [*PYTHON, str(LAUNCH), str(settings), *PYTHON, *arguments]
        return launch if self.problem else [*UNSHARE, *launch]

    def prepare(self, box: Box, limits: dict[str, int]) -> tuple[Path, tuple[Path, ...]]:
        """A new kernel cache in the box, with the warm kernels in it, and the settings for `launch.py`; its
        path, and the folders that can be written.

        The warm kernels are shown where they cannot be changed, else copied: no submission's are another's.
        """
        root = box.root.resolve()
        cache = Path(tempfile.mkdtemp(prefix="cache-", dir=root))
        warm = cache_folder().resolve() if cache_folder().is_dir() else None
        place = cache / "kernels" / cache_folder().name
        place.parent.mkdir()
        if warm is not None and not self.problem:
            place.mkdir()
        elif warm is not None and self.landlock:
            place.symlink_to(warm)
        elif warm is not None:
            shutil.copytree(warm, place, copy_function=shutil.copyfile)
        writable = (*(root / name for name in WRITABLE), cache)
        settings: dict[str, Any] = {
            "namespaces": not self.problem,
            "landlock": self.landlock,
            "syscalls": self.syscalls,
            "folder": str(root / "home"),
            "writable": [str(path) for path in writable],
            "limits": limits,
            "environment": self._environment(root, cache),
        }
        if not self.problem:
            settings["base"] = str(Path(tempfile.gettempdir()).resolve())
            settings["layout"] = view.layout(root, warm, place)
        if self.landlock:
            settings["listable"], settings["readable"] = view.openable(root, warm)
            settings["writable"] += view.DEVICES
        descriptor, path = tempfile.mkstemp(suffix=".json", dir=root / "settings")
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump(settings, stream)
        return Path(path), writable

    def _environment(self, root: Path, cache: Path) -> dict[str, str]:
        threads = os.environ.get("NUMBA_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        return {
            "PATH": os.defpath,
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONHASHSEED": "0",
            "TINYTORCH_CACHE_DIR": str(cache),
            "TINYTORCH_DATA_DIR": str(root / "home"),
            "TINYTORCH_OFFLINE": "1",
            "TINYTORCH_QUIET": "1",
            "TINYTORCH_SOCKETS": "refused" if self.problem else "",
            "MPLBACKEND": "Agg",
            **dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), threads),
        }


@functools.cache
def namespaces_work() -> str:
    """ "" where a process can be given namespaces of its own, else why not; tried once."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return "no unshare(1) on this system"
    with tempfile.TemporaryDirectory(prefix="tinytorch-probe-") as folder:
        box = Box(Path(folder))
        for name in (*WRITABLE, "settings"):
            (box.root / name).mkdir()
        settings, _ = Walls("", False, syscalls.known()).prepare(box, {})
        # NumPy needs more of the system than Python does.
        command = Walls("", False, True).command(settings, ["-c", "import numpy"])
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if found.returncode == 0 else found.stderr.strip()[-300:] or "unshare failed"
