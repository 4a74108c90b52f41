"""Comparisons of runs that were made up so that the answer is known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tinytorch.systems import SuiteResult, SuiteRow, compare
from tinytorch.systems.benchmarking.compare import holm, mann_whitney

pytestmark = pytest.mark.nojit_ok


def naive_mann_whitney(a, b):
    """The share of all ways to deal out the values whose U is at least as far from the middle."""
    values, n = [*a, *b], len(a)
    middle = n * len(b) / 2

    def distance(chosen):
        rest = [values[i] for i in range(len(values)) if i not in chosen]
        return abs(sum((values[i] > y) for i in chosen for y in rest) - middle)

    ways = list(itertools.combinations(range(len(values)), n))
    return sum(distance(way) >= distance(range(n)) for way in ways) / len(ways)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 5), (4, 4), (3, 6), (8, 1)])
def test_the_exact_test_counts_all_ways(n, m):
    values = np.random.default_rng(n + 10 * m).permutation(n + m).astype(float)
    for split in (values, np.sort(values)):
        assert mann_whitney(split[:n], split[n:]) == pytest.approx(naive_mann_whitney(split[:n], split[n:]))


def test_the_test_is_symmetric_and_ties_are_no_difference():
    assert mann_whitney([1.0, 2.0], [2.0, 3.0, 4.0]) == mann_whitney([2.0, 3.0, 4.0], [1.0, 2.0])
    assert mann_whitney([1.0] * 4, [1.0] * 4) == 1.0
    with pytest.raises(ValueError, match="expected values on both sides, got 0 and 1"):
        mann_whitney([], [1.0])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def run(times, machine=1.0, seed=0, rounds=24, **more):
    """Blocks around `times` (model -> ms) with 5 % of noise, on a machine `machine` times as slow."""
    rng = np.random.default_rng(seed)
    rows = []
    for model, time in times.items():
        blocks = machine * time * rng.lognormal(0, 0.05, rounds)
        p50 = float(np.median(blocks))
        ends, quality = (blocks.min(), blocks.max()), more.get("quality", 0.9)
        percentiles = (p50,) * 4
        rows.append(
            SuiteRow(model, "offline", 10, *percentiles, ends, 10 / p50, 99, quality, 100, blocks.tolist())
        )
    references = {
        name: (machine * rng.lognormal(0, 0.02, rounds)).tolist() for name in ("one thread", "all threads")
    }
    facts = {"processor": more.get("processor", "x")}
    return SuiteResult(rows, references, facts, {"numpy": "2"}, {"seed": seed, "rounds": rounds})


def test_the_same_code_twice_is_noise():
    times = {f"model {i}": 1.0 + i for i in range(6)}
    false = sum(len(compare(run(times, seed=2 * i), run(times, seed=2 * i + 1)).real) for i in range(40))
    assert false <= 3  # of 240; at most 5 % of the 40 comparisons of six are expected to have one


def test_what_became_faster_is_real_and_the_rest_is_not():
    a, b = run({"a": 1.0, "b": 2.0}, seed=0), run({"a": 1.0, "b": 1.5}, seed=1)
    found = compare(a, b)
    (difference,) = found.real
    assert (difference.model, difference.scenario) == ("b", "offline")
    assert difference.ratio == pytest.approx(0.75, abs=0.05)
    assert difference.relative == pytest.approx(0.75, abs=0.05)
    assert "b offline: faster, × 0.7" in str(found)
    assert "a offline: noise" in str(found)
    assert [d.model for d in compare(b, a).real] == ["b"]
    assert compare(b, a).real[0].ratio > 1


def test_a_slower_machine_is_no_slower_model():
    times = {"a": 1.0, "b": 2.0}
    found = compare(run(times, seed=0), run(times, machine=2.0, seed=1))
    assert found.real == []
    assert not any(difference.agree for difference in found.differences)
    assert all(difference.relative == pytest.approx(1, abs=0.1) for difference in found.differences)
    assert sum("the machine: its reference job on" in warning for warning in found.warnings) == 2


def test_other_machines_settings_and_rows_are_said():
    a, b = run({"a": 1.0, "b": 1.0}, seed=0), run({"a": 1.0, "c": 1.0}, seed=1, processor="y", quality=0.8)
    found = compare(a, b)
    assert "machine: processor 'x' -> 'y'" in found.warnings
    assert "settings: seed 0 -> 1" in found.warnings
    assert "only in a: b offline" in found.warnings
    assert "only in b: c offline" in found.warnings
    assert "quality 0.9 -> 0.8" in str(found)
    many = {f"model {i}": 1.0 for i in range(400)}
    assert any(
        "too many comparisons" in warning
        for warning in compare(run(many, rounds=8), run(many, rounds=8)).warnings
    )


def test_files_are_compared_as_results_are(tmp_path):
    a, b = run({"a": 1.0}), run({"a": 2.0}, seed=1)
    a.save(tmp_path / "a.json")
    b.save(tmp_path / "b.json")
    assert compare(tmp_path / "a.json", str(tmp_path / "b.json")).differences == compare(a, b).differences


def test_what_cannot_be_compared():
    a = run({"a": 1.0})
    with pytest.raises(ValueError, match=r"the two runs have no model and scenario in common \(a; b\)"):
        compare(a, run({"b": 1.0}))
    with pytest.raises(ValueError, match="expected runs of at least 6 rounds, got one of 5"):
        compare(a, run({"a": 1.0}, rounds=5))
    with pytest.raises(ValueError, match="expected a level between 0 and 1, got 5"):
        compare(a, a, level=5)
    assert replace(a, references={}).references == {}
    assert compare(replace(a, references={}), replace(a, references={})).real == []
