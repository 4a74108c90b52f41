"""Module 20: clocks that can be believed."""

import time

from grading.gates import require


def test_the_median_is_what_it_takes(names):
    found = names("latency")(lambda: time.sleep(0.01), repeats=10)
    require(0.0095 < found < 0.02, f"latency of a pause of 10 ms: expected about 0.01 s, got {found:.4f}")


def test_percentiles_are_in_order(names):
    found = names("measure_latency")(lambda: sum(range(2000)), seconds=0.2)
    require(found.p50 <= found.p95 <= found.p99, "expected p50 <= p95 <= p99")
    require(found.ci95[0] <= found.p50 <= found.ci95[1], "the median lies outside of its own interval")


def test_a_first_call_does_not_count(names):
    calls = []

    def work():
        calls.append(time.sleep(0.05 if not calls else 0.001))

    found = names("latency")(work, repeats=10)
    require(found < 0.01, f"a slow first call: expected it left out, got a median of {found:.3f} s")
