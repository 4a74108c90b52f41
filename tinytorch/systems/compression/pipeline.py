"""A chain of compressions, each measured when it is done: bytes on disk, accuracy, latency."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.systems.benchmarking.files import file_bytes
from tinytorch.systems.benchmarking.latency import Latency, measure_together, speedup

Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Stage:
    """The model after one step, as it was measured.

    name: of the step; the first is "original". params: numbers that are trained. bytes: of the file.
    metric: what `evaluate` said. latency: of one call with the example. speedup, speedup_ci95: how many times
    faster than the original, measured in turn with it, and the 95 % interval. seconds: that the step took.
    """

    name: str
    params: int
    bytes: int
    metric: float
    latency: Latency
    speedup: float
    speedup_ci95: tuple[float, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file; of the latency all but the single calls."""
        row = {**asdict(self), "latency": asdict(self.latency)}
        for samples in ("blocks", "samples"):
            row["latency"].pop(samples)
        return row


class PipelineError(RuntimeError):
    """A step failed. The history of the pipeline has what was measured before it."""


class Pipeline:
    """Runs steps one after the other, each on what the one before returned, and measures after each.

    steps: names with functions that take a model and return one: a new one, or the same one changed.
    evaluate: gives the accuracy or loss of a model, by data that no step has seen.
    example_input: what the model is called with when its latency is measured; a tuple for several arguments.
    metric: what `evaluate` gives, for the table. size: bytes of a model on disk; by default of its
    safetensors file; `sparse_file_bytes` for one that does not store zeros.
    seconds: spent on each model's latency, about.

    `history` has a `Stage` for the model at the beginning and one for each step that was done. A model is
    measured in evaluation mode, and is in the mode it was in afterwards. The given model is changed only by
    steps that change theirs.

    Raises ValueError for no steps and for two of one name; `PipelineError`, with the cause behind it, where a
    step or the measurement after it fails.

    >>> import tinytorch as tt
    >>> from tinytorch.systems import prune_channels
    >>> model, x = tt.models.MLP(64, (32, 16), 10), tt.zeros(1, 64)
    >>> halve = lambda model: prune_channels(model, 0.5, example_input=x)
    >>> pipeline = Pipeline({"halve": halve}, evaluate=lambda model: 0.5, example_input=x, seconds=0.1)
    >>> smaller = pipeline.run(model)
    >>> [(stage.name, stage.params) for stage in pipeline.history]
    [('original', 2778), ('halve', 1266)]
    """

    def __init__(
        self,
        steps: Mapping[str, Step] | Iterable[tuple[str, Step]],
        *,
        evaluate: Callable[[Any], float],
        example_input: Any,
        metric: str = "accuracy",
        size: Callable[[Any], int] = file_bytes,
        seconds: float = 1.0,
    ):
        pairs: Any = steps.items() if isinstance(steps, Mapping) else steps
        self.steps: list[tuple[str, Step]] = list(pairs)
        names = ["original", *(name for name, _ in self.steps)]
        if not self.steps:
            raise ValueError("Pipeline: expected at least one step, got none")
        if len(set(names)) != len(names):
            raise ValueError(f"Pipeline: expected a name of its own for each step, got {', '.join(names)}")
        self.evaluate, self.example_input, self.metric = evaluate, example_input, metric
        self.size, self.seconds = size, seconds
        self.history: list[Stage] = []

    def run(self, model: Module) -> Any:
        """Run all steps, beginning with `model`; returns the model that the last one returned."""
        self.history = []
        original = copy.deepcopy(model)
        self.history.append(self._measure("original", model, original, 0.0))
        for number, (name, step) in enumerate(self.steps, 1):
            try:
                began = time.perf_counter()
                model = step(model)
                seconds = time.perf_counter() - began
                if not isinstance(model, Module):
                    raise TypeError(f"expected a step to return a model, got {type(model).__name__}")
                self.history.append(self._measure(name, model, original, seconds))
            except Exception as error:
                raise PipelineError(
                    f"Pipeline: step {number} of {len(self.steps)}, {name!r}, failed: {error}\n"
                    f"The history has what was measured before: "
                    f"{', '.join(stage.name for stage in self.history)}."
                ) from error
        return model

    def _measure(self, name: str, model: Module, original: Module, seconds: float) -> Stage:
        training = [module for module in model.modules() if module.training]
        model.eval()
        original.eval()
        arguments = self.example_input if isinstance(self.example_input, tuple) else (self.example_input,)
        try:
            with no_grad():
                metric = float(self.evaluate(model))
                model.eval()  # whatever `evaluate` left it in
                timed = measure_together(
                    {"original": lambda: original(*arguments), "now": lambda: model(*arguments)},
                    seconds=self.seconds,
                    batch=len(arguments[0]),
                )
            ratio, interval = speedup(timed["original"], timed["now"])
            return Stage(
                name,
                sum(parameter._data.size for parameter in model.parameters()),
                self.size(model),
                metric,
                timed["now"],
                ratio,
                interval,
                seconds,
            )
        finally:
            for module in training:
                module.training = True

    def to_dict(self) -> dict[str, Any]:
        """The history as plain numbers: what `json.dumps` takes."""
        return {"metric": self.metric, "stages": [stage.to_dict() for stage in self.history]}

    def to_json(self) -> str:
        """The history as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_table(self) -> str:
        """The history as a table of text: a row for each stage, with the ratios to the original."""
        rows = [("step", "parameters", "bytes", "smaller", self.metric, "p50 ms", "p99 ms", "faster")]
        for stage in self.history:
            low, high = stage.speedup_ci95
            rows.append(
                (
                    stage.name,
                    f"{stage.params:,}",
                    f"{stage.bytes:,}",
                    f"{self.history[0].bytes / stage.bytes:.2f}x",
                    f"{stage.metric:.4f}",
                    f"{1e3 * stage.latency.p50:.3f}",
                    f"{1e3 * stage.latency.p99:.3f}",
                    f"{stage.speedup:.2f}x ({low:.2f}-{high:.2f})",
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            )
            for row in rows
        ]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
