"""Points, those that nothing beats, and the best for a budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.systems.benchmarking.pareto import (
    Budget,
    BudgetNotMet,
    Candidate,
    Measured,
    best_within,
    mean,
    pareto_front,
    share,
)


def point(name="x", size=100, seconds=1.0, quality=0.9, falls=False):
    exact = (Measured(v, v, v) for v in (seconds, quality))
    return Candidate(name, size, *exact, falls=falls)


def test_wilsons_interval_holds_its_promise():
    rng = np.random.default_rng(0)
    for p in (0.5, 0.9, 0.99):
        found = [share(rng.random(400) < p) for _ in range(1000)]
        held = np.mean([m.low <= p <= m.high for m in found])
        assert 0.92 <= held <= 0.98
    assert share([True] * 5).high == 1.0


def test_mean_and_its_interval():
    rng = np.random.default_rng(0)
    found = [mean(rng.normal(3, 2, 50)) for _ in range(1000)]
    assert 0.92 <= np.mean([m.low <= 3 <= m.high for m in found]) <= 0.97
    assert mean([1.0, 3.0]).value == 2.0


def test_what_is_worse_in_everything_is_not_on_the_front():
    small, fast, good = point("small", 10, 3, 0.8), point("fast", 50, 1, 0.8), point("good", 90, 3, 0.95)
    worse = point("worse", 60, 2, 0.8)
    twin = point("twin", 10, 3, 0.8)
    assert pareto_front([worse, small, fast, good, twin]) == [small, fast, good, twin]


def test_of_losses_the_lower_is_better():
    low, high = point("low", quality=1.5, falls=True), point("high", quality=1.7, falls=True)
    assert low.beats(high)
    assert best_within([high, low], Budget()) is low
    with pytest.raises(BudgetNotMet, match="nearest is low"):
        best_within([high, low], Budget(quality=1.4))


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=1, max_size=12))
def test_the_front_is_what_brute_force_says(rows):
    points = [point(str(i), s, float(t), float(q)) for i, (s, t, q) in enumerate(rows)]
    front = pareto_front(points)
    for p in points:
        beaten = any(
            o.bytes <= p.bytes and o.seconds.value <= p.seconds.value and o.quality.value >= p.quality.value
            and (o.bytes, o.seconds, o.quality) != (p.bytes, p.seconds, p.quality) for o in points
        )  # fmt: skip
        assert (p in front) == (not beaten)
    assert best_within(points, Budget()).quality.value == max(p.quality.value for p in points)


def test_a_budget_chooses_the_best_that_fits():
    points = [point("a", 400, 4, 0.98), point("b", 100, 2, 0.97), point("c", 50, 1, 0.90)]
    assert best_within(points, Budget()).name == "a"
    assert best_within(points, Budget(bytes=399)).name == "b"
    assert best_within(points, Budget(seconds=1.0)).name == "c"
    assert best_within(points, Budget(bytes=100, quality=0.95)).name == "b"


def test_a_budget_that_nobody_meets_names_the_nearest():
    points = [point("a", 400, 4, 0.98), point("b", 100, 2, 0.97)]
    with pytest.raises(
        BudgetNotMet, match=r"at most 90 bytes.*none that was measured.*nearest is b"
    ) as found:
        best_within(points, Budget(bytes=90, quality=0.96))
    assert found.value.nearest is points[1]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="at least one candidate"):
        best_within([], Budget())
    with pytest.raises(ValueError, match="limit of seconds above 0, got -1"):
        best_within([point()], Budget(seconds=-1))
    with pytest.raises(ValueError, match="low ≤ value ≤ high"):
        Measured(1, 2, 3)
    with pytest.raises(ValueError, match="at least two values"):
        mean([1.0])
    with pytest.raises(ValueError, match="at least one answer"):
        share([])
