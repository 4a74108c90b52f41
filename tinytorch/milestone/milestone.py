"""What a script that trains one model tells the frame: beside its story, its task and its own functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.datasets import DatasetManager
from tinytorch.milestone.script import Script
from tinytorch.nn import Module

if TYPE_CHECKING:
    from tinytorch.milestone.run import Run

Examples = tuple[np.ndarray, np.ndarray]
"""Inputs and labels, of equal length."""


@dataclass(frozen=True)
class Data:
    """What is learned from, and what is asked afterwards. Nothing of `test` is trained on.

    train, test: inputs and labels as arrays, in the dtype in which they are stored.
    names: of the classes. extra: what else the script wants to have at hand, by name.
    """

    train: Examples
    test: Examples
    names: Sequence[str] = ("0", "1")
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Milestone(Script):
    """A milestone that trains one model: what `Script` says, the task, and how it trains.

    Task: `input_shape` and `classes` (2 means one number, the probability of class 1), `examples` (what they
    are called). `demo_share` is the part of the training data that `--demo-mode` takes.

    Functions, all of them defined in the script, which find `options` in `run.options`:

    * `build(size)` makes the untrained model; `size` is one number that the scaling study varies, with the
      milestone's own as the default.
    * `load(datasets, seed)` gets the `Data`.
    * `loss(output, labels)` is the loss of a batch.
    * `train(model, data, run)` trains, with its loop in plain sight.
    * `predict(model, inputs)` gives an array of probabilities: (n, 1) for class 1, or (n, classes).
    * `evaluate(run, inputs, labels)` gives the metric where it is not the accuracy of `predict`.
    * `example(count)` makes up inputs and labels where a ramp from 0 to 1 will not do.
    * `draw(run)` saves pictures, and is called only where matplotlib is installed.
    * `prologue(run)` runs before anything is learned; `run.data` is there.
    * `show(run)` gives lines of text that picture the model's answers in the terminal; with `show_before`,
      before training too, and after each epoch that is in `show_at`.
    * `talk(run)` comes last, and only where a person sits at the terminal.
    * `resize(data, size)` makes data for a model of another size in the scaling study.
    """

    input_shape: tuple[int, ...]
    classes: int
    build: Callable[..., Module]
    load: Callable[[DatasetManager, int], Data]
    loss: Callable[[Any, Any], Any]
    train: Callable[[Module, Data, Run], None]
    predict: Callable[[Module, np.ndarray], np.ndarray]
    prologue: Callable[[Run], None] | None = None
    draw: Callable[[Run], None] | None = None
    show: Callable[[Run], list[str]] | None = None
    show_before: bool = False
    show_at: tuple[int, ...] = ()
    talk: Callable[[Run], None] | None = None
    evaluate: Callable[[Run, np.ndarray, np.ndarray], float] | None = None
    example: Callable[[int], Examples] | None = None
    resize: Callable[[Data, int], Data] | None = None
    scaling_epochs: int = 1
    demo_share: float = 1.0
    examples: str = ""

    def __post_init__(self) -> None:
        if not self.examples:
            object.__setattr__(self, "examples", "images" if len(self.input_shape) > 1 else "points")

    @property
    def weights_file(self) -> Path:
        """Where its pre-trained weights are."""
        unusual = [name for flag, name in self.chosen.items() if name != next(iter(self.choices[flag]))]
        name = "_".join([self.script, *unusual])
        return self.root / "milestones" / "weights" / f"{name}.safetensors"
