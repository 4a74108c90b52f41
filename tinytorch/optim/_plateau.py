"""`ReduceLROnPlateau`: a smaller rate when a measure stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinytorch.optim._optimizer import Optimizer
from tinytorch.optim._schedules import check_optimizer


class ReduceLROnPlateau:
    """Multiply the rates by `factor` once a measure has not improved for more than `patience` calls of
    `step`.

    mode: "min" if smaller is better (a loss), "max" if larger is (an accuracy).
    threshold, threshold_mode: what counts as better: by that part of the best value ("rel"), or by that much
    ("abs").
    cooldown: calls after a reduction during which nothing is counted.
    min_lr: a lower bound, or a list with one for each parameter group.
    eps: reductions by no more than this are not carried out.

    >>> import tinytorch as tt
    >>> optimizer = tt.optim.SGD([tt.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = tt.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in [2.0, 1.0, 1.0, 1.0]:
    ...     schedule.step(loss)
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ):
        self.optimizer = check_optimizer("ReduceLROnPlateau", optimizer)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: expected a factor below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: expected mode 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: expected threshold_mode 'rel' or 'abs', got {threshold_mode!r}"
            )
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(
                f"ReduceLROnPlateau: expected {groups} values for min_lr, got {len(self.min_lrs)}"
            )
        self.mode, self.factor, self.patience, self.eps = mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:
        """Take note of the measure, a number or a tensor with one element."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _reduce(self) -> None:
        for group, lowest in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lower = max(group["lr"] * self.factor, lowest)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bar = self.best * (1 + sign * self.threshold)
        else:
            bar = self.best + sign * self.threshold
        return value < bar if self.mode == "min" else value > bar

    def get_last_lr(self) -> list[float]:
        """The rates after the last `step`, one a group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """The counters and the best value: all but the optimiser."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.__dict__.update(state_dict)
