"""A benchmark suite after MLPerf Tiny: models in two scenarios, measured in turn, into a file to compare.

Source: C. Banbury et al., "MLPerf Tiny benchmark", 2021: single stream (one example after the other: latency)
and offline (all examples at hand: throughput), each with the quality that the measured model reaches.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.kernels._jit import get_num_threads
from tinytorch.kernels.gemm import gemm
from tinytorch.kernels.simd import VECTOR_BYTES
from tinytorch.nn import Module
from tinytorch.systems.benchmarking.files import file_bytes
from tinytorch.systems.benchmarking.latency import Latency, measure_together
from tinytorch.systems.inference.sweeps import evaluating
from tinytorch.tensor import Tensor

FORMAT = "tinytorch-suite-1"
SCENARIOS = ("single_stream", "offline")
STREAM = 64  # examples that the single stream goes round
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "asimd", "asimddp")


@dataclass
class SuiteRow:
    """One model in one scenario.

    batch: examples in a timed call: 1 in a single stream, all in offline. p50, p95, p99, mean, ci95: seconds
    of a call, as in `Latency`. throughput: examples a second. runs: calls. blocks: the median of each round.
    quality: accuracy by the labels, or what `evaluate` returned; None without either. bytes: of the model's
    safetensors file; None for what is no module.
    """

    model: str
    scenario: str
    batch: int
    p50: float
    p95: float
    p99: float
    mean: float
    ci95: tuple[float, float]
    throughput: float
    runs: int
    quality: float | None
    bytes: int | None
    blocks: list[float] = field(repr=False)


@dataclass
class SuiteResult:
    """What `run_suite` measured, and on what.

    references: blocks, of the same rounds, of jobs that never change ("one thread": a loop in Python; "all
    threads": a matrix product): they tell a slower model from a slower machine.
    """

    rows: list[SuiteRow]
    references: dict[str, list[float]] = field(repr=False)
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as JSON."""
        Path(path).write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SuiteResult:
        """Read what `save` wrote. Raises ValueError for another file."""
        try:
            content = json.loads(Path(path).read_text())
            found = content.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError):
            found = None
        if found != FORMAT:
            raise ValueError(
                f"SuiteResult.load: expected {path} to be a result file of the format {FORMAT!r}, got "
                f"{found!r}. Write one by run_suite(...).save(path)."
            )
        rows = [SuiteRow(**{**row, "ci95": tuple(row["ci95"])}) for row in content.pop("rows")]
        return cls(rows, **content)


def run_suite(
    entries: Mapping[str, tuple[Callable[[Any], Any], Any, Any]],
    *,
    scenarios: Sequence[str] = SCENARIOS,
    seed: int = 0,
    batch: int = 64,
    seconds: float = 4.0,
    precision: float = 0.02,
    rounds: int | None = None,
    warmup: int = 3,
) -> SuiteResult:
    """Measure every model in every scenario, in turn, round after round.

    entries: name -> (model, inputs, labels). inputs (n, ...): the test set. labels: (n,), for the accuracy of
    the model's largest output; or a callable `evaluate(model) -> float`; or None.
    scenarios: "single_stream" times one example at a time, going round up to 64 of the inputs; "offline"
    times all of them in batches of `batch`.
    seed: of the order within the rounds, and given to `manual_seed` first.
    seconds: for each model and scenario, about; it ends sooner where half of every 95 % confidence interval
    is `precision` of its median. rounds: exactly so many instead (6 or more).

    On a busy machine give it time: it is the length of the whole suite against that of a disturbance that
    makes two runs agree (see `compare`).
    """
    if not entries:
        raise ValueError("run_suite: expected at least one model, got none")
    unknown = [name for name in scenarios if name not in SCENARIOS]
    if unknown or not scenarios:
        raise ValueError(f"run_suite: expected scenarios of {', '.join(SCENARIOS)}, got {list(scenarios)}")
    random.manual_seed(seed)
    jobs: dict[str, Callable[[], Any]] = _references()
    references, keys = list(jobs), []
    batches = dict.fromkeys(references, 1)
    sets = {name: _inputs(name, entry) for name, entry in entries.items()}
    for name, (model, _, _) in entries.items():
        for scenario in scenarios:
            key = f"{name}/{scenario}"
            keys.append((key, name, scenario))
            single = scenario == "single_stream"
            jobs[key] = _stream(model, sets[name]) if single else _offline(model, sets[name], batch)
            batches[key] = 1 if single else len(sets[name])
    modules = [model for model, _, _ in entries.values()]
    with evaluating(*modules):
        quality = {name: _quality(name, entry, sets[name], batch) for name, entry in entries.items()}
        measured = measure_together(
            jobs, warmup=warmup, seconds=seconds, precision=precision, rounds=rounds, batch=batches, seed=seed
        )
    sizes = {
        n: file_bytes(model) if isinstance(model, Module) else None for n, (model, _, _) in entries.items()
    }
    rows = [_row(name, scenario, measured[key], quality[name], sizes[name]) for key, name, scenario in keys]
    settings = {
        "seed": seed, "batch": batch, "seconds": seconds, "precision": precision, "warmup": warmup,
        "rounds": len(rows[0].blocks), "scenarios": list(scenarios),
    }  # fmt: skip
    blocks = {name: measured[name].blocks.tolist() for name in references}
    return SuiteResult(rows, blocks, machine(), versions(), settings)


def machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, threads of the kernels, kinds of SIMD."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    facts = {name.strip(): value.strip() for name, value in lines}
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": len(affinity(0)) if affinity is not None else os.cpu_count(),
        "threads": get_num_threads(),
        "simd_bits": 8 * VECTOR_BYTES,
        "simd": [name for name in _FLAGS if name in flags],
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Of what computes."""
    import tinytorch

    libraries = {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"tinytorch": tinytorch.__version__, "python": sys.version.split()[0], **libraries}


def _references() -> dict[str, Callable[[], Any]]:
    square = np.ones((256, 256), np.float32)

    def loop() -> int:
        total = 0
        for i in range(2000):
            total += i
        return total

    return {"one thread": loop, "all threads": lambda: gemm(square, square, None, None)}


def _inputs(name: str, entry: Any) -> np.ndarray:
    if not isinstance(entry, tuple) or len(entry) != 3:
        raise TypeError(
            f"run_suite: expected (model, inputs, labels or evaluate) for {name!r}, got {entry!r:.60}"
        )
    array = np.asarray(entry[1]._data if isinstance(entry[1], Tensor) else entry[1])
    if not array.ndim or not len(array):
        raise ValueError(
            f"run_suite: expected inputs (n, ...) of {name!r}, n of 1 or more, got {array.shape}"
        )
    return array


def _stream(model: Callable[[Any], Any], inputs: np.ndarray) -> Callable[[], Any]:
    examples = cycle([Tensor(inputs[i : i + 1]) for i in range(min(STREAM, len(inputs)))])
    return lambda: model(next(examples))


def _offline(model: Callable[[Any], Any], inputs: np.ndarray, batch: int) -> Callable[[], Any]:
    batches = [Tensor(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]

    def run() -> None:
        for examples in batches:
            model(examples)

    return run


def _quality(name: str, entry: tuple[Any, Any, Any], inputs: np.ndarray, batch: int) -> float | None:
    model, _, judge = entry
    if judge is None:
        return None
    if not isinstance(judge, Tensor) and callable(judge):
        evaluate: Any = judge
        return float(evaluate(model))
    labels = np.asarray(judge._data if isinstance(judge, Tensor) else judge)
    if labels.shape != (len(inputs),):
        raise ValueError(f"run_suite: expected {len(inputs)} labels of {name!r}, got shape {labels.shape}")
    answers = [model(Tensor(inputs[i : i + batch])).numpy().argmax(1) for i in range(0, len(inputs), batch)]
    return float((np.concatenate(answers) == labels).mean())


def _row(name: str, scenario: str, measured: Latency, quality: float | None, size: int | None) -> SuiteRow:
    return SuiteRow(
        name, scenario, measured.batch, measured.p50, measured.p95, measured.p99, measured.mean,
        measured.ci95, measured.throughput, measured.runs, quality, size, measured.blocks.tolist(),
    )  # fmt: skip
