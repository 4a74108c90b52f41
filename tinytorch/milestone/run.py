"""One training run: the settings a script trains with, its epochs, and what was measured on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.autograd.modes import no_grad
from tinytorch.kernels._jit import compile_seconds
from tinytorch.milestone.milestone import Data, Examples, Milestone
from tinytorch.nn import Module
from tinytorch.training.gradients import warn_untrained, without_gradient
from tinytorch.training.metrics import accuracy

EVALUATION_BATCH = 500  # examples whose activations are in memory at one time
SNAPSHOT_LIMIT = 1000  # parameters up to which every epoch's weights are kept, for the pictures


class Epoch:
    """One pass over the training data; `log` each batch's loss."""

    def __init__(self, number: int, on_step: Callable[[Epoch], None]):
        self.number = number
        self.steps = 0
        self._began = time.perf_counter()
        self._sum = 0.0
        self._on_step = on_step

    def log(self, loss: Any) -> None:
        """Take note of the loss of one batch, a tensor or a number."""
        self._sum += float(loss)
        self.steps += 1
        self._on_step(self)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    @property
    def loss(self) -> float:
        """Mean over the batches so far; NaN before the first."""
        return self._sum / self.steps if self.steps else math.nan


class Watcher:
    """Is told how a run goes; this one keeps silent."""

    def step(self, run: Run, epoch: Epoch) -> None:
        """A batch was trained on."""

    def epoch(self, run: Run, entry: dict[str, Any]) -> None:
        """An epoch ended; `entry` is its line of the history."""

    def say(self, text: str) -> None:
        """The script has something to tell; rich's markup is understood."""

    def show(self, lines: Sequence[str]) -> None:
        """The script has a picture made of characters."""


class _Enough(Exception):
    """Ends a rehearsal from inside the script's own loop."""


