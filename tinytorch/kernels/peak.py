"""How fast matrix products could be: the register tile alone, its operands in the first-level cache."""

from __future__ import annotations

import time

import numpy as np

from tinytorch.kernels._jit import get_num_threads
from tinytorch.kernels.memory import SMALLEST, empty
from tinytorch.kernels.packing import data_address
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.simd import PANEL, ROWS, size_of
from tinytorch.kernels.tiles import tiles

DEPTH = 128  # 6 KiB of a, 16 KiB of b, 1.5 KiB of c where vectors have 64 bytes
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _share(a_id, b_id, c_id, repeats, unused, unused_too, part, parts):
    """Multiply one pair of panels `repeats` times into tile `part` of c."""
    if part == ASK:
        return 0
    size = size_of(ZERO)
    a, b, c = data_address(a_id), data_address(b_id), data_address(c_id) + part * ROWS * PANEL
    width = PANEL // size
    for _ in range(repeats):
        tiles(ROWS, width, 1, a, size, ROWS * size, b, PANEL, 0, c, PANEL, 0, c, PANEL, DEPTH, LOWEST)
    return 0


_jobs = jobs_of(_share, "peak")


def peak(dtype: type | np.dtype = np.float32, seconds: float = 0.2) -> float:
    """GFLOP/s of the register tile on all threads, the best of many runs within `seconds`.

    It is what `fraction_of_peak` in the benchmarks divides by, measured in the same run.
    """
    dtype, threads = np.dtype(dtype), get_num_threads()
    columns = PANEL // dtype.itemsize
    sizes = (DEPTH * ROWS, DEPTH * columns, threads * ROWS * columns)
    # One block of the pool: rows of b across two cache lines each would cost the tile a fifth of its speed.
    block = empty((max(sum(sizes), SMALLEST),), dtype)
    a, b, c, _ = np.split(block, np.cumsum(sizes))
    a[...], b[...], c[...] = 1, 1, 0
    repeats = 400  # about 0.3 ms: long beside the start of the threads, short beside a time slice
    job = _jobs[dtype]
    job.together(id(a), id(b), id(c), repeats, 0, 0)  # compiled here, at the latest
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        job.together(id(a), id(b), id(c), repeats, 0, 0)
        best = min(best, time.perf_counter() - start)
    return 2 * threads * repeats * ROWS * columns * DEPTH / best / 1e9
