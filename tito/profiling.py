"""`tito profile`: a script under the recorder."""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tinytorch.systems import record

ROWS = 15


def profile_script(script: Path, arguments: Sequence[str], output: Path) -> int:
    """Run it as `python script` would; returns its exit code."""
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    code, began = 0, time.perf_counter()
    with record(output) as trace:
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    seconds = time.perf_counter() - began
    console = Console(stderr=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("operation", "calls", "seconds", "of all"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for name, calls, spent in totals(trace)[:ROWS]:
        table.add_row(name, f"{calls:,}", f"{spent:.3f}", f"{spent / seconds:.1%}")
    console.print(table)
    console.print(f"{seconds:.2f} s in all; trace in {output}, for Perfetto or chrome://tracing")
    return code
