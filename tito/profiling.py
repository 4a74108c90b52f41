"""`tito profile`: a script under the recorder."""

from __future__ import annotations

import json
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tinytorch.systems import record

ROWS = 15
KINDS = ("forward", "backward", "optimizer")


def profile_script(script: Path, arguments: Sequence[str], output: Path) -> int:
    """Run it as `python script` would; returns its exit code."""
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    code, began = 0, time.perf_counter()
    with record(output):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    seconds = time.perf_counter() - began
    console = Console(stderr=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("operation", "calls", "seconds", "of all"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for name, calls, spent in totals(output)[:ROWS]:
        table.add_row(name, f"{calls:,}", f"{spent:.3f}", f"{spent / seconds:.1%}")
    console.print(table)
    console.print(f"{seconds:.2f} s in all; trace in {output}, for Perfetto or chrome://tracing")
    return code


def totals(trace: Path) -> list[tuple[str, int, float]]:
    """Of each operation in a trace, forward and back: its calls and seconds, the longest first."""
    sums: dict[str, list[float]] = {}
    for event in json.loads(trace.read_text("utf-8"))["traceEvents"]:
        if event.get("ph") == "X" and event.get("cat") in KINDS:
            found = sums.setdefault(event["name"], [0, 0.0])
            found[0] += 1
            found[1] += event["dur"] / 1e6
    rows = [(name, int(calls), spent) for name, (calls, spent) in sums.items()]
    return sorted(rows, key=lambda row: -row[2])