class Run:
    """What a script's `train` is given: settings, and the epochs to go through.

    `for epoch in run.each_epoch():` measures the time of the loop's body, then evaluates on the test data
    (which decides nothing) and adds a line to `history`.

    epochs, batch_size, lr, seed: the recipe. model, data: of this run. history: a dict for each epoch.
    train_seconds: without compiling and evaluating. asides: other runs, by name, for a script to keep.
    notes: what an encore found, for the pictures. options: the milestone's own flags that were given.
    """

    def __init__(
        self,
        milestone: Milestone,
        data: Data,
        *,
        epochs: int,
        batch_size: int,
        lr: float,
        seed: int,
        folder: Path | None = None,
        watcher: Watcher | None = None,
        size: int | None = None,
        options: Mapping[str, str] | None = None,
    ):
        self.milestone, self.data = milestone, data
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed
        self.folder, self.options = folder, options or {}
        self.watcher = watcher or Watcher()
        self.history: list[dict[str, Any]] = []
        self.snapshots: dict[int, dict[str, np.ndarray]] = {}
        self.pictures: list[Path] = []
        self.asides: dict[str, Run] = {}
        self.notes: dict[str, Any] = {}
        self.train_seconds = 0.0
        self._steps_left: int | None = None
        tt.manual_seed(seed)
        self.model: Any = milestone.build() if size is None else milestone.build(size)
        self._keep(0)

    # --- training ---------------------------------------------------------------------------------------

    def train(self) -> Run:
        """Run the script's training loop."""
        self.model.train()
        self.milestone.train(self.model, self.data, self)
        return self

    def rehearse(self, steps: int) -> int:
        """Run the script's training loop for a few steps, to get its kernels ready or to measure it.

        Nothing is evaluated, and no history is kept. Returns how many steps there were: fewer where the
        recipe's epochs are over before.
        """
        self._steps_left = steps
        self.model.train()
        try:
            self.milestone.train(self.model, self.data, self)
        except _Enough:
            pass
        finally:
            taken, self._steps_left = steps - self._steps_left, None
        return taken

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.data.train[0]) // self.batch_size)

    def each_epoch(self) -> Iterator[Epoch]:
        """The epochs of the recipe: train on every batch in the body of the loop."""
        for number in range(1, self.epochs + 1):
            epoch = Epoch(number, self._step)
            began, compiled = time.perf_counter(), compile_seconds()
            yield epoch
            seconds = time.perf_counter() - began - (compile_seconds() - compiled)
            if self._steps_left is None:
                self.train_seconds += seconds
                self._after(epoch, seconds)

    def _step(self, epoch: Epoch) -> None:
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left <= 0:
                raise _Enough
        self.watcher.step(self, epoch)

    def _after(self, epoch: Epoch, seconds: float) -> None:
        if epoch.number == 1:
            warn_untrained(without_gradient(self.model), stacklevel=4)
        reached = self.evaluate(self.data.test)
        metric = self.milestone.metric.name
        entry = {"epoch": epoch.number, "loss": epoch.loss, metric: reached, "seconds": seconds}
        self.history.append(entry)
        self._keep(epoch.number)
        self.watcher.epoch(self, entry)

    # --- asking the model -------------------------------------------------------------------------------

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Probabilities, (n, 1) or (n, classes), computed in batches without a graph."""
        self.model.eval()
        with no_grad():
            answers = [
                self.milestone.predict(self.model, inputs[i : i + EVALUATION_BATCH])
                for i in range(0, len(inputs), EVALUATION_BATCH)
            ]
        self.model.train()
        return np.concatenate(answers)

    def evaluate(self, examples: Examples) -> float:
        """The milestone's metric; without one of its own, the share of `examples` that is answered right."""
        inputs, labels = examples
        if self.milestone.evaluate is None:
            return accuracy(self.predict(inputs), labels)
        self.model.eval()
        with no_grad():
            value = self.milestone.evaluate(self, inputs, labels)
        self.model.train()
        return value

    # --- for the report ---------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line of the report; rich's markup is understood."""
        self.watcher.say(text)

    def show(self, lines: Sequence[str]) -> None:
        """Print a picture made of characters."""
        self.watcher.show(lines)

    def picture(self, name: str) -> Path:
        """Where to save the picture `name`; the report lists it."""
        if self.folder is None:
            raise ValueError(f"picture({name!r}): this run has no folder")
        path = self.folder / name
        self.pictures.append(path)
        return path

    def score(self, points: np.ndarray) -> np.ndarray:
        """Probability of class 1, (n,), now."""
        return self.predict(points)[:, 0]

    def score_after(self, epoch: int) -> Callable[[np.ndarray], np.ndarray]:
        """`score` as it was after an epoch (0: before training); only for models of few parameters."""
        if epoch not in self.snapshots:
            raise KeyError(
                f"score_after({epoch}): weights are kept for epochs {list(self.snapshots) or 'none'}"
            )
        weights = self.snapshots[epoch]

        def score(points: np.ndarray) -> np.ndarray:
            now = {name: tensor.data.copy() for name, tensor in self.model.state_dict().items()}
            self.model.load_state_dict(weights)
            try:
                return self.score(points)
            finally:
                self.model.load_state_dict(now)

        return score

    def moments(self, count: int) -> list[int]:
        """`count` epochs from 0 to the last, close together at first, when most happens."""
        last = max(self.snapshots, default=0)
        steps = np.geomspace(1, last + 1, count) - 1 if last else np.zeros(1)
        return sorted({round(step) for step in steps})

    def _keep(self, epoch: int) -> None:
        state = self.model.state_dict()
        if sum(tensor.data.size for tensor in state.values()) <= SNAPSHOT_LIMIT:
            self.snapshots[epoch] = {name: tensor.data.copy() for name, tensor in state.items()}

    # --- asides -----------------------------------------------------------------------------------------

    def untrained(self) -> Module:
        """The model as it was before training: the seed draws the same numbers again."""
        tt.manual_seed(self.seed)
        return self.milestone.build()

    def again(
        self,
        data: Data,
        *,
        size: int | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        build: Callable[..., Module] | None = None,
    ) -> Run:
        """The same recipe on other data, at another size or for the model that `build` makes; silent, and no
        part of the result."""
        aside = Run(
            self.milestone if build is None else replace(self.milestone, build=build),
            data,
            epochs=epochs or self.epochs or self.milestone.epochs,
            batch_size=self.batch_size,
            lr=lr or self.lr,
            seed=self.seed,
            size=size,
            options=self.options,
        )
        return aside.train()
