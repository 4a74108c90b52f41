"""What can be hung into a training loop: progress, stopping early, checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinytorch.training.trainer import Trainer


class Callback:
    """Is told how a `Trainer` gets on; override what is of interest."""

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        """The parameters were updated for a batch whose loss was `loss`."""

    def on_epoch_end(self, trainer: Trainer, entry: dict[str, Any]) -> None:
        """An epoch ended; `entry` is its line of the history. `trainer.stop = True` makes it the last."""


class PrintProgress(Callback):
    """A line for every epoch, or for every `every` epochs."""

    def __init__(self, every: int = 1):
        self.every = every

    def on_epoch_end(self, trainer: Trainer, entry: dict[str, Any]) -> None:
        """Print the epoch's numbers."""
        if entry["epoch"] % self.every == 0:
            print("  ".join(f"{name} {_text(value)}" for name, value in entry.items()))


class EarlyStopping(Callback):
    """Stop when `monitor` has not become better for `patience` epochs.

    monitor: a key of the history's entries; what ends in "loss" is better when smaller, everything else when
    larger. min_delta: how much better counts.
    """

    def __init__(self, monitor: str = "validation_loss", patience: int = 3, min_delta: float = 0.0):
        if patience < 1:
            raise ValueError(f"EarlyStopping: expected patience from 1 up, got {patience}")
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta

    def on_epoch_end(self, trainer: Trainer, entry: dict[str, Any]) -> None:
        """Compare with the best in the history, which a resumed run has too."""
        sign = -1.0 if self.monitor.endswith("loss") else 1.0
        best, since = -math.inf, 0
        for past in trainer.history:
            value = sign * monitored(past, self.monitor)
            if value > best + self.min_delta:
                best, since = value, 0
            else:
                since += 1
        if since >= self.patience:
            trainer.stop = True


class Checkpoint(Callback):
    """Save the whole state of the training to `path` after every `every` epochs, and after the last.

    best: a key of the history; with it only an epoch that is the best so far is saved.
    `Trainer.resume(path)` goes on from there, with the same bits as if there had been no interruption.
    """

    def __init__(self, path: str | Path, every: int = 1, best: str | None = None):
        self.path, self.every, self.best = Path(path), every, best

    def on_epoch_end(self, trainer: Trainer, entry: dict[str, Any]) -> None:
        """Save if it is time."""
        if self.best is not None:
            sign = -1.0 if self.best.endswith("loss") else 1.0
            values = [sign * monitored(past, self.best) for past in trainer.history]
            if values[-1] >= max(values):
                trainer.save(self.path)
        elif entry["epoch"] % self.every == 0 or entry["epoch"] == trainer.epochs or trainer.stop:
            trainer.save(self.path)


def monitored(entry: dict[str, Any], name: str) -> float:
    """The value under `name`; NaN counts as worst."""
    if name not in entry:
        raise KeyError(
            f"expected {name!r} in the history, which has {', '.join(entry)}. Did fit() get validation data?"
        )
    value = float(entry[name])
    return value if value == value else (math.inf if name.endswith("loss") else -math.inf)


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
