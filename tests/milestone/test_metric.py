"""Metrics: shares that rise, and losses that fall."""

from __future__ import annotations

import math

import pytest

from tinytorch.milestone.metric import ACCURACY, Metric

LOSS = Metric("loss", "for each character", unit="nats", falls=True)
RISING, FALLING = {"pass": 0.65, "merit": 0.75}, {"pass": 1.88, "merit": 1.75}


@pytest.mark.parametrize(
    ("metric", "value", "marks", "best"),
    [
        (ACCURACY, 0.64, RISING, None),
        (ACCURACY, 0.65, RISING, "pass"),
        (ACCURACY, 0.80, RISING, "merit"),
        (ACCURACY, math.nan, RISING, None),
        (LOSS, 1.89, FALLING, None),
        (LOSS, 1.88, FALLING, "pass"),
        (LOSS, 1.2, FALLING, "merit"),
        (LOSS, math.nan, FALLING, None),
    ],
)
def test_the_hardest_mark_that_is_reached(metric, value, marks, best):
    assert metric.best(value, marks) == best
    assert metric.reaches(value, marks["pass"]) == (best is not None)


def test_texts():
    assert (ACCURACY.text(0.98314), ACCURACY.mark_text(0.95)) == ("98.31 %", "95%")
    assert (LOSS.text(1.652449), LOSS.mark_text(1.88)) == ("1.6524 nats", "1.88 nats")
    assert LOSS.told(1.5) == "1.5000 nats for each character"
