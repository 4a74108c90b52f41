"""The check of all datasets: load each one, say where it is and what is in it, go on when one is missing."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from .cifar10 import CIFAR10_ARCHIVE, CIFAR10_MEMBERS, cifar10_location
from .fashion_mnist import FASHION_MNIST_FILES
from .images import ImageDataset
from .manager import DatasetManager
from .mnist import MNIST_FILES
from .registry import DatasetUnavailable, Resource
from .tiny_shakespeare import TINY_SHAKESPEARE_FILE

__all__ = ["DATASETS", "Report", "check", "main"]


@dataclass(frozen=True)
class Report:
    """What :func:`check` found out about one dataset; ``error`` is None when it is there and right."""

    name: str
    where: str
    bytes: int
    hashes: str
    contents: str
    balance: str
    seconds: float
    error: DatasetUnavailable | None = None


def check(name: str, manager: DatasetManager) -> Report:
    """Load one dataset (a key of :data:`DATASETS`), downloading it when it is missing and allowed."""
    load, locate = DATASETS[name]
    start = time.perf_counter()
    try:
        data = load(manager)
    except DatasetUnavailable as error:
        return Report(name, str(manager.root), 0, "missing", "", "", time.perf_counter() - start, error)
    seconds = time.perf_counter() - start
    paths, hashes = locate(manager)
    where = str(paths[0].parent) if len(paths) > 1 else str(paths[0]) if paths else "generated"
    size = sum(path.stat().st_size for path in paths)
    return Report(name, where, size, hashes, *_describe(data), seconds)


def _describe(data: ImageDataset | str | tuple[np.ndarray, np.ndarray]) -> tuple[str, str]:
    """Shapes, and how even the classes are."""
    if isinstance(data, str):
        return f"{len(data):,} characters", f"{len(set(data))} distinct"
    if isinstance(data, ImageDataset):
        return (
            "\n".join(_shape(images) for images, _ in data),
            "\n".join(_per_class(labels, len(data.classes)) for _, labels in data),
        )
    points, labels = data
    return _shape(points), _per_class(labels[:, 0].astype(np.int64), 2)


def _shape(array: np.ndarray) -> str:
    return "×".join(f"{size:,}" for size in array.shape)


def _per_class(labels: np.ndarray, classes: int) -> str:
    counts = np.bincount(labels, minlength=classes)
    return f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,}–{counts.max():,}"


_Load = Callable[[DatasetManager], ImageDataset | str | tuple[np.ndarray, np.ndarray]]
_Locate = Callable[[DatasetManager], tuple[list[Path], str]]


def _locate_cifar10(manager: DatasetManager) -> tuple[list[Path], str]:
    where = cifar10_location(manager.root, offline=True)
    if where.is_dir():
        total = len(CIFAR10_MEMBERS)
        return [where / name for name in CIFAR10_MEMBERS], f"{total}/{total} ok"
    return [manager.root / CIFAR10_ARCHIVE.path], "1/1 ok"


def _locate_digits(_: DatasetManager) -> tuple[list[Path], str]:
    return [Path(str(files("tinytorch.datasets").joinpath("digits.npz")))], "embedded"


def _locate_files(*resources: Resource) -> _Locate:
    checked = f"{len(resources)}/{len(resources)} ok"
    return lambda manager: ([manager.root / resource.path for resource in resources], checked)


def _no_file(_: DatasetManager) -> tuple[list[Path], str]:
    return [], "no file"


DATASETS: dict[str, tuple[_Load, _Locate]] = {
    "perceptron": (DatasetManager.get_perceptron_data, _no_file),
    "xor": (DatasetManager.get_xor_data, _no_file),
    "digits": (DatasetManager.get_digits, _locate_digits),
    "mnist": (DatasetManager.get_mnist, _locate_files(*MNIST_FILES)),
    "fashion-mnist": (DatasetManager.get_fashion_mnist, _locate_files(*FASHION_MNIST_FILES)),
    "cifar-10": (DatasetManager.get_cifar10, _locate_cifar10),
    "tinyshakespeare": (DatasetManager.get_tinyshakespeare, _locate_files(TINY_SHAKESPEARE_FILE)),
}
"""Every dataset: how to load it, and where its files are once it is loaded (which checked their hashes)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the named datasets, or all, and print a table. Returns 0, or 3 when one cannot be had."""
    names = ", ".join(DATASETS)
    parser = argparse.ArgumentParser(description="Check the datasets; download what is missing.")
    parser.add_argument("datasets", nargs="*", metavar="dataset", help=f"any of {names}; default: all")
    parser.add_argument(
        "--data-dir", help="data folder (default: TINYTORCH_DATA_DIR, else the user's cache folder)"
    )
    parser.add_argument("--offline", action="store_true", default=None, help="download nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.datasets if name not in DATASETS]
    if unknown:
        parser.error(f"expected any of {names}, got {', '.join(unknown)}")

    manager = DatasetManager(options.data_dir, options.offline)
    reports = [check(name, manager) for name in options.datasets or DATASETS]
    _show(reports, manager)
    return 3 if any(report.error for report in reports) else 0


def _show(reports: Sequence[Report], manager: DatasetManager) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(title="Datasets (training, then test)", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in ("dataset", "bytes", "hashes", "contents", "per class", "load"):
        numbers = heading in ("bytes", "load")
        table.add_column(heading, no_wrap=True, justify="right" if numbers else "left")
    for report in reports:
        style = "red" if report.error else "green"
        table.add_row(
            report.name,
            f"{report.bytes:,}" if report.bytes else "",
            Text(report.hashes, style),
            report.contents,
            report.balance,
            f"{report.seconds:.2f} s",
        )
    console.print(table)
    # Paths and messages go below, unwrapped, so that they can be copied.
    lines = [f"data folder: {manager.root}"]
    lines += [f"  {report.name:<16} {report.where}" for report in reports if report.error is None]
    lines += [f"\n{report.name}: {report.error}" for report in reports if report.error is not None]
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
