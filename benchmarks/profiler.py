"""What watching costs, and whether its figures are right: `python -m benchmarks.profiler [--rounds N]`.

- `profiler overhead cnn step b64`: a CIFAR training step with `systems.record` around it, and without, in
  turn, a few steps at a time. Also the MNIST network's step, where an operation takes microseconds.
- `profiler seconds`: the sum over a profile's layers beside the clock of passes that nobody watched, in turn.
- `profiler memory`: the activations that a profile counts beside what memray finds alive after a forward
  pass, and its peak of a whole pass beside memray's.

Written: results/profiler.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinytorch as tt
from benchmarks import cnn, training
from benchmarks.image_step import images
from tinytorch.models import GPT, MLP, GPTConfig
from tinytorch.systems import memray_peak, profile, record

BURST = 4  # steps in a row


def step_of(model: Any, x: Any, y: Any) -> Callable[[], object]:
    optimizer = tt.optim.Adam(model.parameters(), lr=1e-3)
    criterion = tt.nn.CrossEntropyLoss()
    return training.repeat(optimizer, lambda: criterion(model(x), y))


def cnn_step() -> Callable[[], object]:
    x, y = (tt.tensor(array) for array in images(64))
    return step_of(cnn.ours(), x, y)


def mlp_step() -> Callable[[], object]:
    return step_of(MLP(784, (128, 64), 10), tt.randn(64, 784), tt.arange(64) % 10)


def burst(step: Callable[[], object], steps: int) -> float:
    """Seconds of a step."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def overhead(step: Callable[[], object], rounds: int, steps: int = BURST) -> dict[str, float]:
    """Medians with a recording and without, and the median of the rounds' ratios, less one."""
    plain, recorded, events = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(rounds + 1):
            # Whoever comes second in one round comes first in the next.
            for watched in (False, True) if i % 2 else (True, False):
                if watched:
                    with record(Path(folder) / "trace.json") as trace:
                        seconds = burst(step, steps)
                    events = trace.events // steps
                else:
                    seconds = burst(step, steps)
                if i:
                    (recorded if watched else plain).append(seconds)
    ratios = [after / before for before, after in zip(plain, recorded, strict=True)]
    return {
        "plain_ms": 1e3 * statistics.median(plain),
        "recorded_ms": 1e3 * statistics.median(recorded),
        "events_a_step": events,
        "overhead": statistics.median(ratios) - 1,
        "overhead_of_best": min(recorded) / min(plain) - 1,
    }


def models() -> dict[str, tuple[Any, Any]]:
    gpt = GPT(GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128))
    return {
        "mlp b64": (MLP(784, (128, 64), 10), tt.randn(64, 784)),
        "cnn b64": (cnn.ours(), tt.tensor(images(64)[0])),
        "gpt b12": (gpt, tt.randint(0, 65, (12, 64))),
    }


def seconds(model: Any, x: Any, repeats: int) -> dict[str, float]:
    found = profile(model, x, repeats=repeats)
    return {
        "layers_ms": 1e3 * found.seconds,
        "clock_ms": 1e3 * found.clock,
        "ratio": found.seconds / found.clock,
    }


def memory(model: Any, x: Any) -> dict[str, float]:
    import memray

    found = profile(model, x, repeats=1)
    for parameter in model.parameters():
        parameter.grad = None

    def whole() -> None:
        model(x).sum().backward()
        for parameter in model.parameters():
            parameter.grad = None

    whole()
    gc.collect()
    tt.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "forward.bin"
        with memray.Tracker(capture):
            kept = model(x).sum()
            tt.empty_cache()
        with memray.FileReader(capture) as reader:
            alive = sum(record.size for record in reader.get_leaked_allocation_records(merge_threads=True))
    del kept
    peak = memray_peak(whole)
    return {
        "activations_mib": found.activation_bytes / 2**20,
        "memray_alive_mib": alive / 2**20,
        "activations_ratio": found.activation_bytes / alive,
        "peak_mib": found.peak_bytes / 2**20,
        "memray_peak_mib": peak / 2**20,
        "peak_ratio": found.peak_bytes / peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiler", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="of each measurement (default: 40)")
    parser.add_argument("--output", type=Path, default=Path("results/profiler.json"))
    given = parser.parse_args()
    found: dict[str, Any] = {
        "profiler overhead cnn step b64": overhead(cnn_step(), given.rounds),
        "profiler overhead mlp step b64": overhead(mlp_step(), given.rounds, 50 * BURST),
    }
    for name, (model, x) in models().items():
        found[f"profiler seconds {name}"] = seconds(model, x, given.rounds)
        found[f"profiler memory {name}"] = memory(model, x)
    for name, figures in found.items():
        print(f"{name:32}", *(f"{key} {value:.4g}" for key, value in figures.items()), sep="  ")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
