"""How a convolution's cost grows: `python -m benchmarks.conv_scaling [--rounds N]`.

Forward and both gradients against images, channels in and channels out, each doubled three times with the
rest fixed; a line through the logarithms gives the exponent. In the same rounds, the work in the middle with
one thread too. Written: results/conv_scaling.json, and conv_scaling.png where matplotlib is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch
from benchmarks.conv import Shape, ours
from tinytorch.viz import style

KINDS = {"fwd": "forward", "grad_input": "input gradient", "grad_weight": "weight gradient"}
BASE = Shape(batch=64, inputs=32, size=16, outputs=32, window=3)
DOUBLED = {"batch": "images", "inputs": "channels in", "outputs": "channels out"}
FACTORS = (0.5, 1, 2, 4)
BURST_SECONDS = 0.02

Times = dict[tuple[str, Shape, int], float]
"""Milliseconds by kind, shape and threads."""


def shapes(field: str) -> list[Shape]:
    return [BASE._replace(**{field: int(getattr(BASE, field) * factor)}) for factor in FACTORS]


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The b of the least-squares line log(time) = a + b log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def burst_ms(step: Callable[[], object]) -> float:
    """Median of a short burst of steps, of which the first is not counted."""
    step()
    times = []
    until = time.perf_counter() + BURST_SECONDS
    while not times or time.perf_counter() < until:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def measure(rounds: int, threads: int) -> Times:
    """Every shape in turn, the base with one thread too; medians over the rounds."""
    every = dict.fromkeys(shape for field in DOUBLED for shape in shapes(field))
    steps = {(kind, shape): ours(kind, shape) for kind in KINDS for shape in every}
    work = [(kind, shape, threads) for kind, shape in steps]
    if threads > 1:
        work += [(kind, BASE, 1) for kind in KINDS]
    work.sort(key=lambda key: (key[1], key[0], key[2]))  # one thread and more of them, one after the other
    times: dict[Any, list[float]] = {key: [] for key in work}
    for _ in range(rounds):
        for kind, shape, count in work:
            tinytorch.set_num_threads(count)
            times[kind, shape, count].append(burst_ms(steps[kind, shape]))
    return {key: statistics.median(values) for key, values in times.items()}


def summary(times: Times, threads: int) -> dict[str, Any]:
    """Exponents by field and kind, and how much faster the base is with `threads` threads than with one."""

    def fitted(field: str, kind: str) -> float:
        varied = shapes(field)
        return exponent([getattr(s, field) for s in varied], [times[kind, s, threads] for s in varied])

    return {
        "base": BASE.name,
        "threads": threads,
        "exponents": {name: {k: fitted(field, k) for k in KINDS} for field, name in DOUBLED.items()},
        "speed_up": {k: times[k, BASE, 1] / times[k, BASE, threads] for k in KINDS},
        "ms": [{"kind": k, "shape": s.name, "threads": n, "ms": ms} for (k, s, n), ms in times.items()],
    }


def draw(times: Times, found: dict[str, Any], path: Path) -> None:
    """Time over size on logarithmic axes, three panels; the speed-up as bars in a fourth."""
    threads, colours = found["threads"], (style.BLUE, style.ORANGE, style.GREEN)
    drawing = style.figure(12.4, 3.7)
    *panels, right = drawing.subplots(1, 4, width_ratios=(1, 1, 1, 0.85))
    for axes, (field, name) in zip(panels, DOUBLED.items(), strict=True):
        style.clean(axes, f"against {name}", name, "milliseconds" if axes is panels[0] else "")
        sizes = [getattr(shape, field) for shape in shapes(field)]
        for kind, colour in zip(KINDS, colours, strict=True):
            measured = [times[kind, shape, threads] for shape in shapes(field)]
            power = found["exponents"][name][kind]
            axes.plot(sizes, measured, "o", color=colour, markersize=5, label=f"{KINDS[kind]}: {power:.2f}")
            scale = np.exp(np.mean(np.log(measured) - power * np.log(sizes)))
            axes.plot(sizes, scale * np.array(sizes, float) ** power, color=colour, lw=1.4)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", color=style.GRID, lw=0.8)
        axes.legend(title="exponent", title_fontsize=8, fontsize=8, frameon=False, loc="upper left")
    drawn = [ms for (_, _, count), ms in times.items() if count == threads]
    for axes in panels:
        axes.set_ylim(min(drawn) / 1.4, max(drawn) * 4)
    style.clean(right, f"{threads} threads over 1, times faster")
    bars = right.bar(
        [name.replace(" ", "\n") for name in KINDS.values()], found["speed_up"].values(), 0.6, color=colours
    )
    right.bar_label(bars, fmt="%.2f", fontsize=8, color=style.INK, padding=2)
    right.axhline(threads, color=style.FAINT, lw=0.9, ls=(0, (4, 3)), zorder=0)
    right.set_ylim(0, 1.15 * threads)
    fixed = f"{BASE.batch} images of {BASE.size}×{BASE.size}, {BASE.inputs} channels in, {BASE.outputs} out"
    drawing.suptitle(
        f"A 3×3 convolution, {threads} threads. Where it is not varied: {fixed}",
        x=0.012, ha="left", fontsize=11, color=style.INK,
    )  # fmt: skip
    drawing.tight_layout(rect=(0, 0, 1, 1.02))
    style.save(drawing, path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conv_scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds through all shapes (default: 15)")
    parser.add_argument("--threads", type=int, default=2, help="compared with one (default: 2)")
    parser.add_argument("--output", type=Path, default=Path("results/conv_scaling.json"))
    given = parser.parse_args()
    times = measure(given.rounds, given.threads)
    found = summary(times, given.threads)
    for name, powers in found["exponents"].items():
        print(f"{name:13}", *(f"{KINDS[kind]} ~ n^{power:.2f}" for kind, power in powers.items()), sep="  ")
    print(
        f"1 -> {given.threads} threads ",
        *(f"{KINDS[k]} × {s:.2f}" for k, s in found["speed_up"].items()),
        sep="  ",
    )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    if style.available():
        draw(times, found, given.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
