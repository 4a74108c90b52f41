"""Which of several models is worth having: measured points, those nothing beats, the best for a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Measured:
    """A number that was measured, and the 95 % interval around it."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"Measured: expected low ≤ value ≤ high, got {self.low}, {self.value}, {self.high}"
            )


def share(right: Sequence[bool] | np.ndarray) -> Measured:
    """The share of `right`, (n,), that is true, with Wilson's interval.

    Source: E. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    >>> share([True] * 9 + [False])
    Measured(value=0.9, low=0.5958..., high=0.9821...)
    """
    right = np.asarray(right, np.bool_)
    n = len(right)
    if n == 0:
        raise ValueError("share: expected at least one answer, got none")
    p, z = float(right.mean()), Z95
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Measured(p, min(p, (middle - half) / scale), max(p, (middle + half) / scale))


def mean(values: Sequence[float] | np.ndarray) -> Measured:
    """The mean of independent values, (n,) with n ≥ 2, with the interval of the normal distribution."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        raise ValueError(f"mean: expected at least two values, got {len(values)}")
    middle, half = float(values.mean()), Z95 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Measured(middle, middle - half, middle + half)


@dataclass(frozen=True)
class Candidate:
    """One model, measured.

    bytes: of its file. seconds: of one answer. quality: on the test data. falls: a lower quality is better,
    as of a loss.
    """

    name: str
    bytes: int
    seconds: Measured
    quality: Measured
    falls: bool = False

    @property
    def loss(self) -> float:
        """The quality, turned so that less is better."""
        return self.quality.value if self.falls else -self.quality.value

    def beats(self, other: Candidate) -> bool:
        """Whether it is no larger, no slower and no worse than `other`, and better in one of these."""
        mine = (self.bytes, self.seconds.value, self.loss)
        theirs = (other.bytes, other.seconds.value, other.loss)
        return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def pareto_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other candidate beats, in the order they came in. Cost O(n²)."""
    return [c for c in candidates if not any(other.beats(c) for other in candidates)]


@dataclass(frozen=True)
class Budget:
    """What a model may cost, and how good it must be; None asks for nothing.

    bytes: of its file, at most. seconds: of one answer, at most. quality: at least, or at most where lower is
    better.
    """

    bytes: float | None = None
    seconds: float | None = None
    quality: float | None = None

    def excess(self, candidate: Candidate) -> float:
        """By what share the candidate misses the limit that it misses most; 0 where it meets all."""
        worst = 0.0
        for limit, value in ((self.bytes, candidate.bytes), (self.seconds, candidate.seconds.value)):
            if limit is not None:
                worst = max(worst, value / limit - 1)
        if self.quality is not None:
            value = candidate.quality.value
            missing = value - self.quality if candidate.falls else self.quality - value
            worst = max(worst, missing / abs(self.quality) if self.quality else missing)
        return worst


class BudgetNotMet(ValueError):
    """No candidate meets the budget; `nearest` is the one that misses it by the smallest share."""

    def __init__(self, budget: Budget, nearest: Candidate):
        limits = []
        if budget.bytes is not None:
            limits.append(f"at most {budget.bytes:,.0f} bytes")
        if budget.seconds is not None:
            limits.append(f"at most {1e3 * budget.seconds:g} ms")
        if budget.quality is not None:
            limits.append(f"a quality of {budget.quality:g} or better")
        super().__init__(
            f"expected a model with {', '.join(limits)}; none that was measured has it. The nearest is "
            f"{nearest.name}: {nearest.bytes:,} bytes, {1e3 * nearest.seconds.value:.4g} ms, quality "
            f"{nearest.quality.value:.4g}. Ask for less, or allow more"
        )
        self.budget, self.nearest = budget, nearest


def best_within(candidates: Sequence[Candidate], budget: Budget) -> Candidate:
    """The candidate of the best quality that meets the budget; of equals the smallest, then the fastest.

    Raises:
        BudgetNotMet: none meets it.
        ValueError: there are no candidates, or a limit is not above 0.
    """
    if not candidates:
        raise ValueError("best_within: expected at least one candidate, got none")
    for name, limit in (("bytes", budget.bytes), ("seconds", budget.seconds)):
        if limit is not None and not limit > 0:
            raise ValueError(f"best_within: expected a limit of {name} above 0, got {limit}")
    fitting = [c for c in candidates if budget.excess(c) == 0]
    if not fitting:
        raise BudgetNotMet(budget, min(candidates, key=budget.excess))
    return min(fitting, key=lambda c: (c.loss, c.bytes, c.seconds.value))
