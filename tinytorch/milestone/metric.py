"""What a milestone is measured by: the share of right answers, or how surprised a language model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that says how good a model is.

    name: in result.json and in the history. about: what it counts, after the number.
    unit: "" for shares of one, which are shown in percent. falls: smaller is better.
    """

    name: str
    about: str
    unit: str = ""
    falls: bool = False

    def reaches(self, value: float, mark: float) -> bool:
        """Whether `value` is as good as `mark`; NaN is not."""
        return value <= mark if self.falls else value >= mark

    def text(self, value: float) -> str:
        """`98.31 %`, or `1.6524 nats`."""
        return f"{value:.4f} {self.unit}" if self.unit else f"{100 * value:.2f} %"

    def mark_text(self, mark: float) -> str:
        """The same, as short as the mark was given."""
        return f"{mark:g} {self.unit}" if self.unit else f"{mark:.0%}"

    def told(self, value: float) -> str:
        """With what it counts."""
        return f"{self.text(value)} {self.about}"

    def best(self, value: float, marks: Mapping[str, float]) -> str | None:
        """Name of the hardest of `marks` that `value` reaches, None where it reaches none."""
        reached = [name for name, mark in marks.items() if self.reaches(value, mark)]
        return max(reached, key=lambda name: -marks[name] if self.falls else marks[name], default=None)


ACCURACY = Metric("accuracy", "of the test data right")
