"""From the flags to the exit code: what every milestone script does around its own training loop."""

from __future__ import annotations

import io
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import viz
from tinytorch.datasets import DatasetManager, DatasetUnavailable
from tinytorch.kernels._jit import compile_seconds
from tinytorch.milestone import flags, studies, weights
from tinytorch.milestone.milestone import Data, Milestone
from tinytorch.milestone.report import Report
from tinytorch.milestone.result import Result, to_json, versions, write
from tinytorch.milestone.run import Run
from tinytorch.milestone.script import Script
from tinytorch.systems import ModelProfile, process_peak, profile

MET, MISSED, USAGE, NO_DATA = 0, 1, 2, 3


def main(milestone: Milestone, arguments: Sequence[str] | None = None) -> int:
    """Run a milestone script. Returns its exit code; bad flags end with SystemExit(2)."""
    settings = flags.parse(milestone, arguments)
    milestone = milestone.choose(settings.chosen)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓ shows a question mark
    try:
        set_threads(settings.threads)
        report = Report(milestone, settings)
        if settings.mode == "test-only":
            return _test_only(milestone, settings, report)
        folder = result_folder(milestone, settings)
        return _Session(milestone, settings, report, folder).run()
    except UsageError as error:
        print(f"{milestone.script}.py: {error}", file=sys.stderr)
        return USAGE
    except (DatasetUnavailable, weights.WeightsUnavailable) as error:
        print(error, file=sys.stderr)
        return NO_DATA


class UsageError(Exception):
    """A flag that could be read and makes no sense here."""


def set_threads(threads: int) -> None:
    """As `--threads` says; UsageError for more than there are."""
    try:
        tt.set_num_threads(threads)
    except ValueError as error:
        raise UsageError(f"argument --threads: {error}") from error


def result_folder(script: Script, settings: flags.Settings) -> Path:
    """The folder for this run's files, cleared of an earlier one's: a crash must not leave a result behind,
    nor a run without plots the pictures of another."""
    folder = settings.output_dir / script.folder / script.script
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = ("result.json", "details.json", "weights.safetensors")
        for path in (
            *(folder / name for name in names),
            *folder.glob("*.png"),
            *folder.glob("models/*.safetensors"),
        ):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"--output-dir: expected a folder that can be written to, got {folder} ({error.strerror})"
        ) from error
    return folder


class _Session:
    """One run that learns or evaluates, from the data to the exit code."""

    def __init__(self, milestone: Milestone, settings: flags.Settings, report: Report, folder: Path):
        self.milestone, self.settings, self.report, self.folder = milestone, settings, report, folder
        self.details: dict[str, Any] = {}

    def run(self) -> int:
        milestone, settings, report = self.milestone, self.settings, self.report
        report.opening()
        began = time.perf_counter()
        data = milestone.load(DatasetManager(settings.data_dir), settings.seed)
        if settings.mode == "demo":
            count = round(milestone.demo_share * len(data.train[0]))
            data = replace(data, train=(data.train[0][:count], data.train[1][:count]))
        report.dataset(data, time.perf_counter() - began)
        began, compiled = time.perf_counter(), compile_seconds()
        if settings.trains:  # kernels are compiled, or loaded, before anything is timed
            self._new_run(data).rehearse(studies.STEPS)
        run = self._new_run(data)
        run.watcher = report
        first = tt.tensor(studies.as_input(milestone, data.test[0][:1]))
        costs = profile(run.model, first, backward=False, repeats=0)
        report.architecture(costs)
        before = run.evaluate(data.test)
        warmup, compiled = time.perf_counter() - began, compile_seconds() - compiled
        if milestone.prologue is not None:
            milestone.prologue(run)
        report.before(before, self._picture(run) if milestone.show_before else [])
        if settings.mode == "pretrained":
            metadata = weights.load(
                run.model, milestone.weights_file, _command(milestone, *_choice(settings), "--save-weights")
            )
            report.pretrained(milestone.weights_file, metadata)
            self.details["weights"] = metadata
        else:
            with report.training(run):
                run.train()
        result = self._measure(run, costs)
        assert result.value is not None
        report.after(before, run, result, self._picture(run))
        training_flops = studies.training_flops(run) if settings.trains else None
        report.measurements(result, data, training_flops, (warmup, compiled), process_peak())
        self.details.update(
            before=before,
            mark=milestone.metric.best(result.value, milestone.marks),
            flops_training=training_flops,
            warmup_seconds=warmup,
            process_peak_bytes=process_peak(),
            layers=[asdict(layer) for layer in costs.layers],
            mode=settings.mode,
            **settings.chosen,
        )
        self._extras(run)
        report.insight()
        result = self._write(run, result)
        if settings.json:
            print(result.to_json())
        elif milestone.talk is not None and sys.stdin.isatty() and report.console.is_terminal:
            milestone.talk(run)
        return MET if result.passed else MISSED

    def _new_run(self, data: Data) -> Run:
        s = self.settings
        return Run(
            self.milestone,
            data,
            epochs=s.epochs,
            batch_size=s.batch_size,
            lr=s.lr,
            seed=s.seed,
            folder=self.folder,
            options=s.options,
        )

    def _picture(self, run: Run) -> list[str]:
        return self.milestone.show(run) if self.milestone.show is not None and not self.settings.json else []

    def _measure(self, run: Run, costs: ModelProfile) -> Result:
        began = time.perf_counter()
        value = run.evaluate(run.data.test)
        seconds = time.perf_counter() - began
        peak = studies.training_peak(run) if self.settings.trains else studies.evaluation_peak(run)
        return _result(
            self.milestone,
            self.settings,
            costs,
            value=value,
            passed=self.milestone.metric.reaches(value, self.milestone.threshold),
            peak_mib=peak,
            train_seconds=run.train_seconds,
            eval_seconds=seconds,
            history=run.history,
        )

    def _extras(self, run: Run) -> None:
        """What comes after the result: the script's encore, the studies that were asked for, the pictures."""
        milestone, settings, report = self.milestone, self.settings, self.report
        if milestone.encore is not None:
            self.details.update(milestone.encore(run))
        if settings.scaling:
            rows = studies.scaling(run)
            report.scaling(rows)
            self.details["scaling"] = rows
        if settings.profile:
            found = studies.operations(run)
            report.profile(found)
            self.details.update(
                operations=[asdict(op) for op in found.ops],
                profiled_steps=found.steps,
                latency_seconds=found.latency_seconds,
            )
        if not settings.plots:
            return
        if not viz.available():
            report.no_pictures()
            return
        if milestone.draw is not None:
            milestone.draw(run)
        if settings.scaling:
            title = f"{milestone.title}: what size costs and brings"
            viz.scaling(
                self.details["scaling"], run.picture("scaling.png"), label=milestone.size_label, title=title
            )

    def _write(self, run: Run, result: Result) -> Result:
        """Write the files. Returns the result as it was written, with what the extras compiled."""
        milestone, settings = self.milestone, self.settings
        note = ""
        if settings.save_weights:
            assert result.value is not None
            told = weights.save(
                run, milestone.weights_file, result.value, _command(milestone, *_recipe(settings))
            )
            note = f"\nweights saved to {milestone.weights_file} ({told})"
        if settings.trains:
            tt.save(run.model.state_dict(), self.folder / "weights.safetensors")
        result = replace(result, compile_seconds=compile_seconds())
        write(to_json(self.details), self.folder / "details.json")
        write(result.to_json(), self.folder / "result.json")
        names = ["result.json", "details.json", *(["weights.safetensors"] if settings.trains else [])]
        written = [*(self.folder / name for name in names), *run.pictures]
        self.report.files(self.folder, written, note)
        return result


