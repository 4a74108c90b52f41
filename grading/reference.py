"""The milestones' networks trained in the grader's own process, in parts that a knock-out can replace.

This is not how the milestones are graded: their scripts are run for that (`runs.py`). It is what the gates
are tried on, with small data and in a tenth of a second, whole and broken. Only the script's `build` and
`loss_function` are used, so that it is the same network.
"""

from __future__ import annotations

import functools
import runpy
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import tinytorch as tt
from grading import exams
from grading.runs import Run
from grading.thresholds import EXAM, SMALL, Milestone
from grading.transformer import Transformer
from tinytorch import datasets, nn, optim
from tinytorch.milestone import Milestone as Script
from tinytorch.models import GPT, GPTConfig


@dataclass(frozen=True)
class Recipe:
    """Optimiser, epochs, batch size, learning rate."""

    optimizer: Callable[..., optim.Optimizer]
    epochs: int
    batch: int
    lr: float


RECIPES = {
    "perceptron": Recipe(optim.SGD, 20, 100, 0.5),
    "xor": Recipe(optim.SGD, 100, 200, 1.0),
    "mlp-digits": Recipe(optim.AdamW, 10, 32, 0.003),
    "mlp-mnist": Recipe(optim.AdamW, 1, 128, 0.003),
    "cnn-digits": Recipe(optim.AdamW, 10, 32, 0.005),
    "cnn-lenet": Recipe(optim.AdamW, 1, 128, 0.003),
    "cnn-resnet": Recipe(functools.partial(optim.SGD, momentum=0.9, nesterov=True), 1, 128, 0.1),
    "transformer-sequences": Recipe(optim.AdamW, 1, 64, 0.004),
    "transformer-grammar": Recipe(optim.AdamW, 1, 16, 0.003),
    "transformer-shakespeare": Recipe(optim.AdamW, 1, 12, 0.004),
    SMALL.name: Recipe(optim.AdamW, 10, 32, 0.01),
}


@functools.cache
def script_of(milestone: Milestone) -> Script:
    """What its script tells the frame about itself, with the model that is graded."""
    names = runpy.run_path(str(milestone.path))
    (found,) = (value for value in names.values() if isinstance(value, Script))
    if milestone is SMALL:  # another size than its script's
        return replace(found, build=lambda: gpt(milestone.network))
    return found.choose(milestone.chosen)


def gpt(network: Transformer) -> GPT:
    """The library's model of these sizes."""
    return GPT(
        GPTConfig(
            network.vocabulary, network.context, network.layers, network.heads, network.width,
            positions=network.positions,
        )
    )  # fmt: skip


def model_of(milestone: Milestone) -> nn.Module:
    """The milestone's network, untrained, as its script builds it."""
    return script_of(milestone).build()


def criterion_of(milestone: Milestone) -> Callable[[tt.Tensor, tt.Tensor], tt.Tensor]:
    """The loss of the network's output, as its script has it."""
    return script_of(milestone).loss


def marks_of(milestone: Milestone) -> dict[str, float]:
    """The marks that its script reports against."""
    return script_of(milestone).marks


def targets_of(milestone: Milestone, labels: np.ndarray) -> np.ndarray:
    """Labels as the loss wants them: int64 (n,) for classes, float32 (n, 1) for yes or no."""
    return labels.astype(np.float32)[:, None] if milestone.binary else labels


class Training:
    """A training run in parts: replace one, and see which gate notices.

    x, y: what it learns from. loss(x, y): a tensor. examined: what the value that it reports is of.
    """

    def __init__(self, milestone: Milestone, seed: int):
        tt.manual_seed(seed)
        self.milestone = milestone
        self.recipe = RECIPES[milestone.name]
        self.rng = np.random.default_rng(seed)
        self.exam = exams.of(milestone)
        self.x, self.y = self._examples(seed)
        self.model = model_of(milestone)
        self.criterion = criterion_of(milestone)
        self.optimizer = self.recipe.optimizer(self.model.parameters(), lr=self.recipe.lr)
        self.examined = self.exam

    def _examples(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        if self.exam.train_x is not None and self.exam.train_y is not None:
            return self.exam.train_x, self.exam.train_y
        x, y = getattr(datasets, self.milestone.dataset)(EXAM["reference_points"], seed=seed)
        return x, y[:, 0].astype(np.int64)

    def loss(self, x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        """Forward pass and criterion."""
        return self.criterion(self.model(x), y)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of every parameter, and of what batch normalisation counts along."""
        return {name: np.array(tensor.data) for name, tensor in self.model.state_dict().items()}

    def run(self) -> Run:
        """Train, and leave behind what a script leaves behind; an exception ends it like one of a script."""
        initial = self.weights()
        history: list[dict[str, Any]] = []
        try:
            for epoch in range(self.recipe.epochs):
                history.append({"epoch": epoch + 1, "loss": self._epoch()})
        except Exception:  # whatever a knock-out causes is what the gate has to judge
            return Run(1, None, {}, output=traceback.format_exc(), problems=["it ended before its result"])
        network, weights = self.milestone.network, self.weights()
        value = exams.value(self.milestone, network.read(weights), self.examined)
        report = {
            "value": value, "threshold": self.milestone.marks["pass"], "history": history,
            "params": sum(p.data.size for p in self.model.parameters()),
        }  # fmt: skip
        return Run(0, report, weights, initial)

    def _epoch(self) -> float:
        targets = targets_of(self.milestone, self.y)
        order = self.rng.permutation(len(self.x))
        total = 0.0
        for first in range(0, len(order), self.recipe.batch):
            rows = order[first : first + self.recipe.batch]
            inputs = self.milestone.network.prepared(self.x[rows])
            loss = self.loss(tt.tensor(inputs), tt.tensor(targets[rows]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += float(loss.item()) * len(rows)
        return total / len(order)
