"""`python -m benchmarks [name ...]`: measure the workloads whose names begin with one of `name`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.runner import Runner
from benchmarks.suite import WORKLOADS
from benchmarks.workload import FRAMEWORKS, OURS, Workload

MEMORY = ("peak MiB\nours / torch", "resident MiB\nours / torch")


def parse() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="beginnings of workload names, as in: mlp 'gemm 512' (default: all that take no minutes)",
    )
    parser.add_argument(
        "--threads", type=int, default=cores, help=f"threads for every framework (default: {cores})"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds through all frameworks (default: 5)")
    parser.add_argument("--output", type=Path, default=Path("results/bench.json"))
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    return parser.parse_args()


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value * 1e3:.0f} µs"
        if value < 1
        else f"{value:.2f} ms"
        if value < 1000
        else f"{value / 1e3:.2f} s"
    )


def _mib(ours: float | None, peers: dict[str, float]) -> str:
    return (
        " / ".join(f"{value:.2f}" for value in (ours, peers.get("torch-eager")) if value is not None) or "-"
    )


def chosen(names: list[str]) -> list[Workload]:
    """The workloads whose names begin with one of `names`; without names, all but those of minutes."""
    if not names:
        return [workload for workload in WORKLOADS.values() if not workload.by_name]
    return [workload for workload in WORKLOADS.values() if workload.name.startswith(tuple(names))]


def table(rows: list[dict[str, Any]], threads: int) -> Table:
    """What people read: ours, every peer, the ratio to the best of them."""
    peers = [f for f in FRAMEWORKS if f != OURS and any(f in row["peers"] for row in rows)]
    result = Table(
        title=f"{threads} threads; medians of interleaved rounds; × above 1: faster than the best peer"
    )
    for column in ("workload", OURS, *peers, "× best peer", "GFLOP/s", "of peak", *MEMORY):
        result.add_column(column, justify="left" if column == "workload" else "right", no_wrap=True)
    for row in rows:
        ratio, fraction = row["ratio_to_best_peer"], row["fraction_of_peak"]
        result.add_row(
            row["workload"] + (" (not measured)" if "reason" in row else ""),
            _ms(row["ours_ms"]),
            *(_ms(row["peers"].get(peer)) for peer in peers),
            "-" if ratio is None else f"[{'green' if ratio >= 1 else 'red'}]{ratio:.2f}",
            "-" if row["gflops"] is None else f"{row['gflops']:.0f}",
            "-" if fraction is None else f"{fraction:.0%}",
            _mib(row["peak_mib"], row["peer_peak_mib"]),
            _mib(row["resident_mib"].get(OURS), row["resident_mib"]),
        )
    return result


def main() -> int:
    arguments = parse()
    workloads = chosen(arguments.names)
    if arguments.list or not workloads:
        print("\n".join(WORKLOADS))
        return 0 if arguments.list else 2
    console = Console(width=None if sys.stdout.isatty() else 240)
    rows = []
    with Runner(arguments.threads, arguments.rounds, console.print) as runner:
        if runner.missing:
            console.print(f"not installed, so not measured: {', '.join(runner.missing)} (make oracle)")
        for workload in workloads:
            with console.status(workload.name):
                rows.append(runner.measure(workload))
    console.print(table(rows, arguments.threads))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(rows, indent=1) + "\n")
    console.print(f"written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
