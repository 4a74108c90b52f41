"""`tito`, the command line around TinyTorch: what is installed, what is met, what to do next.

A package beside the library and not in it, so that `tito --help` need not wait for Numba. What it runs
(milestones, the grader, benchmarks) are programs of the checkout, started as such.
"""

from __future__ import annotations

import io
import sys


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that says ASCII still gets something
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    from tito.app import app

    app()
