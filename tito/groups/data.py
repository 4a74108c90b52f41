"""`tito data`: where datasets are, whether their files are right, and getting those that are missing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tito.checkout import NO_DATA

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
Names = Annotated[list[str] | None, typer.Argument(help="datasets (default: all)")]


def _check(names: list[str]) -> int:
    from tinytorch.datasets.check import main

    return main(names)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The datasets, and which are there."""
    from tinytorch.datasets.registry import data_dir

    folder, found = data_dir(), {}
    for name, files in FILES.items():
        there = [file for file in files if (folder / file).exists()]
        found[name] = {
            "present": bool(there) or not files,
            "in": str(folder / files[0]) if files else "the package",
        }
    if as_json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(f"{'✓' if row['present'] else '·'} {name:18} {row['in']}")


FILES = {
    "digits": [], "two_gaussians": [], "xor": [], "grammar": [], "sequences": [],
    "mnist": ["mnist/train-images-idx3-ubyte.gz"],
    "fashion-mnist": ["fashion-mnist/train-images-idx3-ubyte.gz"],
    "cifar-10": ["cifar-10/cifar-10-batches-py", "cifar-10/cifar-10-python.tar.gz"],
    "tiny-shakespeare": ["tinyshakespeare/input.txt"],
}  # fmt: skip


@app.command(epilog="Example:  tito data download mnist")
def download(names: Names = None) -> None:
    """Get what is missing, and check what is there. Exit code 3 where one cannot be had."""
    raise typer.Exit(_check(names or []))


@app.command()
def verify(names: Names = None) -> None:
    """Read every file that is there and compare its hash, without the network."""
    import os

    os.environ["TINYTORCH_OFFLINE"] = "1"
    raise typer.Exit(NO_DATA if _check(names or []) else 0)


@app.command()
def path() -> None:
    """The folder that datasets are kept in; TINYTORCH_DATA_DIR names another."""
    from tinytorch.datasets.registry import data_dir

    print(data_dir())
