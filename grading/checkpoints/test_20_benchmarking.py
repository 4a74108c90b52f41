"""20 Benchmarking: how long, how sure, and which is faster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names


def sleeper(seconds: list[float], calls: list[float] | None = None) -> Callable[[], None]:
    """A function whose calls take these times, over and over."""
    made = [] if calls is None else calls

    def call() -> None:
        made.append(0.0)
        time.sleep(seconds[(len(made) - 1) % len(seconds)])

    return call


def test_percentiles_are_those_of_the_calls(lib: Names):
    found = lib.measure_latency(sleeper([0.001] * 9 + [0.03]), runs=40, warmup=0)
    holds(0.001 <= found.p50 < 0.006, f"p50 of calls of 1 ms, every tenth of 30: expected about 0.001 s, got "
          f"{found.p50:.4f}", "Half of the calls are faster.")  # fmt: skip
    holds(found.p99 >= 0.029, f"p99 of the same: expected about 0.03 s, got {found.p99:.4f}",
          "One call in a hundred is slower; a mean hides it.")  # fmt: skip
    holds(found.p50 <= found.p95 <= found.p99, f"p50, p95, p99: expected to rise, got {found.p50:.4f}, "
          f"{found.p95:.4f}, {found.p99:.4f}", "np.percentile.")  # fmt: skip


def test_calls_are_counted_and_warming_up_is_not(lib: Names):
    calls: list[float] = []

    def slow_at_first() -> None:
        calls.append(0.0)
        time.sleep(0.1 if len(calls) <= 2 else 0.001)

    found = lib.measure_latency(slow_at_first, runs=10, warmup=2)
    got = len(calls), found.runs
    holds(got == (12, 10), f"calls, and .runs, for runs=10 and warmup=2: expected (12, 10), got {got}",
          "Those before the clock starts do not count.")  # fmt: skip
    holds(found.p99 < 0.05, f"p99 without two slow first calls: expected about 0.001 s, got {found.p99:.4f}",
          "Begin to measure after them.")  # fmt: skip


def test_throughput_is_examples_a_second(lib: Names):
    found = lib.measure_latency(sleeper([0.002]), runs=8, warmup=0, batch=32)
    close("throughput of batches of 32", np.array(found.throughput), 32 / found.p50, "batch / p50.")


def test_the_median_lies_in_its_interval(lib: Names):
    found = lib.measure_latency(sleeper([0.001, 0.003]), runs=16, warmup=0)
    low, high = found.ci95
    holds(low <= found.p50 <= high and low < high, f"ci95: expected to enclose p50 = {found.p50:.4f}, got "
          f"{low:.4f} to {high:.4f}", "An estimate without an interval is no measurement.")  # fmt: skip


def test_an_interval_is_right_19_times_in_20(lib: Names):
    rng, enclosed, draws = np.random.default_rng(0), 0, 300
    for _ in range(draws):
        low, high = lib.median_interval(rng.exponential(size=25))
        enclosed += low <= np.log(2) <= high
    share = enclosed / draws
    holds(
        share >= 0.92,
        f"how often the interval of 25 draws encloses the median: expected 95 %, got {share:.0%}",
        "Two of the ordered values: the k-th smallest and the k-th largest.",
    )


def test_an_interval_is_no_wider_than_it_has_to_be(lib: Names):
    values = np.arange(101.0)
    low, high = lib.median_interval(values)
    holds(
        35 <= low <= 45 and 55 <= high <= 65,
        f"interval of the median of 0 to 100: expected 40 to 60, got {low:g} to {high:g}",
        "Of n values, about n/2 ± sqrt(n), by the binomial distribution.",
    )


def test_what_is_compared_takes_turns(lib: Names):
    order: list[str] = []

    def call(name: str) -> Callable[[], None]:
        return lambda: (order.append(name), time.sleep(0.001))[1]

    lib.measure_together({"a": call("a"), "b": call("b")}, rounds=6, warmup=0)
    turns = sum(one != two for one, two in itertools.pairwise(order))
    holds(turns >= 5, f"changes between a and b in six rounds: expected at least 5, got {turns}",
          "Whoever comes second meets another machine: warm, or busy.")  # fmt: skip


def test_a_speedup_is_found_with_its_interval(lib: Names):
    found = lib.measure_together({"old": sleeper([0.006]), "new": sleeper([0.002])}, rounds=8, warmup=1)
    times, (low, high) = lib.speedup(found["old"], found["new"])
    holds(2 < times < 3.6, f"6 ms against 2 ms: expected 3 × as fast, got {times:.2f} ×", "before / after.")
    holds(1 < low <= times <= high, f"its interval: expected to enclose {times:.2f} and to lie above 1, got "
          f"{low:.2f} to {high:.2f}", "Of ratios that were measured side by side.")  # fmt: skip
