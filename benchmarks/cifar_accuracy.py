"""Seconds of training until CIFAR-10's test images are answered well enough, by milestone 4's own recipes.

The milestone's script is run with seeds 0, 1, 2 ..., one a round, and its history says when the mark was
reached. It takes minutes, so it is run only by name: `python -m benchmarks cifar`.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.workload import OURS, Step, Unavailable, Workload

SCRIPT = Path(__file__).resolve().parents[1] / "milestones/04_1998_cnn_revolution/lecun_cifar10.py"


def seconds_until(history: Iterable[Mapping[str, Any]], accuracy: float) -> float | None:
    """Seconds to the end of the first epoch after which `accuracy` is reached; None where none reaches it."""
    seconds = 0.0
    for epoch in history:
        seconds += epoch["seconds"]
        if epoch["accuracy"] is not None and epoch["accuracy"] >= accuracy:
            return seconds
    return None


def history(script: Path, *flags: str) -> list[dict[str, Any]]:
    """What the script's result.json says about each epoch; a mark that it misses itself is no failure."""
    if not script.is_file():
        raise Unavailable(f"{script} does not exist")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, script, *flags, "--no-plots", "--json", "--output-dir", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        found = [json.loads(path.read_text()) for path in Path(folder).rglob("result.json")]
    if done.returncode not in (0, 1) or len(found) != 1:
        raise Unavailable(f"{script.name} ended with exit code {done.returncode}: {done.stderr.strip()}")
    return found[0]["history"]


def training(model: str, accuracy: float) -> Step:
    from tinytorch import get_num_threads

    seeds = itertools.count()

    def step() -> float:
        seed = next(seeds)
        flags = ("--model", model, "--seed", str(seed), "--threads", str(get_num_threads()))
        epochs = history(SCRIPT, *flags)
        seconds = seconds_until(epochs, accuracy)
        if seconds is None:
            reached = [f"{100 * (epoch['accuracy'] or 0):.2f}" for epoch in epochs]
            raise Unavailable(f"{model}, seed {seed}, reached {', '.join(reached)} % and no more")
        return seconds

    return step


WORKLOADS = [
    Workload(
        f"cifar seconds to {100 * accuracy:.0f} %",
        {OURS: partial(training, model, accuracy)},
        reports_seconds=True,
        by_name=True,
    )
    for model, accuracy in (("lenet", 0.65), ("resnet", 0.80))
]
