"""All commands of `tito`."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from tito.checkout import fail, program, root
from tito.groups import checkpoint, data, milestone, system

app = typer.Typer(
    name="tito",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="The tool around TinyTorch: what is installed, what is met, what to do next.",
    epilog="Examples:  tito system doctor  ·  tito milestone run 3  ·  tito grade examples/micro.py",
)
app.add_typer(system.app, name="system", help="This machine: what is installed, and how fast it is.")
app.add_typer(checkpoint.app, name="checkpoint", help="What you build, module by module.")
app.add_typer(milestone.app, name="milestone", help="The six milestones, from 1957 to 2024.")
app.add_typer(data.app, name="data", help="Datasets: where they are, whether they are right.")

Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(
    context_settings=PASS_ON, epilog="Example:  tito grade my_framework/ --milestones 1,2 --output graded"
)
def grade(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="a file, a package, a folder of submissions; or: export")],
) -> None:
    """Grade a submission, or a class of them.

    A folder without Python files of its own, but with several entries, is a class. `tito grade export
    gradescope|github --output DIR` writes what an autograder needs. All other flags are the grader's: see
    `python -m grading --help`.
    """
    given = [str(Path(path).resolve()) if Path(path).exists() else path, *map(_absolute, context.args)]
    if path == "export":
        given = ["export", *map(_absolute, context.args)]
    elif _is_class(Path(path)):
        given = ["class", *given]
    raise typer.Exit(program("-m", "grading", *given))


def _absolute(argument: str) -> str:
    """The grader runs in the checkout: what names a file from here has to name it from there."""
    return str(Path(argument).resolve()) if "/" in argument or Path(argument).exists() else argument


def _is_class(path: Path) -> bool:
    return path.is_dir() and not list(path.glob("*.py")) and len(list(path.iterdir())) > 1


@app.command(context_settings=PASS_ON, epilog="Example:  tito bench gemm conv")
def bench(context: typer.Context) -> None:
    """Measure this library beside PyTorch and JAX, where these are installed."""
    raise typer.Exit(program("-m", "benchmarks", *context.args))


@app.command(context_settings=PASS_ON, epilog="Example:  tito profile train.py --epochs 1")
def profile(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(help="a Python script that uses tinytorch")],
    output: Annotated[Path, typer.Option(help="where the trace goes")] = Path("trace.json"),
) -> None:
    """Run a script and say which operations took the time.

    The trace opens in Perfetto and in Chrome's about:tracing.
    """
    if not script.is_file():
        fail(f"expected a Python script, got {script}: there is none")
    from tito.profiling import profile_script

    raise typer.Exit(profile_script(script, context.args, output))


@app.command()
def version(as_json: Json = False) -> None:
    """Versions of TinyTorch and of what it computes with."""
    found = {name: metadata.version(name) for name in ("tinytorch", "numpy", "numba", "llvmlite")}
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name} {number}" for name, number in found.items()))


@app.command(hidden=True)
def where() -> None:
    """The checkout that tito works in."""
    print(root())
