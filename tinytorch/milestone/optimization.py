"""Models of earlier milestones, to be made smaller and faster: how they are tuned, and what is measured."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.datasets import DatasetManager, DatasetUnavailable
from tinytorch.milestone import weights
from tinytorch.milestone.milestone import Data, Milestone
from tinytorch.milestone.run import Run
from tinytorch.models import GPT
from tinytorch.nn import Module
from tinytorch.nn import functional as F
from tinytorch.nn.utils import clip_grad_norm_
from tinytorch.systems import prunable_weights
from tinytorch.systems.benchmarking.pareto import Measured, mean, share
from tinytorch.text import generate

BATCH = 500  # examples that are asked about at one time
CALIBRATION = 512  # examples from the training data by which ranges of activations are found
FEW = 5000  # examples up to which a model is trained on the spot
FEWEST_STEPS = 300  # of an epoch of fine-tuning, where the training data are few
TOKENS = 32  # that a language model writes to have its speed measured


@dataclass(frozen=True)
class Tuning:
    """How models are fine-tuned: the flags of the script."""

    epochs: float
    batch_size: int
    lr: float
    seed: int


@dataclass
class Subject:
    """A trained model of an earlier milestone, its data, and how it is fine-tuned and measured.

    name: "mlp", "cnn" or "gpt". milestone: the script that trained it. data: what it learned from, and the
    test data, which nothing is chosen or tuned by. model: the trained one; techniques make others of it and
    leave it as it is. origin: where its weights are from. prepare: stored inputs to what the model takes.
    tuning: how models are trained on.
    """

    name: str
    milestone: Milestone
    data: Data
    model: Any
    origin: str
    prepare: Callable[[Any], Any]
    tuning: Tuning

    @property
    def falls(self) -> bool:
        """Whether its quality is a loss."""
        return isinstance(self.model, GPT)

    # --- what techniques need -----------------------------------------------------------------------------

    def copy(self) -> Any:
        """Another model with the same weights."""
        return copy.deepcopy(self.model)

    def with_model(self, model: Any) -> Subject:
        """The same subject with another model."""
        return replace(self, model=model)

    def inputs(self, count: int) -> tt.Tensor:
        """The first test inputs, as the model takes them."""
        return self._input(self.data.test[0][:count])

    def calibration(self, count: int = CALIBRATION) -> list[tt.Tensor]:
        """Some inputs of the training data, in a few batches."""
        return [self._input(x) for x, _ in self._chosen(count)]

    def examples(self, count: int = CALIBRATION) -> list[tuple[tt.Tensor, tt.Tensor]]:
        """The same with their labels."""
        chosen = self._chosen(count)
        return [(self._input(x), tt.tensor(y.astype(np.int64))) for x, y in chosen]

    def steps(self, epochs: float = 1.0) -> int:
        """Steps that `finetune` takes for so many epochs."""
        batches = -(-len(self.data.train[0]) // self.tuning.batch_size)
        return max(2, round(epochs * self.tuning.epochs * max(batches, FEWEST_STEPS)))

    def indivisible_by(self, m: int) -> list[str]:
        """Names of the weights whose inputs cannot be taken in groups of `m`: a first layer's channels."""
        return [name for name, weight in prunable_weights(self.model).items() if weight.shape[1] % m]

    def answers_of(self, teacher: Any, x: tt.Tensor) -> tt.Tensor:
        """What a model says, without a graph."""
        with tt.no_grad():
            return teacher(x)

    def loss(self, output: Any, labels: Any) -> Any:
        """Mean cross-entropy of a batch."""
        if self.falls:
            return F.cross_entropy(output.flatten(0, 1), labels.flatten())
        return F.cross_entropy(output, labels)

    def finetune(
        self,
        model: Any,
        *,
        epochs: float = 1.0,
        lr: float = 1.0,
        after_step: Callable[[], object] | None = None,
        loss: Callable[[Any, Any, Any], Any] | None = None,
    ) -> Any:
        """Train `model` on the training data, and give it back in evaluation mode.

        AdamW, its rate going up for a tenth of the steps and down to nothing. epochs, lr: times what `tuning`
        says. after_step: called after each step, for masks. loss: of (inputs, output, labels); cross-entropy
        where none is given.
        """
        tt.manual_seed(self.tuning.seed)
        inputs, labels = self.data.train
        batches = DataLoader(TensorDataset(inputs, labels), batch_size=self.tuning.batch_size, shuffle=True)
        steps = self.steps(epochs)
        lr = lr * self.tuning.lr
        optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2)
        schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps, pct_start=0.1)
        model.train()
        for x, y in _endless(batches, steps):
            x, y = self._input(x), tt.tensor(np.asarray(y.data, np.int64))
            output = model(x)
            value = self.loss(output, y) if loss is None else loss(x, output, y)
            optimizer.zero_grad()
            value.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if after_step is not None:
                after_step()
        model.eval()
        return model

    # --- what is measured -------------------------------------------------------------------------------

    def evaluate(self, model: Any) -> Measured:
        """Its quality on all of the test data: the share of right answers, or the loss in nats a token."""
        inputs, labels = self.data.test
        found = []
        with tt.inference_mode():
            for i in range(0, len(inputs), BATCH):
                output = model(self._input(inputs[i : i + BATCH])).numpy()
                asked = labels[i : i + BATCH].astype(np.int64)
                found.append(_losses(output, asked) if self.falls else output.argmax(1) == asked)
        values = np.concatenate(found)
        return mean(values) if self.falls else share(values)

    def answer(self, model: Any) -> Callable[[], object]:
        """What a user waits for: one example answered, or `TOKENS` tokens written with the cache."""
        if self.falls:
            return lambda: generate(model, [0], TOKENS - 1, seed=0)
        x = self.inputs(1)

        def ask() -> Any:
            with tt.inference_mode():
                return model(x)

        return ask

    @property
    def answers(self) -> int:
        """Examples or tokens in one `answer`."""
        return TOKENS - 1 if self.falls else 1

    def _chosen(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        inputs, labels = self.data.train
        chosen = np.random.default_rng(self.tuning.seed).permutation(len(inputs))[:count]
        return [(inputs[part], labels[part]) for part in map(np.sort, np.array_split(chosen, 4))]

    def _input(self, stored: Any) -> tt.Tensor:
        array = stored.data if isinstance(stored, tt.Tensor) else stored
        if self.falls:
            return tt.tensor(array.astype(np.int64))
        return self.prepare(tt.tensor(array))


def _endless(batches: DataLoader, steps: int) -> Iterator[Any]:
    while True:
        for batch in batches:
            yield batch
            steps -= 1
            if steps == 0:
                return


def _losses(logits: np.ndarray, following: np.ndarray) -> np.ndarray:
    """The mean cross-entropy of each context, (n,), of logits (n, t, vocabulary), in float64."""
    logits = logits.astype(np.float64)
    top = logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
    return (total - np.take_along_axis(logits, following[..., None], -1)[..., 0]).mean(-1)


def load_subject(
    name: str, scripts: Mapping[Path, Tuning], datasets: DatasetManager, say: Callable[[str], None]
) -> Subject:
    """The trained model of the first of `scripts` whose data can be had; of the others it says that they
    cannot. Each comes with how its model is fine-tuned.

    With the pre-trained weights that ship; the models of the 8×8 digits are trained here and now.

    Raises DatasetUnavailable where no script's data are there.
    """
    for script, tuning in scripts.items():
        milestone, prepare = milestone_of(script)
        try:
            data = milestone.load(datasets, tuning.seed)
        except DatasetUnavailable as error:
            if script is [*scripts][-1]:
                raise
            say(f"[yellow]{milestone.dataset} is not there[/] ({str(error).splitlines()[0]})")
            continue
        model, origin = _trained(milestone, data, tuning.seed)
        return Subject(name, milestone, data, model, origin, prepare, tuning)
    raise ValueError("load_subject: expected at least one script, got none")


def milestone_of(script: Path) -> tuple[Milestone, Callable[[Any], Any]]:
    """What a script says of itself, and how it turns stored inputs into what its model takes."""
    names = runpy.run_path(str(script))
    (milestone,) = (value for value in names.values() if isinstance(value, Milestone))
    return milestone, names.get("scaled", lambda x: x)


def _trained(milestone: Milestone, data: Data, seed: int) -> tuple[Module, str]:
    """The milestone's model with its pre-trained weights; trained now where that takes a second."""
    if len(data.train[0]) > FEW and milestone.weights_file.exists():
        tt.manual_seed(seed)
        model = milestone.build()
        facts = weights.load(model, milestone.weights_file, f"python {milestone.file} --save-weights")
        origin = f"{milestone.weights_file.name}, made by {facts['command']}"
    else:
        recipe = {"epochs": milestone.epochs, "batch_size": milestone.batch_size, "lr": milestone.lr}
        run = Run(milestone, data, seed=seed, **recipe).train()
        model, origin = run.model, f"trained here in {run.train_seconds:.1f} s"
    model.eval()
    return model, origin
