"""What every milestone script tells the frame: its story, what counts as passing, the recipe, its flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tinytorch.milestone.metric import ACCURACY, Metric


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script with the flags, exit codes and result files of a milestone.

    Story: `file` (the script's `__file__`: its name, and its folder's, name the results), `year`, `title`,
    `history` and `insight` (paragraphs for the terminal).

    Task: `dataset` (its name), `metric`, `marks` (its values by name; "pass" decides the exit code).

    Recipe: `epochs`, `batch_size` and `lr` where no flag says otherwise, and for `--demo-mode` `demo_epochs`.

    Choices: where a flag, such as `--model`, chooses one of several, `choices` has for the flag's name what
    each does differently (`build`, `epochs`, `lr` and so on, as they are named here); the first of them is
    what the script itself describes. `options` are flags that take a text, with what they mean.

    Studies: `sizes`, and the `size_label` of what `--scaling` varies. `encore(run)` runs after the result is
    known and returns facts for details.json.
    """

    file: str
    year: int
    title: str
    history: str
    insight: str
    dataset: str
    marks: dict[str, float]
    epochs: int
    demo_epochs: int
    batch_size: int
    lr: float
    metric: Metric = ACCURACY
    sizes: tuple[int, ...] = (64, 128, 256, 512)
    size_label: str = "hidden units"
    choices: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    encore: Callable[[Any], dict[str, Any]] | None = None

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
    def threshold(self) -> float:
        """The value of the metric from which on the milestone is met."""
        return self.marks["pass"]

    def choose(self, chosen: Mapping[str, str]) -> Self:
        """The same script with what each flag chooses."""
        found = self
        for flag, name in chosen.items():
            found = replace(found, chosen={**found.chosen, flag: name}, **self.choices[flag][name])
        return found
