"""The frame of milestone 6: techniques applied to trained models, each result measured, the best chosen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tinytorch import viz
from tinytorch.datasets import DatasetManager, DatasetUnavailable
from tinytorch.kernels._jit import compile_seconds
from tinytorch.milestone import flags, optimize_report, weights
from tinytorch.milestone.frame import (
    MET,
    MISSED,
    NO_DATA,
    USAGE,
    UsageError,
    result_folder,
    set_threads,
)
from tinytorch.milestone.optimization import Subject, Tuning, load_subject
from tinytorch.milestone.rehearsal import compile_first, rehearse
from tinytorch.milestone.result import Result, to_json, versions, write
from tinytorch.milestone.script import Script
from tinytorch.milestone.telling import Telling
from tinytorch.nn import Module
from tinytorch.systems import (
    Latency,
    measure_together,
    peak_memory,
    profile,
    save_model,
    save_sparse,
    sparse_file_bytes,
)
from tinytorch.systems.benchmarking.pareto import (
    Budget,
    BudgetNotMet,
    Candidate,
    Measured,
    best_within,
    pareto_front,
)

SECONDS = 0.3  # of timing for each model, in turn with all others of its subject
FLOAT32, INT8 = "float32", "int8"  # the two names that the result compares


@dataclass(frozen=True)
class Technique:
    """One way to make a model smaller or faster.

    make: takes the subject and gives a new model. trains: it needs training data and time, and is left out
    with `--use-pretrained`.
    """

    name: str
    make: Callable[[Subject], Module]
    trains: bool = False


@dataclass(frozen=True)
class Plan:
    """What is done to one earlier model.

    script: of the milestone that trained it. embedded: of one whose data need no download, where that cannot
    be had. loses: what int8 may cost, in shares of one or in nats. epochs, embedded_epochs: of fine-tuning on
    either's data, times `--epochs`.
    """

    script: str
    embedded: str
    techniques: Sequence[Technique]
    loses: float
    epochs: float = 1.0
    embedded_epochs: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Study(Script):
    """Milestone 6: for each model's name, what is done to it."""

    plans: Mapping[str, Plan]


