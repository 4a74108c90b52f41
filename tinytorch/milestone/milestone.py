"""What one milestone script tells the frame about itself: its story, its marks, and its own functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch.datasets import DatasetManager
from tinytorch.milestone.metric import ACCURACY, Metric
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


@dataclass(frozen=True)
class Milestone:
    """A milestone script: who it is, what counts as passing, how it trains.

    Story: `file` (the script's `__file__`: its name, and its folder's, name the results), `year`, `title`,
    `history` and `insight` (paragraphs for the terminal).

    Task: `dataset` (its name), `input_shape` and `classes` (2 means one number, the probability of class 1),
    `metric`, `marks` (its values by name; "pass" decides the exit code), `examples` (what they are called).

    Recipe: `epochs`, `batch_size` and `lr` where no flag says otherwise, and for `--demo-mode` `demo_epochs`
    and `demo_share`, the part of the training data that it takes.

    Choices: where a flag, such as `--model`, chooses one of several, `choices` has for the flag's name what
    each does differently (`build`, `epochs`, `lr` and so on, as they are named here); the first of them is
    what the milestone itself describes. `options` are flags that take a text, with what they mean; the script
    finds them in `run.options`.

    Functions, all of them defined in the script:

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
    * `encore(run)` runs after the result is known and returns facts for details.json.
    * `talk(run)` comes last, and only where a person sits at the terminal.
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
    prologue: Callable[[Run], None] | None = None
    draw: Callable[[Run], None] | None = None
    show: Callable[[Run], list[str]] | None = None
    show_before: bool = False
    show_at: tuple[int, ...] = ()
    encore: Callable[[Run], dict[str, Any]] | None = None
    talk: Callable[[Run], None] | None = None
    evaluate: Callable[[Run, np.ndarray, np.ndarray], float] | None = None
    example: Callable[[int], Examples] | None = None
    resize: Callable[[Data, int], Data] | None = None
    sizes: tuple[int, ...] = (64, 128, 256, 512)
    size_label: str = "hidden units"
    scaling_epochs: int = 1
    demo_share: float = 1.0
    choices: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    metric: Metric = ACCURACY
    examples: str = ""

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

    def __post_init__(self) -> None:
        if not self.examples:
            object.__setattr__(self, "examples", "images" if len(self.input_shape) > 1 else "points")

    @property
    def threshold(self) -> float:
        """The value of the metric from which on the milestone is met."""
        return self.marks["pass"]

    @property
    def weights_file(self) -> Path:
        """Where its pre-trained weights are."""
        unusual = [name for flag, name in self.chosen.items() if name != next(iter(self.choices[flag]))]
        name = "_".join([self.script, *unusual])
        return self.root / "milestones" / "weights" / f"{name}.safetensors"

    def choose(self, chosen: Mapping[str, str]) -> Milestone:
        """The same milestone with what each flag chooses."""
        found = self
        for flag, name in chosen.items():
            found = replace(found, chosen={**found.chosen, flag: name}, **self.choices[flag][name])
        return found
