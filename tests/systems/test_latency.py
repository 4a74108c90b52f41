"""Percentiles and intervals by their definitions; which calls are made."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.systems import Latency, measure_latency, measure_together, median_interval, speedup
from tinytorch.systems.benchmarking.latency import SECTIONS, sections, summarise

pytestmark = pytest.mark.nojit_ok


def naive_rank(n: int) -> int:
    """The largest k with P(Bin(n, 1/2) < k) <= 0.025, by adding up all ways."""
    k = 0
    while sum(math.comb(n, i) for i in range(k + 1)) / 2**n <= 0.025:
        k += 1
    return k


@pytest.mark.parametrize("n", [6, 7, 8, 9, 12, 20, 35, 100, 250])
def test_the_interval_of_a_median_has_the_ranks_of_the_binomial(n):
    values = np.random.default_rng(0).permutation(n).astype(float)
    k = naive_rank(n)
    assert median_interval(values) == (k - 1, n - k)


def test_the_interval_encloses_the_median_as_often_as_it_says():
    draws = np.random.default_rng(0).exponential(size=(4000, 15))
    inside = [low <= math.log(2) <= high for low, high in map(median_interval, draws)]
    assert 0.95 <= np.mean(inside) <= 0.985  # 96.5 %


def test_an_interval_needs_values():
    with pytest.raises(ValueError, match="expected at least 6 values for an interval of 95%, got 5"):
        median_interval([1.0] * 5)
    with pytest.raises(ValueError, match="expected a confidence between 0 and 1, got 95"):
        median_interval([1.0] * 9, 95)


@given(st.lists(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=5), min_size=6, max_size=30))
def test_a_summary_is_in_order(blocks):
    found = summarise(blocks, 4)
    every = np.concatenate(blocks)
    assert found.runs == len(every)
    assert found.p50 == np.median(every)
    assert found.p50 <= found.p95 <= found.p99 <= every.max()
    assert found.ci95[0] <= found.p50 <= found.ci95[1]
    assert found.mean == pytest.approx(every.mean())
    assert found.throughput == pytest.approx(4 / found.p50)
    assert len(found.blocks) == len(blocks)


def test_eight_sections_have_their_extremes_as_interval():
    blocks = [[float(i)] for i in range(16)]
    assert sections(np.arange(16.0)).tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]
    assert len(sections(np.arange(7.0))) == 7 < SECTIONS
    assert summarise(blocks).ci95 == (0.5, 14.5)
    assert summarise(blocks).precision == pytest.approx(14 / 2 / 7.5)


def test_exactly_so_many_calls_as_asked_for():
    calls = []
    found = measure_latency(lambda: calls.append(1), runs=50, warmup=4, batch=8)
    assert isinstance(found, Latency)
    assert len(calls) == 54
    assert (found.runs, found.batch, len(found.samples)) == (50, 8, 50)
    assert found.throughput == 8 / found.p50


def test_without_a_number_it_stops_by_the_clock():
    calls = []
    found = measure_latency(lambda: calls.append(1), seconds=0.0, warmup=0)
    assert len(found.blocks) == 6
    assert found.runs == len(calls) - 1  # one tells how long a block is


def test_functions_take_turns():
    order = []
    found = measure_together(
        {"a": lambda: None, "b": lambda: None}, rounds=8, prepare=order.append, batch={"a": 1, "b": 5}
    )
    rounds = [set(order[i : i + 2]) for i in range(0, len(order), 2)]
    assert rounds == [{"a", "b"}] * 9  # a warm-up and eight
    assert len(found["a"].blocks) == len(found["b"].blocks) == 8
    assert (found["a"].batch, found["b"].batch) == (1, 5)


def test_a_speedup_is_the_median_of_ratios_side_by_side():
    drift = np.linspace(1, 9, 16)
    slow, fast = (summarise([[factor * d] for d in drift]) for factor in (3.0, 1.0))
    ratio, (low, high) = speedup(slow, fast)
    assert ratio == pytest.approx(3)
    assert low == pytest.approx(3)
    assert high == pytest.approx(3)
    with pytest.raises(ValueError, match="two measurements of the same rounds, got 16 and 8 blocks"):
        speedup(slow, summarise([[1.0]] * 8))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"runs": 5}, "expected at least 6 runs, without which no 95 % interval of the median exists, got 5"),
        ({"warmup": -1}, "expected a warmup of 0 calls or more, got -1"),
        ({"batch": 0}, "expected a batch of 1 or more, got 0"),
    ],
)
def test_what_cannot_be_measured(arguments, text):
    with pytest.raises(ValueError, match=text):
        measure_latency(lambda: None, **arguments)


def test_measuring_nothing():
    with pytest.raises(ValueError, match="expected at least one function, got none"):
        measure_together({})
    with pytest.raises(ValueError, match="expected at least 6 rounds, got 2"):
        measure_together({"a": lambda: None}, rounds=2)