def main(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run the script of a `Study`. Returns its exit code; bad flags end with SystemExit(2)."""
    settings = flags.parse(study, arguments)
    telling = Telling(study, settings)
    try:
        set_threads(settings.threads)
        budget, names = _budget(settings.options), _models(study, settings.options)
        telling.opening()
        if settings.mode == "test-only":
            return _test_only(study, names, settings, telling)
        folder = result_folder(study, settings)
        scripts = {name: study.root / "milestones" / study.plans[name].script for name in names}
        compile_first(study.file, scripts, settings.seed)
        return _Session(study, settings, telling, folder, budget, names).run()
    except UsageError as error:
        print(f"{study.script}.py: {error}", file=sys.stderr)
        return USAGE
    except (DatasetUnavailable, weights.WeightsUnavailable) as error:
        print(error, file=sys.stderr)
        return NO_DATA


def _models(study: Study, options: Mapping[str, str]) -> list[str]:
    names = options["models"].replace(",", " ").split() if "models" in options else list(study.plans)
    for name in names:
        if name not in study.plans:
            raise UsageError(f"argument --models: expected some of {', '.join(study.plans)}, got {name!r}")
    return names


def _budget(options: Mapping[str, str]) -> Budget:
    def number(flag: str) -> float | None:
        text = options.get(flag)
        if text is None:
            return None
        try:
            value = float(text.replace("_", ""))
        except ValueError:
            value = -1.0
        if not value > 0:
            raise UsageError(f"argument --{flag}: expected a number above 0, got {text!r}")
        return value

    milliseconds, accuracy = number("max-latency-ms"), number("min-accuracy")
    if accuracy is not None and accuracy > 1:
        accuracy /= 100  # in percent
    return Budget(number("max-bytes"), None if milliseconds is None else milliseconds / 1e3, accuracy)


class _Session:
    """One run, from the trained models to the exit code."""

    def __init__(
        self,
        study: Study,
        settings: flags.Settings,
        telling: Telling,
        folder: Path,
        budget: Budget,
        names: list[str],
    ):
        self.study, self.settings, self.telling, self.folder = study, settings, telling, folder
        self.budget, self.names = budget, names
        self.details: dict[str, Any] = {"models": {}, "mode": settings.mode}
        self.pictures: list[Path] = []
        self.saved: list[Path] = []
        self.times = {"train": 0.0, "eval": 0.0}
        self.peak, self.params, self.flops = 0.0, 0, 0

    def run(self) -> int:
        telling = self.telling
        datasets = DatasetManager(self.settings.data_dir)
        kept = {}
        for name in self.names:
            subject = self._load(name, datasets)
            kept[name] = self._optimise(subject, self.study.plans[name])
        self._within_budget(kept)
        telling.insight()
        return self._write(kept)

    def _load(self, name: str, datasets: DatasetManager) -> Subject:
        plan, settings, folder = self.study.plans[name], self.settings, self.study.root / "milestones"
        scripts = {plan.script: plan.epochs, plan.embedded: plan.embedded_epochs}
        if settings.mode == "demo":
            del scripts[plan.script]
        tuned = {
            folder / script: Tuning(epochs * settings.epochs, settings.batch_size, settings.lr, settings.seed)
            for script, epochs in scripts.items()
        }
        subject = load_subject(name, tuned, datasets, self.telling.say)
        costs = profile(subject.model, subject.inputs(1), backward=False, repeats=0)
        self.params += costs.params
        self.flops += costs.flops
        self.telling.say(
            f"\n[bold]{subject.milestone.title}[/]  {subject.milestone.dataset}, "
            f"{costs.params:,} parameters, {costs.flops:,} FLOPs an answer"
        )
        self.telling.unwrapped(f"  {subject.origin}")
        return subject

    # --- one model --------------------------------------------------------------------------------------

    def _optimise(self, subject: Subject, plan: Plan) -> list[Candidate]:
        """Apply every technique, measure every result, tell and draw."""
        models: dict[str, Module] = {FLOAT32: subject.model}
        made: dict[str, float] = {}
        with self.telling.console.status("") as status:
            for technique in plan.techniques:
                if technique.trains and not self.settings.trains:
                    continue
                status.update(f"{subject.name}: {technique.name}")
                began = time.perf_counter() - compile_seconds()
                models[technique.name] = technique.make(subject)
                made[technique.name] = time.perf_counter() - compile_seconds() - began
            status.update(f"{subject.name}: asking each of {len(models)} models about the test data")
            began = time.perf_counter()
            quality = {name: subject.evaluate(model) for name, model in models.items()}
            self.times["eval"] += time.perf_counter() - began
        self.times["train"] += sum(made.values())
        answers = {name: subject.answer(model) for name, model in models.items()}
        latency = measure_together(answers, seconds=SECONDS, seed=self.settings.seed)
        candidates = []
        for name, model in models.items():
            size = self._save(subject, name, model).stat().st_size
            candidates.append(
                Candidate(name, size, _each(latency[name], subject.answers), quality[name], subject.falls)
            )
        with peak_memory() as peak:
            subject.evaluate(subject.model)
        self.peak = max(self.peak, peak.mib)
        optimize_report.tell(self.telling, subject, candidates, latency)
        if picture := self._picture(f"pareto_{subject.name}.png"):
            optimize_report.draw(subject, candidates, picture)
        facts = _facts(subject, candidates, latency, made) | self._studies(subject)
        self.details["models"][subject.name] = facts
        return candidates

    def _picture(self, name: str) -> Path | None:
        """Where a picture goes; None where there is to be none."""
        if not self.settings.plots:
            return None
        if not viz.available():
            self.telling.no_pictures()
            return None
        self.pictures.append(self.folder / name)
        return self.pictures[-1]

    def _studies(self, subject: Subject) -> dict[str, Any]:
        """What `--scaling` and `--profile` ask for."""
        found: dict[str, Any] = {}
        if self.settings.scaling:
            found |= optimize_report.sweeps(self.telling, subject, self.study.sizes)
        if self.settings.profile:
            picture = self._picture(f"roofline_{subject.name}.png")
            found |= optimize_report.costs(self.telling, subject, self.study.sizes[0], picture)
        return found

    def _save(self, subject: Subject, name: str, model: Module) -> Path:
        """Write the file that the model's size is read off: of two formats the one that takes less."""
        path = self.folder / "models" / f"{subject.name}_{_file_name(name)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        if save_model(model, path) > sparse_file_bytes(model):
            save_sparse(model, path)
        self.saved.append(path)
        return path

    def _within_budget(self, kept: Mapping[str, Sequence[Candidate]]) -> None:
        """The best of each model under the budget that was given, or what comes nearest."""
        if self.budget == Budget():
            return
        chosen: dict[str, Any] = {}
        for name, candidates in kept.items():
            budget = replace(self.budget, quality=None) if candidates[0].falls else self.budget
            try:
                best = best_within(candidates, budget)
            except BudgetNotMet as error:
                self.telling.say(f"[bold]{name}[/]  [red]✗[/] {error}")
                chosen[name] = {"met": False, "nearest": error.nearest.name}
                continue
            self.telling.say(
                f"[bold]{name}[/]  [green]✓[/] {best.name}: {best.bytes:,} bytes, "
                f"{1e3 * best.seconds.value:.3g} ms, {optimize_report.quality_text(best)}"
            )
            chosen[name] = {"met": True, "best": best.name}
        self.details["budget"] = {**asdict(self.budget), "chosen": chosen}

    # --- the result -------------------------------------------------------------------------------------

    def _write(self, kept: Mapping[str, Sequence[Candidate]]) -> int:
        value = min(self._times_smaller(name, candidates) for name, candidates in kept.items())
        study, settings = self.study, self.settings
        passed = study.metric.reaches(value, study.threshold)
        mark = "[green]✓[/]" if passed else "[red]✗[/]"
        self.telling.say(
            f"{mark} {study.metric.told(value)}; to pass {study.metric.mark_text(study.threshold)}\n"
        )
        result = _result(
            study,
            settings,
            dataset=", ".join(self.details["models"][name]["dataset"] for name in kept),
            value=value,
            passed=passed,
            params=self.params,
            flops_forward=self.flops,
            peak_mib=self.peak,
            train_seconds=self.times["train"],
            eval_seconds=self.times["eval"],
        )
        write(to_json(self.details), self.folder / "details.json")
        write(result.to_json(), self.folder / "result.json")
        self.telling.files(
            self.folder,
            [self.folder / "result.json", self.folder / "details.json", *self.pictures],
            f", and {len(self.saved)} models in models",
        )
        if settings.json:
            print(result.to_json())
        return MET if passed else MISSED

    def _times_smaller(self, name: str, candidates: Sequence[Candidate]) -> float:
        """How many times smaller int8 is than float32; 0 where it lost more than it may."""
        (first,) = (c for c in candidates if c.name == FLOAT32)
        (small,) = (c for c in candidates if c.name == INT8)
        if small.loss - first.loss > self.study.plans[name].loses:
            return 0.0
        return first.bytes / small.bytes


def _facts(
    subject: Subject,
    candidates: Sequence[Candidate],
    latency: Mapping[str, Latency],
    made: Mapping[str, float],
) -> dict[str, Any]:
    """What details.json holds of a model."""
    front = pareto_front(candidates)
    rows = [
        {
            "name": c.name,
            "file": f"models/{subject.name}_{_file_name(c.name)}.safetensors",
            "bytes": c.bytes,
            "seconds": asdict(c.seconds),
            "p95_seconds": latency[c.name].p95 / subject.answers,
            "p99_seconds": latency[c.name].p99 / subject.answers,
            "quality": asdict(c.quality),
            "front": c in front,
            "made_in_seconds": made.get(c.name),
        }
        for c in candidates
    ]
    return {
        "milestone": subject.milestone.title,
        "dataset": subject.milestone.dataset,
        "origin": subject.origin,
        "quality": "loss" if subject.falls else "accuracy",
        "candidates": rows,
    }


def _each(latency: Latency, answers: int) -> Measured:
    """The median time of one answer out of `answers`, with its interval."""
    return Measured(*(seconds / answers for seconds in (latency.p50, *latency.ci95)))


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")


def _test_only(study: Study, names: Sequence[str], settings: flags.Settings, telling: Telling) -> int:
    """Carry made-up examples through each untrained model, forward and back, and through it in int8."""
    for name in names:
        loss, apart, finite = rehearse(study.root / "milestones" / study.plans[name].script, settings.seed)
        if not finite:
            print(f"{name}: expected a finite gradient of every parameter", file=sys.stderr)
            return MISSED
        telling.say(
            f"{name}: loss {loss:.4f} on 8 made-up examples, a finite gradient for each parameter; in "
            f"int8 no output differs by more than {apart:.3g}. Nothing was trained."
        )
    if settings.json:
        nothing = dict.fromkeys(("value", "passed", "peak_mib", "train_seconds", "eval_seconds"))
        print(_result(study, settings, dataset="", params=0, flops_forward=0, **nothing).to_json())
    return MET


def _result(study: Study, settings: flags.Settings, **measured: Any) -> Result:
    return Result(
        milestone=study.folder,
        script=study.script,
        metric=study.metric.name,
        threshold=study.threshold,
        compile_seconds=compile_seconds(),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        threads=settings.threads,
        history=[],
        versions=versions(),
        **measured,
    )
