"""`tito system`: the machine, its speed, and the cache of compiled kernels."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
SIGNS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, how fast this machine is, and what to do about what is wrong.

    Exit code 1 where something will not work.
    """
    from tito.doctor import findings

    found = findings()
    if as_json:
        print(json.dumps([finding.__dict__ for finding in found]))
    else:
        console = Console()
        for finding in found:
            console.print(f"{SIGNS[finding.status]} {finding.what}: {escape(finding.found)}", highlight=False)
            if finding.advice:
                console.print(f"    → {escape(finding.advice)}", highlight=False)
    raise typer.Exit(1 if any(finding.status == "bad" for finding in found) else 0)


@app.command()
def warmup() -> None:
    """Compile the kernels of a training step, so that a first run need not."""
    import tinytorch as tt
    from tinytorch.kernels._jit import cache_folder, compiled_kernels

    seconds = tt.warmup()
    print(f"{compiled_kernels()} kernels compiled, in {seconds:.1f} s; kept in {cache_folder()}")


@app.command("clear-cache")
def clear_cache(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Delete all compiled kernels; the next run compiles them again."""
    from tinytorch.kernels._jit import cache_folder

    folder = cache_folder().parent
    if not folder.is_dir():
        print(f"nothing in {folder}")
        return
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if not yes and sys.stdin.isatty() and not typer.confirm(f"delete {size / 2**20:.0f} MiB in {folder}?"):
        raise typer.Exit(1)
    shutil.rmtree(folder)
    print(f"deleted {size / 2**20:.0f} MiB in {folder}")
