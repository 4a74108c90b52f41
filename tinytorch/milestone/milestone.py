"""What one milestone script tells the frame about itself: its story, its marks, and its own functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.datasets import DatasetManager
from tinytorch.nn import Module

if TYPE_CHECKING:
    from tinytorch.milestone.run import Run

Examples = tuple[np.ndarray, np.ndarray]
"""Inputs and labels, of equal length."""


@dataclass(frozen=True)
class Data:
    """What is learned from, and what is asked afterwards. Nothing of `test` is trained on.

    train, test: inputs and labels as arrays, in the dtype in which they are stored.
    names: of the classes.
    """

    train: Examples
    test: Examples
    names: Sequence[str] = ("0", "1")


@dataclass(frozen=True)
class Milestone:
    """A milestone script: who it is, what counts as passing, how it trains.

    Story: `file` (the script's `__file__`: its name, and its folder's, name the results), `year`, `title`,
    `history` and `insight` (paragraphs for the terminal).

    Task: `dataset` (its name), `input_shape` and `classes` (2 means one number, the probability of class 1),
    `marks` (accuracies from 0 to 1 by name; "pass" decides the exit code).

    Recipe: `epochs`, `batch_size` and `lr` where no flag says otherwise, and for `--demo-mode` `demo_epochs`
    and `demo_share`, the part of the training data that it takes.

    Models: where `--model` chooses one of several, `models` says by name what each does differently (`build`,
    `epochs`, `lr` and so on, as they are named here); the first is what the milestone itself describes.

    Functions, all of them defined in the script:

    * `build(size)` makes the untrained model; `size` is one number that the scaling study varies, with the
      milestone's own as the default.
    * `load(datasets, seed)` gets the `Data`.
    * `loss(output, labels)` is the loss of a batch.
    * `train(model, data, run)` trains, with its loop in plain sight.
    * `predict(model, inputs)` gives an array of probabilities: (n, 1) for class 1, or (n, classes).
    * `draw(run)` saves pictures, and is called only where matplotlib is installed.
    * `show(run)` gives lines of text that picture the model's answers in the terminal; with `show_before`,
      before training too.
    * `encore(run)` runs after the result is known and returns facts for details.json.
    * `resize(data, size)` makes data for a model of another size in the scaling study.
    """

    file: str
    year: int
    title: str
    history: str
    insight: str
    dataset: str
    input_shape: tuple[int, ...]
    classes: int
    marks: dict[str, float]
    epochs: int
    demo_epochs: int
    batch_size: int
    lr: float
    build: Callable[..., Module]
    load: Callable[[DatasetManager, int], Data]
    loss: Callable[[Any, Any], Any]
    train: Callable[[Module, Data, Run], None]
    predict: Callable[[Module, np.ndarray], np.ndarray]
    draw: Callable[[Run], None] | None = None
    show: Callable[[Run], list[str]] | None = None
    show_before: bool = False
    encore: Callable[[Run], dict[str, Any]] | None = None
    resize: Callable[[Data, int], Data] | None = None
    sizes: tuple[int, ...] = (64, 128, 256, 512)
    size_label: str = "hidden units"
    scaling_epochs: int = 1
    demo_share: float = 1.0
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: str | None = None
    metric: str = field(default="accuracy", init=False)

    @property
    def folder(self) -> str:
        """Name of the folder that the script is in."""
        return Path(self.file).resolve().parent.name

    @property
    def script(self) -> str:
        """Name of the script, without its ending."""
        return Path(self.file).stem

    @property
    def root(self) -> Path:
        """The project's folder: the one that holds `milestones`."""
        return Path(self.file).resolve().parents[2]

    @property
    def examples(self) -> str:
        """What its examples are called."""
        return "images" if len(self.input_shape) > 1 else "points"

    @property
    def threshold(self) -> float:
        """The accuracy from which on the milestone is met."""
        return self.marks["pass"]

    @property
    def weights_file(self) -> Path:
        """Where its pre-trained weights are."""
        usual = self.model is None or self.model == next(iter(self.models))
        name = self.script if usual else f"{self.script}_{self.model}"
        return self.root / "milestones" / "weights" / f"{name}.safetensors"

    def with_model(self, name: str | None) -> Milestone:
        """The same milestone with another of its models."""
        return self if name is None else replace(self, model=name, **self.models[name])

    def mark(self, accuracy: float) -> str | None:
        """The name of the highest mark that `accuracy` reaches."""
        reached = [name for name, least in self.marks.items() if accuracy >= least]
        return max(reached, key=lambda name: self.marks[name]) if reached else None
