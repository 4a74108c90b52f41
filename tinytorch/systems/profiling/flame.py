"""What memray sees of a piece of work: its peak, and a flame graph of who held the memory then."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytorch.kernels import memory

# A page under this policy cannot ask the network for anything, whatever its scripts hold.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; base-uri 'none'; form-action 'none'"
)
_HEAD = "<head>"


def memray_available() -> bool:
    """Whether memray is installed; there is none for Windows."""
    return importlib.util.find_spec("memray") is not None


def memray_peak(function: Callable[[], Any], *, warmup: int = 1) -> int:
    """The most bytes that a call of `function` has allocated at one time, counted by memray.

    Unlike `peak_memory` it sees what C code allocates as well. What existed before is not counted; the pool
    of buffers is emptied first. warmup: calls before, so that kernels are compiled and loaded.

    Raises ModuleNotFoundError where memray is not installed.
    """
    with _recorded("memray_peak", function, warmup) as reader:
        return reader.metadata.peak_memory


def memory_flame_graph(function: Callable[[], Any], path: str | Path, *, warmup: int = 1) -> Path:
    """Write who held memory when a call of `function` held most, as one HTML page; returns its path.

    Each bar is a line of code, as wide as the bytes allocated below it. The page is memray's own, about 5 MB:
    scripts and styles are in it, and a policy that forbids it to load anything from elsewhere.
    warmup: calls before, so that kernels are compiled and loaded.

    Raises ModuleNotFoundError where memray is not installed.
    """
    with _recorded("memory_flame_graph", function, warmup) as reader:
        from memray.reporters.flamegraph import FlameGraphReporter

        reporter = FlameGraphReporter.from_snapshot(
            reader.get_high_watermark_allocation_records(merge_threads=True),
            memory_records=tuple(reader.get_memory_snapshots()),
            native_traces=False,
        )
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            reporter.render(
                file,
                metadata=reader.metadata,
                show_memory_leaks=False,
                merge_threads=True,
                inverted=False,
                no_web=True,
            )
            file.seek(0)
            page = file.read()
    if _HEAD not in page:
        raise RuntimeError(f"memory_flame_graph: expected {_HEAD} in memray's page, to forbid it the network")
    policy = f'{_HEAD}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    path.write_text(page.replace(_HEAD, policy, 1), encoding="utf-8")
    return path


@contextmanager
def _recorded(name: str, function: Callable[[], Any], warmup: int) -> Iterator[Any]:
    """A memray reader over what one call of `function` allocated."""
    if not memray_available():
        raise ModuleNotFoundError(
            f"{name}: expected memray, which is not installed. Get it with: pip install memray (Linux and "
            "macOS). peak_memory() counts with Python's own tracemalloc, without a flame graph."
        )
    import memray

    for _ in range(warmup):
        function()
    memory.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "capture.bin"
        with memray.Tracker(capture):
            result = function()  # kept alive: it is part of what the call holds
        del result
        with memray.FileReader(capture) as reader:
            yield reader
