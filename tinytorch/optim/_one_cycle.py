"""`OneCycleLR`: up to a large rate and down to almost nothing, the momentum the other way round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinytorch.optim._optimizer import Optimizer
from tinytorch.optim._schedules import LRScheduler, check_optimizer


class OneCycleLR(LRScheduler):
    """From `max_lr / div_factor` up to `max_lr`, then down to `initial / final_div_factor`: once, over the
    whole run.

    Call `step()` after every batch. Momentum (or Adam's first beta) goes from `max_momentum` down to
    `base_momentum` while the rate rises, and back up while it falls.

    max_lr: the highest rate, or a list with one for each parameter group.
    total_steps: how many batches there are; or give `epochs` and `steps_per_epoch`.
    pct_start: the part of the steps that the rate rises for.
    anneal_strategy: "cos" or "linear".
    cycle_momentum: False leaves the momentum alone.
    three_phase: fall as long as the rate rose, and then on to almost nothing.

    Raises ValueError for steps beyond `total_steps`, and for an optimizer without momentum when it is to be
    cycled.
    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018.

    >>> import tinytorch as tt
    >>> optimizer = tt.optim.Adam([tt.zeros(1, requires_grad=True)])
    >>> schedule = tt.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=100)
    >>> round(optimizer.param_groups[0]["lr"], 6), optimizer.param_groups[0]["betas"]
    (0.0004, (0.95, 0.999))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        check_optimizer("OneCycleLR", optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"OneCycleLR: expected a whole number of steps above 0, got {total_steps!r}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: expected pct_start from 0 to 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.total_steps = total_steps
        self.cycle_momentum = cycle_momentum
        self._anneal_strategy = anneal_strategy
        self._phases = _phases(float(pct_start * total_steps), total_steps, three_phase)
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group, highest in zip(groups, _per_group("max_lr", max_lr, len(groups)), strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, fresh=last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _prepare_momentum(self, optimizer: Optimizer, base: Any, most: Any, fresh: bool) -> None:
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas to cycle; pass "
                "cycle_momentum=False"
            )
        self._cycles_beta = "betas" in optimizer.defaults
        groups = optimizer.param_groups
        bases = _per_group("base_momentum", base, len(groups))
        mosts = _per_group("max_momentum", most, len(groups))
        if fresh:
            for group, lowest, highest in zip(groups, bases, mosts, strict=True):
                self._set_momentum(group, highest)
                group["max_momentum"], group["base_momentum"] = highest, lowest

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self._cycles_beta:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`; sets the momentum on the way."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} is beyond the cycle of {self.total_steps} steps. "
                "Expected total_steps = epochs · batches in an epoch, and one step() a batch."
            )
        start = 0.0
        for phase in self._phases:
            end, lr_from, lr_to, momentum_from, momentum_to = phase
            if step <= end or phase is self._phases[-1]:
                break
            start = end
        way = (step - start) / (end - start) if end > start else 1.0
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            self._set_momentum(group, self._anneal(group[momentum_from], group[momentum_to], way))
        return [self._anneal(group[lr_from], group[lr_to], way) for group in self.optimizer.param_groups]

    def _anneal(self, start: float, end: float, way: float) -> float:
        if self._anneal_strategy == "linear":
            return (end - start) * way + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)


def _phases(rise: float, total: int, three: bool) -> list[tuple[float, str, str, str, str]]:
    """(last step, lr from, lr to, momentum from, momentum to), as keys of a parameter group."""
    up = (rise - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three:
        return [up, (total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    return [
        up,
        (2 * rise - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
        (total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
    ]


def _per_group(name: str, value: Any, groups: int) -> list[float]:
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"OneCycleLR: expected {groups} values for {name}, one a parameter group, got {len(value)}"
        )
    return list(value)
