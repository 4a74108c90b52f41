"""Runs every variant of a workload in turn (A B A B ...), each in its own process; compares medians."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workload import FRAMEWORKS, OURS, Unavailable, Workload

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A framework's process, started when it is first asked.

    OPENBLAS_* is left out of its environment: where it names another processor than this one, NumPy would be
    timed with kernels that it does not choose itself.
    """

    def __init__(self, framework: str, threads: int):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", framework, str(threads)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for its answer; a failure there is one here."""
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        reply = self._read()
        if "unavailable" in reply:
            raise Unavailable(reply["unavailable"])
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["value"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with exit code {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Runner:
    """Measures workloads; use as a context manager, which ends the workers."""

    def __init__(self, threads: int, rounds: int, say: Callable[[str], None]):
        self.threads, self.rounds, self.say = threads, rounds, say
        self._workers: dict[str, Worker] = {}
        self.missing = [f for f, package in FRAMEWORKS.items() if importlib.util.find_spec(package) is None]

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def worker(self, framework: str) -> Worker:
        if framework not in self._workers:
            self._workers[framework] = Worker(framework, self.threads)
        return self._workers[framework]

    def measure(self, workload: Workload) -> dict[str, Any]:
        """One row of bench.json. A peer that is not installed, or failed, is absent from `peers`."""
        try:
            times, peaks = self._times(workload)
        except Unavailable as reason:
            self.say(f"{workload.name}: not measured: {reason}")
            return {**row(workload, {}), "reason": str(reason)}
        return row(
            workload, times, peaks, **(self._memory(workload, times) if workload.measures_memory else {})
        )

    def _times(self, workload: Workload) -> tuple[dict[str, list[float]], list[float]]:
        """Milliseconds of each framework, and the micro-kernel's peak, in every round."""
        times: dict[str, list[float]] = {f: [] for f in workload.variants if f not in self.missing}
        peaks = []
        for _ in range(self.rounds):
            if workload.flops:
                peaks.append(self.worker(OURS).ask(do="peak"))
            for framework in list(times):
                try:
                    times[framework].append(self.worker(framework).ask(do="time", workload=workload.name))
                except (RuntimeError, Unavailable) as error:
                    if framework == OURS:
                        raise
                    self.say(f"{workload.name}: {framework} failed, left out:\n{error}")
                    del times[framework]
        for framework in times:
            self.worker(framework).ask(do="forget", workload=workload.name)
        return times, peaks

    def _memory(self, workload: Workload, frameworks: Container[str]) -> dict[str, dict[str, float]]:
        """MiB by framework: what is allocated, and what is resident in a process that does nothing else."""
        allocated, resident = {}, {}
        for framework in (OURS, "torch-eager"):
            if framework in frameworks:
                allocated[framework] = self.worker(framework).ask(do="memory", workload=workload.name)
                fresh = Worker(framework, self.threads)
                resident[framework] = fresh.ask(do="resident", workload=workload.name)
                fresh.close()
        return {"allocated": allocated, "resident": resident}


def row(
    workload: Workload,
    times: Mapping[str, list[float]],
    peaks: Sequence[float] = (),
    allocated: Mapping[str, float] | None = None,
    resident: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Medians over the rounds; the ratio is the best peer's time over ours, so above 1 we are faster."""
    medians = {framework: statistics.median(values) for framework, values in times.items()}
    ours = medians.pop(OURS, None)
    gflops = workload.flops / ours / 1e6 if workload.flops and ours else None
    allocated = dict(allocated or {})
    return {
        "workload": workload.name,
        "ours_ms": ours,
        "peers": medians,
        "ratio_to_best_peer": min(medians.values()) / ours if medians and ours else None,
        "gflops": gflops,
        "fraction_of_peak": gflops / statistics.median(peaks) if gflops and peaks else None,
        "peak_mib": allocated.pop(OURS, None),
        "peer_peak_mib": allocated,
        "resident_mib": dict(resident or {}),
    }
