"""The story in the terminal: rich where there is one, plain lines elsewhere, silence with `--json`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tinytorch.milestone.flags import Settings
from tinytorch.milestone.milestone import Data, Milestone
from tinytorch.milestone.result import Result
from tinytorch.milestone.run import Epoch, Run, Watcher
from tinytorch.milestone.studies import Operations
from tinytorch.milestone.telling import Telling
from tinytorch.systems import LayerProfile, ModelProfile

REFRESH_SECONDS = 0.1  # the bar is drawn by the training loop itself, at most ten times a second
PLAIN_LINES = 10  # epochs that are reported where there is no terminal
FEW_EPOCHS = 12  # up to so many each leaves a line above the bar


class Report(Telling, Watcher):
    """Prints one section after the other."""

    def __init__(self, milestone: Milestone, settings: Settings, console: Console | None = None):
        super().__init__(milestone, settings, console)
        self.milestone = milestone
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._drawn = 0.0

    # --- before training --------------------------------------------------------------------------------

    def dataset(self, data: Data, seconds: float) -> None:
        """What is learned from."""
        (train, _), (test, _) = data.train, data.test
        each = "×".join(map(str, train.shape[1:]))
        self.console.print(
            f"[bold]Data[/]  {self.milestone.dataset}, {each} numbers each ({train.dtype}), "
            f"{len(train):,} to learn from, {len(test):,} to ask about, loaded in {_seconds(seconds)}\n"
        )

    def architecture(self, profile: ModelProfile) -> None:
        """The layers: what each of them holds and what it costs."""
        table = Table(
            box=SIMPLE_HEAD, title="The network, for one example", title_justify="left", title_style="bold"
        )
        table.add_column("layer")
        for heading in ("result", "parameters", "FLOPs", "bytes of\nweights", "bytes of\nresult"):
            table.add_column(heading, justify="right", no_wrap=True)
        layers, repeats = _unrepeated(profile.layers)
        for layer in layers:
            shape = "×".join(map(str, layer.output_shape[1:])) or "1"
            numbers = (layer.params, layer.flops, layer.param_bytes, layer.output_bytes)
            table.add_row(
                f"{layer.kind} [dim]{layer.name}[/]", shape, *(_count(n) if n else "–" for n in numbers)
            )
        for names, layer in repeats.items():
            table.add_row(f"[dim]{names}, each like {layer}[/]", *[""] * 5)
        table.add_section()
        sums = (profile.params, profile.flops, profile.param_bytes, profile.output_bytes)
        table.add_row("[bold]in all[/]", "", *(f"[bold]{_count(n)}[/]" for n in sums))
        self.console.print(table)

    def before(self, value: float, picture: Sequence[str]) -> None:
        """What the model can do before it has learned anything."""
        self.console.print(f"[bold]Before training[/]  {self.milestone.metric.told(value)}")
        self.show(picture)

    # --- while training ---------------------------------------------------------------------------------

    @contextmanager
    def training(self, run: Run) -> Iterator[None]:
        """A live bar, or plain lines, for the epochs inside the block."""
        steps = f"{run.steps_per_epoch:,} step{'s' if run.steps_per_epoch > 1 else ''}"
        recipe = f"{run.epochs} epochs × {steps}, batch {run.batch_size:,}, rate {run.lr:g}, seed {run.seed}"
        self.console.print(f"[bold]Training[/]  {recipe}, threads {self.settings.threads}")
        if not self.console.is_terminal or self.settings.json:
            yield
            return
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("test [green]{task.fields[value]}[/]"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, auto_refresh=False) as self._progress:
            self._task = self._progress.add_task(
                "", total=run.epochs * run.steps_per_epoch, epoch=f"0/{run.epochs}", loss="–", rate="–",
                value="–",
            )  # fmt: skip
            try:
                yield
            finally:
                self._progress.refresh()
        self._progress = None

    def step(self, run: Run, epoch: Epoch) -> None:
        """Move the bar."""
        if self._progress is None or self._drawn_just_now():
            return
        done = (epoch.number - 1) * run.steps_per_epoch + epoch.steps
        rate = self._rate(epoch.steps * run.batch_size, epoch.seconds)
        self._update(
            completed=done, epoch=f"{epoch.number}/{run.epochs}", loss=f"{epoch.loss:.4f}", rate=rate
        )

    def epoch(self, run: Run, entry: dict[str, Any]) -> None:
        """An epoch is over."""
        number, value = entry["epoch"], self.milestone.metric.text(entry[self.milestone.metric.name])
        line = (
            f"  epoch {number:>{len(str(run.epochs))}}/{run.epochs}  loss {entry['loss']:.4f}  "
            f"test {value}  {_seconds(entry['seconds'])}, "
            f"{self._rate(len(run.data.train[0]), entry['seconds'])}"
        )
        if self._progress is not None:
            self._update(
                completed=number * run.steps_per_epoch,
                epoch=f"{number}/{run.epochs}",
                loss=f"{entry['loss']:.4f}",
                value=value,
            )
            if run.epochs <= FEW_EPOCHS:
                self.console.print(line)
        elif number == run.epochs or number == 1 or number % -(-run.epochs // PLAIN_LINES) == 0:
            self.console.print(line)
        if number in self.milestone.show_at and number < run.epochs and self.milestone.show is not None:
            self.show(self.milestone.show(run))

    def _rate(self, examples: int, seconds: float) -> str:
        return f"{examples / max(seconds, 1e-9):,.0f} {self.milestone.examples}/s"

    def _update(self, **fields: Any) -> None:
        """Set the bar's fields, and draw it, but not more often than anybody can see."""
        assert self._progress is not None
        self._progress.update(self._task, **fields)
        if not self._drawn_just_now():
            self._progress.refresh()
            self._drawn = time.perf_counter()

    def _drawn_just_now(self) -> bool:
        return time.perf_counter() - self._drawn < REFRESH_SECONDS

    # --- after training ---------------------------------------------------------------------------------

    def pretrained(self, path: Path, metadata: dict[str, Any]) -> None:
        """Where the weights come from."""
        metric = self.milestone.metric
        told = f"{path.name}, {metric.text(metadata[metric.name])} when it was made by"
        self.console.print(f"[bold]Pre-trained weights[/]  {told}")
        self.unwrapped(f"  {metadata['command']}")

    def after(self, before: float, run: Run, result: Result, picture: Sequence[str]) -> None:
        """What it can do now, and which marks that reaches."""
        assert result.value is not None
        name = "After training" if result.epochs else "With them"
        metric = self.milestone.metric
        reached = f"{metric.told(result.value)}, {metric.text(before)} before"
        self.console.print(f"\n[bold]{name}[/]  {reached}")
        self.show(picture)
        marks = [
            f"[green]✓ {name} {metric.mark_text(mark)}[/]"
            if metric.reaches(result.value, mark)
            else f"[red]✗ {name} {metric.mark_text(mark)}[/]"
            for name, mark in self.milestone.marks.items()
        ]
        self.console.print("  " + "   ".join(marks) + "\n")
        if any(entry["loss"] != entry["loss"] for entry in run.history):
            self.console.print("[yellow]the loss became NaN: the learning rate is probably too large[/]\n")

    def measurements(
        self,
        result: Result,
        data: Data,
        training_flops: float | None,
        warmup: tuple[float, float],
        process_peak: int | None,
    ) -> None:
        """Time, memory and arithmetic.

        training_flops: of a step, for each example; None where nothing was trained. warmup: seconds until the
        kernels were ready, and how many of them went into compiling.
        """
        table = Table(
            box=SIMPLE_HEAD, show_header=False, title="Measured", title_justify="left", title_style="bold"
        )
        table.add_column("what")
        table.add_column("value", justify="right")
        table.add_column("note", style="dim")
        if training_flops is not None:
            assert result.train_seconds is not None
            trained = len(data.train[0]) * result.epochs
            rate = trained / max(result.train_seconds, 1e-9)
            speed = f"{rate:,.0f} {self.milestone.examples}/s, {_flops(training_flops * rate)}/s"
            table.add_row("training", _seconds(result.train_seconds), speed)
        assert result.eval_seconds is not None
        table.add_row(
            "evaluation", _seconds(result.eval_seconds), f"{len(data.test[0]):,} {self.milestone.examples}"
        )
        ready, compiling = map(_seconds, warmup)
        table.add_row("kernels ready", ready, f"of which compiling {compiling}")
        table.add_row("parameters", f"{result.params:,}", f"{4 * result.params:,} bytes in float32")
        table.add_row("FLOPs, forward", f"{result.flops_forward:,}", "one example")
        if training_flops is not None:
            table.add_row("FLOPs, training", f"{training_flops:,.0f}", "one example, forward and backward")
        what = "three training steps" if result.epochs else "the evaluation"
        table.add_row("peak memory", f"{result.peak_mib:.2f} MiB", f"{what}, without the dataset")
        if process_peak is not None:
            table.add_row(
                "process", f"{process_peak / 2**20:.0f} MiB", "at most: Python, libraries, data and all"
            )
        self.console.print(table)

    def scaling(self, rows: Sequence[dict[str, Any]]) -> None:
        """What growing the model costs and brings."""
        m = self.milestone
        table = Table(
            box=SIMPLE_HEAD,
            title=f"Scaling, {m.scaling_epochs} epoch{'s' if m.scaling_epochs > 1 else ''} each",
            title_justify="left",
            title_style="bold",
        )
        for heading in (
            m.size_label,
            "parameters",
            "FLOPs",
            "s/epoch",
            "peak MiB",
            m.metric.name,
        ):
            table.add_column(heading, justify="right")
        for row in rows:
            table.add_row(
                str(row["size"]),
                f"{row['params']:,}",
                f"{row['flops_forward']:,}",
                f"{row['seconds_per_epoch']:.4f}",
                f"{row['peak_mib']:.2f}",
                m.metric.text(row[m.metric.name]),
            )
        self.console.print(table)

    def profile(self, found: Operations) -> None:
        """Which operations the time of a training step goes to."""
        total = sum(op.seconds for op in found.ops) or 1.0
        table = Table(
            box=SIMPLE_HEAD,
            title=f"Where {found.steps} training steps spend their time, with the backward pass op by op",
            title_justify="left",
            title_style="bold",
        )
        table.add_column("operation", no_wrap=True)
        for heading in ("calls", "time", "FLOPs", "bytes", "FLOPs/byte"):
            table.add_column(heading, justify="right")
        for op in found.ops:
            intensity = f"{op.flops / op.bytes:.2f}" if op.bytes and op.flops else "–"
            counts = (_count(n) if op.calls else "–" for n in (op.flops, op.bytes))
            table.add_row(
                op.name, f"{op.calls:,}" if op.calls else "–", f"{op.seconds / total:.1%}", *counts, intensity
            )
        self.console.print(table)
        self.console.print("  between operations: the graph, the optimiser, and Python itself")
        latencies = found.latency_seconds.items()
        times = ", ".join(f"{1e6 * seconds:,.0f} µs for {batch:,}" for batch, seconds in latencies)
        self.console.print(f"  a forward pass takes {times} (median of 50)\n")


