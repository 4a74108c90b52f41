"""One framework in a process of its own: reads requests on stdin, answers on stdout, one JSON object a line.

    python -m benchmarks.worker ours 2

Between requests it sleeps, so that of all workers only the one that is asked computes.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.suite import WORKLOADS
from benchmarks.workload import OURS, Step, Unavailable

SECONDS_A_ROUND = 0.25
WARM_UP_STEPS = 10


def set_threads(framework: str, threads: int) -> None:
    """Give every framework the same number of threads, and no more processors than that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if framework.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    elif framework == "numpy":
        import numpy  # noqa: F401  (loads the BLAS that is limited here)
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads)
    elif framework.startswith(OURS):
        import tinytorch

        tinytorch.set_num_threads(threads)


def median_ms(step: Step, slow: bool) -> float:
    """Median time of one step, over a quarter of a second of steps (one step, if it is slow)."""
    times = []
    until = time.perf_counter() + SECONDS_A_ROUND
    while not times or (not slow and time.perf_counter() < until):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def three_steps(prepare: Callable[[], Step]) -> None:
    step = prepare()
    for _ in range(3):
        step()


def peak_mib(prepare: Callable[[], Step], framework: str) -> float:
    """Peak of what preparing the work and three steps of it allocate, by memray, in MiB; kernels are warm."""
    import memray

    gc.collect()
    if framework == OURS:
        import tinytorch

        tinytorch.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "steps.bin"
        with memray.Tracker(capture):
            three_steps(prepare)
        reader = memray.FileReader(capture)
        return reader.metadata.peak_memory / 2**20


def resident_mib(prepare: Callable[[], Step]) -> float | None:
    """Peak resident memory of this process after the same, code included; None on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    three_steps(prepare)
    units = 2**20 if sys.platform == "darwin" else 2**10  # of a MiB: bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units


def peak_gflops() -> float:
    """The micro-kernel alone, operands in L1: what this machine can do, now."""
    from tinytorch.kernels.peak import peak

    return peak()


def answer(request: dict[str, Any], framework: str, steps: dict[str, Step]) -> Any:
    """Carry out one request of the runner."""
    if request["do"] == "peak":
        return peak_gflops()
    workload = WORKLOADS[request["workload"]]
    if request["do"] == "forget":
        steps.pop(workload.name, None)
        return None
    if request["do"] == "memory":
        return peak_mib(workload.variants[framework], framework)
    if request["do"] == "resident":
        return resident_mib(workload.variants[framework])
    if workload.name not in steps:
        steps[workload.name] = workload.variants[framework]()
        for _ in range(0 if workload.slow or workload.reports_seconds else WARM_UP_STEPS):
            steps[workload.name]()
    if workload.reports_seconds:
        return 1e3 * steps[workload.name]()  # pyright: ignore[reportOperatorIssue]
    return median_ms(steps[workload.name], workload.slow)


def main() -> None:
    framework, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not be taken for an answer
    set_threads(framework, threads)
    steps: dict[str, Step] = {}
    print(json.dumps({"value": "ready"}), file=replies, flush=True)
    for line in sys.stdin:
        try:
            reply = {"value": answer(json.loads(line), framework, steps)}
        except Unavailable as reason:
            reply = {"unavailable": str(reason)}
        except Exception:
            reply = {"error": traceback.format_exc(limit=3)}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
