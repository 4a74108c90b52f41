"""`Trainer`: the training loop, once written out, with the state to stop and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.nn.utils import clip_grad_norm_
from tinytorch.optim import Optimizer
from tinytorch.optim.lr_scheduler import ReduceLROnPlateau
from tinytorch.training import checkpoint
from tinytorch.training.callbacks import Callback
from tinytorch.training.gradients import warn_untrained, without_gradient
from tinytorch.training.metrics import accuracy


class Trainer:
    """Fits `model` to the batches of a loader.

    loss_function: `loss_function(model(x), y)`, the mean loss of a batch.
    scheduler: stepped after every batch ("batch") or epoch ("epoch"), as `schedule` says.
    metrics: name -> function of (output, labels), averaged over the examples of the validation data.
    callbacks: see `Callback`. clip_norm: longest gradient, over all parameters, that is let through.

    Attributes: `history` (a dict for each epoch: epoch, loss, seconds and, with validation data,
    validation_loss and the metrics), `epoch` (how many are done), `stop` (a callback sets it).

    Warns once when, after the first epoch, parameters have never had a gradient.

    >>> import tinytorch as tt
    >>> from tinytorch import nn, optim
    >>> from tinytorch.data import DataLoader, TensorDataset
    >>> _ = tt.manual_seed(0)
    >>> x = tt.arange(8).float().reshape(8, 1) / 8
    >>> model = nn.Linear(1, 1)
    >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5), nn.MSELoss())
    >>> history = trainer.fit(DataLoader(TensorDataset(x, 2 * x), batch_size=4), epochs=60)
    >>> len(history), history[-1]["loss"] < 1e-2
    (60, True)
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss_function: Callable[[Any, Any], Any],
        *,
        scheduler: Any = None,
        schedule: str = "batch",
        metrics: dict[str, Callable[[Any, Any], float]] | None = None,
        callbacks: Sequence[Callback] = (),
        clip_norm: float | None = None,
    ):
        if schedule not in ("batch", "epoch"):
            raise ValueError(f'Trainer: expected schedule "batch" or "epoch", got {schedule!r}')
        self._watches_loss = isinstance(scheduler, ReduceLROnPlateau)
        if self._watches_loss:
            schedule = "epoch"
        self.model, self.optimizer, self.loss_function = model, optimizer, loss_function
        self.scheduler, self.schedule = scheduler, schedule
        self.metrics = {"accuracy": accuracy} if metrics is None else metrics
        self.callbacks, self.clip_norm = list(callbacks), clip_norm
        self.history: list[dict[str, Any]] = []
        self.epochs = 0
        self.stop = False
        self._untrained: set[str] | None = None
        self._loader: Any = None
        self._resumed: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.history)

    def fit(
        self, loader: Iterable[Any], epochs: int, validation: Iterable[Any] | None = None
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done in all, those before a `resume` included. Returns the history.

        loader, validation: give batches (x, y); validation is evaluated after every epoch and decides nothing
        here.

        Raises ValueError for a loader without a batch, and FloatingPointError when the loss is not finite.
        """
        self.epochs, self.stop, self._loader = epochs, False, loader
        if self._resumed is not None:
            checkpoint.restore_random(self._resumed, loader)
            self._resumed = None
        while self.epoch < epochs and not self.stop:
            began = time.perf_counter()
            entry: dict[str, Any] = {"epoch": self.epoch + 1, "loss": self._train_epoch(loader)}
            entry["seconds"] = time.perf_counter() - began
            if self._untrained is not None:
                warn_untrained(sorted(self._untrained))
                self._untrained = None
            if validation is not None:
                entry.update(self.evaluate(validation))
            if self.scheduler is not None and self.schedule == "epoch":
                watched = entry.get("validation_loss", entry["loss"])
                self.scheduler.step(*((watched,) if self._watches_loss else ()))
            self.history.append(entry)
            for callback in self.callbacks:
                callback.on_epoch_end(self, entry)
        return self.history

    def _train_epoch(self, loader: Iterable[Any]) -> float:
        self.model.train()
        if not self.history:
            self._untrained = set(without_gradient(self.model))
        total, examples = 0.0, 0
        for x, y in loader:
            self.optimizer.zero_grad()
            loss = self.loss_function(self.model(x), y)
            loss.backward()
            if self._untrained:
                self._untrained.intersection_update(without_gradient(self.model))
            if self.clip_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
            if self.scheduler is not None and self.schedule == "batch":
                self.scheduler.step()
            value = loss.item()
            if not abs(value) < float("inf"):
                raise FloatingPointError(
                    f"Trainer: the loss of a batch in epoch {self.epoch + 1} is {value}. Try a smaller "
                    "learning rate or clip_norm, look for bad numbers in the data, or find the operation "
                    "with tinytorch.detect_anomaly()."
                )
            total, examples = total + value * len(x), examples + len(x)
            for callback in self.callbacks:
                callback.on_batch_end(self, value)
        if not examples:
            raise ValueError("Trainer.fit: expected at least one batch, and the loader gave none")
        return total / examples

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """`validation_loss` and the metrics, over all examples of `loader`."""
        sums, examples = dict.fromkeys(("validation_loss", *self.metrics), 0.0), 0
        was_training = self.model.training
        self.model.eval()
        with no_grad():
            for x, y in loader:
                output = self.model(x)
                sums["validation_loss"] += self.loss_function(output, y).item() * len(x)
                for name, metric in self.metrics.items():
                    sums[name] += metric(output, y) * len(x)
                examples += len(x)
        self.model.train(was_training)
        if not examples:
            raise ValueError("Trainer.evaluate: expected at least one batch, and the loader gave none")
        return {name: total / examples for name, total in sums.items()}

    def save(self, path: str | Path) -> None:
        """Write all that the next epoch depends on: weights, optimiser, schedule, random state, history."""
        checkpoint.save_checkpoint(
            path,
            model=self.model,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            history=self.history,
            loader=self._loader,
        )

    def resume(self, path: str | Path) -> Trainer:
        """Take over what `save` wrote; `fit` then goes on with the epoch after it, with the same bits.

        Raises ValueError for a file that is no checkpoint, RuntimeError for one of another model.
        """
        state = checkpoint.load_checkpoint(
            path, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler
        )
        self.history, self._resumed = state["history"], state
        return self
