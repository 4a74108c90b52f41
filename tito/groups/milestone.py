"""`tito milestone`: what there is, what it asks, and what has been met."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tito.checkout import MET, milestones, program, result_of, root, scripts

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
Number = Annotated[int, typer.Argument(help="of the milestone, 1 to 6", min=1, max=6)]
NAMES = {
    1: "Perceptron",
    2: "XOR",
    3: "MLP revival",
    4: "CNN revolution",
    5: "Transformer era",
    6: "Systems age",
}
YEARS = {1: 1957, 2: 1969, 3: 1986, 4: 1998, 5: 2017, 6: 2024}
MODULES = {1: "2 to 4", 2: "2 to 6", 3: "2 to 8", 4: "2 to 10", 5: "2 to 14", 6: "15 to 20"}


def _state(entry: dict[str, Any]) -> tuple[str, Any]:
    """met, missed or untried, and the value that was reached."""
    result = result_of(entry)
    if result is None or result.get("passed") is None:
        return "untried", None
    return ("met" if result["passed"] else "missed"), result.get("value")


def _number(value: Any, metric: str) -> str:
    if value is None:
        return "–"
    if metric in ("accuracy", "exact", "accepted"):
        return f"{100 * value:.4g} %"
    return f"{value:.4g}" + {"times_smaller": " ×", "validation_loss": " nats"}.get(metric, "")


def _rows() -> list[dict[str, Any]]:
    """One for each script: what a variant of it reaches stands in the same file."""
    rows = []
    for number in milestones():
        for entry in milestones()[number]:
            if any(row["script"] == entry["script"] for row in rows):
                continue
            state, value = _state(entry)
            row = {"number": number, "year": YEARS[number], "milestone": NAMES[number], "name": entry["name"]}
            row |= {"script": entry["script"], "dataset": entry["dataset"], "pass": entry["pass"]}
            rows.append({**row, "metric": entry.get("metric", "accuracy"), "state": state, "value": value})
    return rows


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The milestones, their scripts and data."""
    rows = _rows()
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "milestone", "script", "data"):
        table.add_column(heading)
    last = 0
    for row in rows:
        first = row["number"] != last
        last = row["number"]
        table.add_row(
            str(row["year"]) if first else "", row["milestone"] if first else "", row["script"].split("/")[1],
            row["dataset"],
        )  # fmt: skip
    Console().print(table)


@app.command()
def info(number: Number, as_json: Json = False) -> None:
    """What a milestone asks, which modules it needs, and how to run it."""
    rows = [row for row in _rows() if row["number"] == number]
    if as_json:
        print(json.dumps(rows))
        return
    console = Console()
    console.print(f"[bold]{number}. {NAMES[number]}[/], {YEARS[number]}   needs modules {MODULES[number]}\n")
    for row in rows:
        console.print(f"  {row['script']}   {row['dataset']}, to pass {_number(row['pass'], row['metric'])}")
    readme = root() / "milestones" / rows[0]["script"].split("/")[0] / "README.md"
    if readme.is_file():
        console.print(f"\n  its story: {readme.relative_to(root())}")
    console.print(f"  train and grade it: make milestone-{number}   only train: tito milestone run {number}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example:  tito milestone run 3 --demo-mode",
)
def run(context: typer.Context, number: Number) -> None:
    """Run all scripts of a milestone; other flags are passed on to them."""
    worst = MET
    for script in scripts(number):
        worst = max(worst, program(f"milestones/{script}", *context.args))
    raise typer.Exit(worst)


@app.command()
def status(as_json: Json = False) -> None:
    """What was reached when each script last ran here."""
    rows = _rows()
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("script", no_wrap=True)
    for heading in ("reached", "to pass"):
        table.add_column(heading, justify="right", no_wrap=True)
    marks = {"met": "[green]✓[/]", "missed": "[red]✗[/]", "untried": "[dim]·[/]"}
    for row in rows:
        table.add_row(
            marks[row["state"]], f"{row['number']} {row['script'].split('/')[1]}",
            _number(row["value"], row["metric"]), _number(row["pass"], row["metric"]),
        )  # fmt: skip
    Console().print(table)


@app.command()
def timeline() -> None:
    """The six milestones by year, with what has been met."""
    console, rows = Console(), _rows()
    signs = {"met": "[green]●[/]", "missed": "[red]●[/]", "untried": "[dim]○[/]"}
    for number in NAMES:
        states = [row["state"] for row in rows if row["number"] == number]
        state = "met" if "met" in states else "missed" if "missed" in states else "untried"
        tail = "" if number == len(NAMES) else "\n     [dim]│[/]"
        console.print(
            f"{YEARS[number]} {signs[state]}  {NAMES[number]}  [dim]{state}[/]{tail}", highlight=False
        )
