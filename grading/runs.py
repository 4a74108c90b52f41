"""Running a milestone script in a process of its own, and what is left of it.

A student's script may hang inside a compiled kernel, where no signal handler and no thread of Python's gets
a turn, and may leave processes behind. So it leads a process group of its own, and the group is
killed: when the time is up, and also when the script has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from grading.thresholds import ROOT, Milestone

POSIX = os.name == "posix"
# What would change the run: the grader's own switches, a start-up file, warnings as errors.
_NOT_INHERITED = (
    "OPENBLAS_NUM_THREADS",
    "NUMBA_DISABLE_JIT",
    "NUMBA_BOUNDSCHECK",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PYTHONWARNINGS",
)


@dataclass
class Run:
    """One training run, wherever it ran, as the gates see it.

    exit_code: None when it was killed at its time limit.
    report: the result file, None when there is none.
    initial: the weights before training, or after much less of it; None where nobody knows them.
    process_mib: the most resident memory of the process, None where the system does not tell.
    output: the last lines it printed.
    """

    exit_code: int | None
    report: dict[str, Any] | None
    weights: dict[str, np.ndarray]
    initial: dict[str, np.ndarray] | None = None
    seconds: float = 0.0
    process_mib: float | None = None
    output: str = ""
    problems: list[str] = field(default_factory=list)
    values: dict[Any, float] = field(default_factory=dict)  # what the gates worked out already


def train_script(milestone: Milestone, seed: int, folder: Path) -> Run:
    """Run the script of a milestone in full, and once more for one epoch.

    Same seed, same beginning: what the second run leaves are the weights of the first near their beginning,
    and whatever is the same in both was never trained.
    """
    flags = (*milestone.flags, "--seed", str(seed), "--no-plots", "--json")
    run = run_script(milestone.path, *flags, output_dir=folder / "whole", seconds=milestone.seconds)
    if run.weights:
        flags = (*flags, "--epochs", "1")
        brief = run_script(milestone.path, *flags, output_dir=folder / "brief", seconds=milestone.seconds)
        if brief.weights:
            run.initial = brief.weights
        else:
            run.problems.append(
                f"its run of one epoch (exit code {brief.exit_code}) left none: {brief.output}"
            )
    return run


def run_script(script: Path, *arguments: str, output_dir: Path, seconds: float) -> Run:
    """Run `script` with `arguments` and `--output-dir`, for at most `seconds`, and read what it left."""
    output_dir.mkdir(parents=True, exist_ok=True)
    log = output_dir / "terminal.txt"
    command = [sys.executable, str(script), *arguments, "--output-dir", str(output_dir)]
    began = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=output_dir,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=POSIX,
        )
        try:
            exit_code, process_mib = _wait(process, began + seconds)
        finally:
            _kill_group(process)
    elapsed = time.perf_counter() - began
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    run = Run(exit_code, None, {}, seconds=elapsed, process_mib=process_mib, output="\n".join(lines[-25:]))
    run.report = _read(output_dir, "result.json", lambda path: json.loads(path.read_text("utf-8")), run)
    run.weights = _read(output_dir, "*.safetensors", load_file, run) or {}
    return run


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "Agg",
    }


def _wait(process: subprocess.Popen, deadline: float) -> tuple[int | None, float | None]:
    """Exit code (None: out of time) and peak resident memory in MiB."""
    if not POSIX:
        try:
            return process.wait(deadline - time.perf_counter()), None
        except subprocess.TimeoutExpired:
            return None, None
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            unit = 1 if sys.platform == "darwin" else 1024
            return process.returncode, usage.ru_maxrss * unit / 2**20
        if time.perf_counter() > deadline:
            return None, None
        time.sleep(0.01)


def _kill_group(process: subprocess.Popen) -> None:
    if POSIX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], check=False, capture_output=True)
    if process.returncode is None:
        process.wait()


def _read(folder: Path, pattern: str, reader: Any, run: Run) -> Any:
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        run.problems.append(f"expected one {pattern} below the output folder, got {names}")
        return None
    try:
        return reader(found[0])
    except Exception as error:  # whatever a made-up file may cause, it is a problem of the run
        run.problems.append(f"{found[0].name} cannot be read: {error}")
        return None
