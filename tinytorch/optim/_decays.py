"""`ConstantLR`, `PolynomialLR` and `CosineAnnealingWarmRestarts`: schedules over a given number of steps."""

from __future__ import annotations

import math

from tinytorch.optim._optimizer import Optimizer
from tinytorch.optim._schedules import LRScheduler


class ConstantLR(LRScheduler):
    """`factor` times the initial rate for `total_iters` steps, then the initial rate."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ):
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: expected a factor above 0 and up to 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times the factor at first and by it at the end."""
        if self.last_epoch == 0:
            return self._times(self.factor)
        return self._times(1.0 / self.factor) if self.last_epoch == self.total_iters else self._rates()

    def closed_form(self) -> list[float]:
        """base · factor, and base from `total_iters` on."""
        over = self.last_epoch >= self.total_iters
        return [base * (1.0 if over else self.factor) for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """From the initial rate to 0 in `total_iters` steps, as `(1 - epoch / total_iters) ** power`."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        if not total_iters > 0:
            raise ValueError(f"PolynomialLR: expected total_iters above 0, got {total_iters}")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The next rates on the curve through the present ones."""
        if self._fresh or self.last_epoch > self.total_iters:
            return self._rates()
        left, before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return self._times((left / before) ** self.power)

    def closed_form(self) -> list[float]:
        """The formula above, 0 after the end."""
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the initial rate to `eta_min`, again and again: the first takes `T_0` steps, each
    later one `T_mult` times as many as the one before it.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> import tinytorch as tt
    >>> optimizer = tt.optim.SGD([tt.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for _ in range(4):
    ...     optimizer.step(); schedule.step()
    ...     print(round(schedule.get_last_lr()[0], 6))
    0.5
    1.0
    0.5
    1.0
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ):
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: expected a whole number above 0 for {name}, got {value!r}"
                )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self._part = 0.0  # of an epoch, beyond last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may lie between two: `step(epoch + batch / batches)`."""
        if epoch is not None:
            if epoch < 0:
                raise ValueError(f"CosineAnnealingWarmRestarts: expected an epoch from 0 up, got {epoch}")
            self.last_epoch = math.floor(epoch) - 1
            self._part = epoch - math.floor(epoch)
        super().step()

    def get_lr(self) -> list[float]:
        """`eta_min + (initial - eta_min) · (1 + cos(π · epochs since the restart / its length)) / 2`."""
        since, length = self.last_epoch + self._part, self.T_0
        if self.T_mult == 1:
            since %= length
        while since >= length:
            since, length = since - length, length * self.T_mult
        height = 1 + math.cos(math.pi * since / length)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]