def _test_only(milestone: Milestone, settings: flags.Settings, report: Report) -> int:
    """Build the model, and carry one made-up batch forward and back."""
    report.opening()
    tt.manual_seed(settings.seed)
    model = milestone.build()
    count = 2 * milestone.classes
    inputs, labels = studies.example(milestone, count)
    costs = profile(model, tt.tensor(inputs[:1]), backward=False, repeats=0)
    report.architecture(costs)
    loss = milestone.loss(model(tt.tensor(inputs)), tt.tensor(labels))
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not np.isfinite(parameter.grad.data).all():
            print(f"{name}: expected a finite gradient, got {parameter.grad}", file=sys.stderr)
            return MISSED
    report.say(
        f"one forward and one backward pass over {count} made-up examples: loss {loss.item():.4f}, "
        f"and a finite gradient for each of the {len(list(model.parameters()))} parameter arrays. "
        "Nothing was trained."
    )
    if settings.json:
        print(_result(milestone, settings, costs).to_json())
    return MET


def _result(milestone: Milestone, settings: flags.Settings, costs: ModelProfile, **measured: Any) -> Result:
    nothing = dict.fromkeys(("value", "passed", "peak_mib", "train_seconds", "eval_seconds"))
    return Result(
        **{
            "milestone": milestone.folder,
            "script": milestone.script,
            "dataset": milestone.dataset,
            "metric": milestone.metric.name,
            "threshold": milestone.threshold,
            "params": costs.params,
            "flops_forward": costs.flops,
            "compile_seconds": compile_seconds(),
            "epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "seed": settings.seed,
            "threads": settings.threads,
            "history": [],
            "versions": versions(),
            **nothing,
            **measured,
        }
    )


def _command(milestone: Milestone, *flags: str) -> str:
    return shlex.join(["python", f"milestones/{milestone.folder}/{milestone.script}.py", *flags])


def _choice(settings: flags.Settings) -> list[str]:
    return [word for flag, name in settings.chosen.items() for word in (f"--{flag}", name)]


def _recipe(settings: flags.Settings) -> list[str]:
    """The flags that repeat a run."""
    return [
        *_choice(settings),
        "--epochs",
        str(settings.epochs),
        "--batch-size",
        str(settings.batch_size),
        "--lr",
        f"{settings.lr:g}",
        "--seed",
        str(settings.seed),
        "--save-weights",
    ]
