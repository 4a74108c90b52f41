"""What this machine can do at most, and how near to it each layer of a profile comes.

The roofline: a layer that makes I FLOPs of each byte it moves can reach `min(peak, I · bandwidth)`, whatever
its code is like. Below the ridge at I = peak / bandwidth memory is what limits it, above it arithmetic.

Source: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", 2009.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.kernels import optim
from tinytorch.kernels._jit import get_num_threads
from tinytorch.kernels.peak import peak
from tinytorch.systems.profiling.costs import LayerProfile, ModelProfile

MIB = 1 << 20
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_SMALLEST = 64 * MIB  # bytes of each array that memory is measured with, where caches are small or unknown
_IN_CACHE = MIB // 4  # bytes of each array that a cache is measured with


@dataclass(frozen=True)
class Machine:
    """What was measured of this machine.

    peak_gflops: multiplications and additions of float32, 1e9 a second, by the register tile of products.
    bandwidth_gbs: 1e9 bytes a second to and from memory. cache_gbs: the same where the data is in the cache.
    threads: that both were measured with. processor: its name. last_level_cache: bytes, 0 where unknown.
    array_bytes: of each of the two arrays with which the bandwidth was measured.
    """

    peak_gflops: float
    bandwidth_gbs: float
    cache_gbs: float
    threads: int
    processor: str
    last_level_cache: int
    array_bytes: int

    @property
    def ridge(self) -> float:
        """FLOPs for each byte from which on arithmetic is the limit, not memory."""
        return self.peak_gflops / self.bandwidth_gbs

    def attainable(self, intensity: float) -> float:
        """GFLOP/s that the roofline allows at so many FLOPs a byte."""
        return min(self.peak_gflops, intensity * self.bandwidth_gbs)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and strings, for JSON."""
        return {**asdict(self), "ridge": self.ridge}


def machine(*, refresh: bool = False) -> Machine:
    """The peak and the bandwidth of this machine, measured with the threads that kernels use now.

    Measured once a process and number of threads, in some seconds; `refresh` measures again, which is right
    where the machine is shared and the figures are to stand beside others of the same minute.
    """
    if refresh:
        _measured.cache_clear()
    return _measured(get_num_threads())


@functools.cache
def _measured(threads: int) -> Machine:
    cache = last_level_cache()
    size = max(_SMALLEST, cache + cache // 4)
    return Machine(
        peak_gflops=peak(np.float32, 0.4),
        bandwidth_gbs=bandwidth(size),
        cache_gbs=bandwidth(_IN_CACHE),
        threads=threads,
        processor=processor(),
        last_level_cache=cache,
        array_bytes=size,
    )


def bandwidth(array_bytes: int, seconds: float = 0.3) -> float:
    """1e9 bytes a second through `a += s · b` on all threads, the best of many runs within `seconds`.

    a and b are float32 arrays of `array_bytes` each; a run reads both and writes a, which is all that goes to
    and from memory: a third array for the result would also be read, unseen, before it is written. For the
    memory's bandwidth they must be larger than the last-level cache.

    Raises MemoryError where that much is not free.
    """
    n = array_bytes // 4
    a, b = np.zeros(n, np.float32), np.ones(n, np.float32)
    a.fill(1)  # so that its pages exist
    gradients, offsets = optim.ids([b]), np.array([0, n], np.int64)
    best, runs = float("inf"), 0
    end = time.perf_counter() + seconds
    while runs < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        optim.sgd_step(a, gradients, offsets, None, 1e-6)
        if runs:  # the first may have compiled
            best = min(best, time.perf_counter() - start)
        runs += 1
    return 3 * 4 * n / best / 1e9


def last_level_cache() -> int:
    """Bytes of the largest cache of the first core, by Linux; 0 where it does not say."""
    sizes = [0]
    for path in _CACHES.glob("index*/size"):
        text = path.read_text().strip()
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
        sizes.append(int(text.rstrip("KMG")) * unit)
    return max(sizes)


def processor() -> str:
    """The processor's name, with the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {cores} cores"


@dataclass(frozen=True)
class RooflineRow:
    """How a layer does.

    intensity: FLOPs for each byte that is moved. attainable: GFLOP/s that the roofline allows there.
    reached: GFLOP/s that were reached; more than attainable where the data was still in a cache.
    share: of the time of the whole pass. bound: "memory" or "compute", what limits it.
    """

    name: str
    kind: str
    flops: float
    bytes: float
    seconds: float
    intensity: float
    attainable: float
    reached: float
    share: float
    bound: str

    @property
    def efficiency(self) -> float:
        """Of the attainable, the part that was reached."""
        return self.reached / self.attainable


def roofline(profile: ModelProfile, on: Machine | None = None) -> list[RooflineRow]:
    """The layers of a timed profile under the roofline of the machine `on`, by default this one.

    Forward and backward together. Layers that compute nothing of their own are left out.

    Raises ValueError for a profile that was not timed.
    """
    if not profile.repeats:
        raise ValueError("roofline: expected a profile with times, got one of repeats=0; profile it again")
    on = machine() if on is None else on
    chosen = [layer for layer in profile.layers if layer.work.flops and layer.work.bytes and layer.seconds]
    return [_row(layer, profile.seconds, on) for layer in chosen]


def _row(layer: LayerProfile, total: float, on: Machine) -> RooflineRow:
    work = layer.work
    return RooflineRow(
        layer.name,
        layer.kind,
        work.flops,
        work.bytes,
        work.seconds,
        work.intensity,
        on.attainable(work.intensity),
        work.flops / work.seconds / 1e9,
        work.seconds / total,
        "compute" if work.intensity >= on.ridge else "memory",
    )
