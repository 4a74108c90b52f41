"""What `tito system doctor` looks at, and what to do about each finding."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np

import tinytorch as tt
from tinytorch.datasets.registry import data_dir
from tinytorch.kernels._jit import cache_folder
from tinytorch.kernels.gemm import gemm
from tinytorch.kernels.simd import VECTOR_BYTES
from tito.groups.data import FILES

NEEDED = ("numpy", "numba", "llvmlite", "pooch", "safetensors", "rich", "typer")
OPTIONAL = {"matplotlib": "pictures: pip install 'tinytorch[plots]'", "pytest": "grading: make setup"}
SIZE, MIB = 1024, 64  # of the product, and of the copy, that are timed


@dataclass
class Finding:
    """status: ok, warn or bad. advice: what to do about it; "" where nothing is to do."""

    what: str
    status: str
    found: str
    advice: str = ""


def findings() -> list[Finding]:
    """All of them; about two seconds."""
    found = [_python(), _packages(), *_optional(), _threads(), _layer(), _simd(), _memory()]
    return [*found, _cache(), *_speed(), *_data()]


def _python() -> Finding:
    version, good = platform.python_version(), platform.python_version_tuple() >= ("3", "11")
    return Finding("Python", "ok" if good else "bad", version, "" if good else "3.11 or later is needed")


def _packages() -> Finding:
    versions, missing = [], []
    for name in NEEDED:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "bad", f"without {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Finding("packages", "ok", ", ".join(versions))


def _optional() -> list[Finding]:
    found = []
    for name, advice in OPTIONAL.items():
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(Finding(name, "warn", "not installed", advice))
    return found


def _threads() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    used = tt.get_num_threads()
    advice = "" if used >= cores else f"NUMBA_NUM_THREADS={cores} would use all"
    return Finding("cores", "ok" if used >= cores else "warn", f"{cores}, threads in use: {used}", advice)


def _layer() -> Finding:
    import numba

    tt.relu(tt.ones(1 << 20))  # a parallel kernel, which chooses the layer
    try:
        layer = numba.threading_layer()  # pyright: ignore[reportPrivateImportUsage]
    except ValueError:
        layer = "none yet"
    if layer == "workqueue":
        return Finding(
            "threading layer", "warn", f"{layer}: two Python threads may not compute at the same time",
            "install OpenMP (libgomp1) or pip install tbb",
        )  # fmt: skip
    return Finding("threading layer", "ok", f"{layer}: Python threads may compute at the same time")


def _simd() -> Finding:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    names = [
        n for n in ("avx2", "fma", "avx512f", "avx512vnni", "amx-int8", "neon", "dotprod") if features.get(n)
    ]
    wide = VECTOR_BYTES >= 32
    return Finding(
        "vectors", "ok" if wide else "warn", f"{8 * VECTOR_BYTES} bits ({', '.join(names) or 'none'})",
        "" if wide else "kernels run on any processor, and are quick from AVX2 on",
    )  # fmt: skip


def _memory() -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return Finding("memory", "ok", "not told by this system")
    disk = shutil.disk_usage(data_dir().anchor or "/").free / 2**30
    good = free > 1 and disk > 1
    return Finding(
        "memory", "ok" if good else "warn", f"{free:.1f} of {whole:.1f} GiB free; disk {disk:.0f} GiB free",
        "" if good else "milestone 4 needs 1 GiB of each",
    )  # fmt: skip


def _cache() -> Finding:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        advice = "set TINYTORCH_CACHE_DIR to a folder that can be written; until then every run compiles"
        return Finding("kernel cache", "warn", f"{folder}: {error.strerror}", advice)
    kernels = list(folder.glob("*.nbc"))
    size = sum(path.stat().st_size for path in kernels) / 2**20
    advice = "" if kernels else "tito system warmup compiles the common ones"
    return Finding("kernel cache", "ok", f"{len(kernels)} kernels, {size:.0f} MiB in {folder}", advice)


def _speed() -> list[Finding]:
    """A float32 product, on one thread and on all, and a copy that no cache holds."""
    a, b = (np.random.default_rng(i).random((SIZE, SIZE), np.float32) for i in (0, 1))
    threads, rates = tt.get_num_threads(), []
    for count in dict.fromkeys((1, threads)):
        tt.set_num_threads(count)
        rates.append(f"{2 * SIZE**3 / _seconds(lambda: gemm(a, b)) / 1e9:.0f} GFLOP/s on {count}")
    source = np.zeros(MIB << 18, np.float32)
    target = np.empty_like(source)
    moved = 2 * source.nbytes / _seconds(lambda: np.copyto(target, source)) / 1e9
    return [
        Finding("matrix product", "ok", f"float32, {SIZE} × {SIZE}: {', '.join(rates)} threads"),
        Finding("memory bandwidth", "ok", f"{moved:.1f} GB/s, read and written, one thread"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    """The quickest of some runs."""
    work()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _data() -> list[Finding]:
    folder = data_dir()
    missing = [
        name for name, files in FILES.items() if files and not any((folder / f).exists() for f in files)
    ]
    there = [name for name, files in FILES.items() if files and name not in missing]
    if not missing:
        return [Finding("datasets", "ok", f"{', '.join(there)} in {folder}")]
    return [
        Finding(
            "datasets", "warn", f"{', '.join(there) or 'none'} in {folder}; without {', '.join(missing)}",
            f"tito data download {' '.join(missing)}; the embedded ones always work",
        )
    ]  # fmt: skip