def _unrepeated(layers: Sequence[LayerProfile]) -> tuple[list[LayerProfile], dict[str, str]]:
    """The layers without the blocks that repeat the one before (`h.1.` like `h.0.`), and what was left out:
    "h.1 to h.3" -> "h.0"."""
    blocks: dict[str, list[LayerProfile]] = {}
    for layer in layers:
        numbered = re.match(r"(.*?\.\d+)\.", layer.name)
        blocks.setdefault(numbered[1] if numbered else layer.name, []).append(layer)
    shown: list[LayerProfile] = []
    repeats: dict[str, list[str]] = {}
    like, last = "", []
    for name, block in blocks.items():
        kinds = [replace(layer, name=layer.name.removeprefix(name)) for layer in block]
        if len(block) > 1 and kinds == last:
            repeats[like].append(name)
            continue
        shown += block
        like, last, repeats[name] = name, kinds, []
    return shown, {" to ".join(dict.fromkeys((n[0], n[-1]))): like for like, n in repeats.items() if n}


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.2f} ms"


def _flops(rate: float) -> str:
    for unit, size in (("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)):
        if rate >= size:
            return f"{rate / size:.1f} {unit}"
    return f"{rate:,.0f} FLOP"


def _count(n: float) -> str:
    """A whole number, in millions or billions from ten million up."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if n >= 10 * size:
            return f"{n / size:,.2f} {unit}"
    return f"{n:,.0f}"
