"""`tito checkpoint`: the modules that students build, and which milestone is in reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from tito.checkout import answer, program

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
SIGNS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "untested": "[dim]·[/]"}


def _modules() -> dict[str, Any]:
    return answer("-m", "grading.checkpoints", "list", "--json")


@app.command()
def status(as_json: Json = False) -> None:
    """What is done, what fails and why, what is next, and which milestone is in reach."""
    found = _modules()
    if as_json:
        print(json.dumps(found))
        return
    console = Console()
    for module in found["modules"]:
        console.print(
            f"{SIGNS[module['status']]} {module['number']:02} {escape(module['title'])}", highlight=False
        )
        for failing in module["failing"][:3]:
            console.print(f"     [red]{escape(failing['message'].splitlines()[0])}[/]", highlight=False)
    if found["next"] is not None:
        console.print(f"\nnext: tito checkpoint test {found['next']}")
    for milestone in found["milestones"]:
        left = [number for number in milestone["needs"] if number not in milestone["done"]]
        if milestone["in_reach"]:
            console.print(
                f"milestone {milestone['number']} is in reach: tito milestone run {milestone['number']}"
            )
        elif left:
            console.print(
                f"[dim]milestone {milestone['number']} needs modules {', '.join(map(str, left))}[/]"
            )


@app.command()
def timeline() -> None:
    """The modules in a row, with the milestones that they lead to."""
    found, console = _modules(), Console()
    unlocks = {m["needs"][-1]: m for m in found["milestones"]}
    for module in found["modules"]:
        tail = ""
        if module["number"] in unlocks:
            m = unlocks[module["number"]]
            tail = f"   [bold]→ milestone {m['number']}, {escape(m['name'])}[/]"
        console.print(
            f"{SIGNS[module['status']]} {module['number']:02} {escape(module['title'])}{tail}",
            highlight=False,
        )


@app.command(epilog="Example:  tito checkpoint test 4 --implementation my_framework.py")
def test(
    number: Annotated[int, typer.Argument(help="of the module, 1 to 20", min=1, max=20)],
    implementation: Annotated[Path | None, typer.Option(help="yours; default: the library itself")] = None,
    as_json: Json = False,
) -> None:
    """Try one module's checks on an implementation."""
    flags = [] if implementation is None else ["--implementation", str(implementation.resolve())]
    raise typer.Exit(
        program("-m", "grading.checkpoints", "test", str(number), *flags, *(["--json"] if as_json else []))
    )
