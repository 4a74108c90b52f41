"""Run every milestone script several times and write the table of README.md from what was measured.

    python milestones/measured.py            print the table
    python milestones/measured.py --write    and put it into milestones/README.md

A first run of each script, which may compile kernels, is not counted. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = (
    "01_1957_perceptron/perceptron_trained.py",
    "02_1969_xor_crisis/xor_solved.py",
    "03_1986_mlp_revival/mlp_digits.py",
    "03_1986_mlp_revival/mlp_mnist.py",
    "04_1998_cnn_revolution/cnn_digits.py",
    "04_1998_cnn_revolution/lecun_cifar10.py",
    "04_1998_cnn_revolution/lecun_cifar10.py --model resnet",
    "05_2017_transformer_era/vaswani_sequences.py",
    "05_2017_transformer_era/vaswani_grammar.py",
    "05_2017_transformer_era/vaswani_shakespeare.py",
    "06_2024_systems_age/optimize_models.py",
)
BEGIN, END = "<!-- measured: python milestones/measured.py --write -->", "<!-- /measured -->"
UNITS = {"validation_loss": "nats", "times_smaller": "×"}  # of metrics that are no shares
HEADINGS = (
    "script", "data", "reached", "to pass", "training", "whole script", "parameters", "FLOPs, forward",
    "peak memory",
)  # fmt: skip


def measure(script: str, times: int) -> list[str] | None:
    """A row of the table, for a script and its flags; None without the data.

    Medians over `times` runs, after one that is not counted.
    """
    script, *flags = script.split()
    runs, walls = [], []
    for number in range(times + 1):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, HERE / script, *flags, "--output-dir", folder], stdout=subprocess.DEVNULL
            )
            wall = time.perf_counter() - began
            if done.returncode == 3:
                return None
            if done.returncode:
                sys.exit(f"{script} ended with exit code {done.returncode}")
            if number:
                (result,) = Path(folder).rglob("result.json")
                runs.append(json.loads(result.read_text()))
                walls.append(wall)
    last = runs[-1]
    training = statistics.median(run["train_seconds"] for run in runs)
    peak = statistics.median(run["peak_mib"] for run in runs)
    unit = UNITS.get(last["metric"])
    reached, least = (
        f"{last[name]:.4g} {unit}" if unit else f"{100 * last[name]:.4g} %" for name in ("value", "threshold")
    )
    times_taken = [f"{training:.2f} s", f"{statistics.median(walls):.1f} s"]
    sizes = [f"{last['params']:,}", f"{last['flops_forward']:,}", f"{peak:.2f} MiB"]
    return [
        f"`{' '.join([Path(script).name, *flags])}`",
        last["dataset"],
        f"**{reached}**",
        least,
        *times_taken,
        *sizes,
    ]


def table(times: int) -> str:
    """The table and the line that says where it comes from."""
    lines = [" | ".join(HEADINGS), " | ".join(["---"] * 2 + ["--:"] * (len(HEADINGS) - 2))]
    for script in SCRIPTS:
        row = measure(script, times)
        if row is not None:
            lines.append(" | ".join(row))
    where = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    note = f"Seed 0, medians of {times} runs with a warm kernel cache, pictures included, on {where}."
    return "\n".join([*(f"| {line} |" for line in lines), "", note])


def processor() -> str:
    """The processor's name where Linux tells it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.is_file() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into milestones/README.md")
    parser.add_argument("--times", type=int, default=3, help="runs that are counted, default 3")
    given = parser.parse_args()
    text = table(max(1, given.times))
    print(text)
    if given.write:
        readme = HERE / "README.md"
        before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
