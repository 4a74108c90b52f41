"""How long a call takes: percentiles, and an interval for the median, from blocks of calls in turn.

On a machine that is shared, calls that follow each other are slow or fast together: a neighbour comes and
stays for seconds. An interval that takes each call for an independent draw is then far too narrow. So calls
are made in blocks, what is compared takes turns block by block, and the interval is that of the median of
eight sections, each an eighth of the rounds. (On two cores with six other busy processes, two runs of 14 s of
the same code agreed within intervals from 20 blocks in 50 to 70 % of cases, from 8 sections in 85 to 94 %.)
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FEWEST = 6  # of independent values, below which no two of them enclose the median 95 times in 100
BLOCK_SECONDS = 0.02  # of one block, where a call is shorter
BLOCKS = 24  # measured at least where time allows, and into which a given number of runs is split
SECTIONS = 8  # of the blocks, whose medians make the interval


@dataclass(frozen=True)
class Latency:
    """Seconds of a call.

    p50, p95, p99: percentiles over all calls (with fewer than 100 calls p99 is nearly the slowest).
    mean: over all calls. ci95: the 95 % confidence interval of the median, by order statistics of the
    sections (of eight, the extremes, which enclose it in 99 % of the cases); p50 is always in it.
    runs: calls. batch: examples in a call.
    blocks: the median of each block of calls, in the order of the rounds. samples: every call.
    """

    p50: float
    p95: float
    p99: float
    mean: float
    ci95: tuple[float, float]
    runs: int
    batch: int = 1
    blocks: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    samples: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @property
    def throughput(self) -> float:
        """Examples a second, one call after the other: batch / p50."""
        return self.batch / self.p50

    @property
    def precision(self) -> float:
        """Half the interval as a share of the median."""
        return (self.ci95[1] - self.ci95[0]) / (2 * self.p50)


def sections(blocks: Sequence[float] | np.ndarray) -> np.ndarray:
    """The medians of eight stretches of the blocks, in order; of each, where there are fewer than eight."""
    return np.array([np.median(part) for part in np.array_split(blocks, min(SECTIONS, len(blocks)))])


def median_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The two order statistics that enclose the median of what `values` are drawn from.

    Distribution-free: x₍ₖ₎ and x₍ₙ₊₁₋ₖ₎ with the largest k for which P(Bin(n, ½) < k) ≤ (1 - confidence) / 2.
    The values must be independent; see the module's first lines for what is not.

    Raises ValueError for fewer values than any interval of that confidence needs (6 for 95 %).
    Source: H. David, H. Nagaraja, "Order Statistics", 2003, section 7.1.

    >>> median_interval([5.0, 1.0, 3.0, 2.0, 4.0, 6.0])
    (1.0, 6.0)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"median_interval: expected a confidence between 0 and 1, got {confidence}")
    ordered = np.sort(np.asarray(values, np.float64))
    n, k, below = len(ordered), 0, 0.0
    log_all = n * math.log(2)
    while k < n:
        log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(log_ways - log_all)
        if below > (1 - confidence) / 2:
            break
        k += 1
    if k == 0:
        least = math.ceil(1 - math.log2(1 - confidence))
        raise ValueError(
            f"median_interval: expected at least {least} values for an interval of {confidence:.0%}, got {n}"
        )
    return float(ordered[k - 1]), float(ordered[n - k])


def measure_latency(
    function: Callable[[], Any],
    *,
    runs: int | None = None,
    warmup: int = 3,
    seconds: float = 2.0,
    precision: float = 0.02,
    batch: int = 1,
) -> Latency:
    """Time calls of `function()`, after `warmup` calls that are not counted.

    runs: exactly so many calls, in up to 24 blocks; None goes on until half the confidence interval is
    `precision` of the median, but for about `seconds` at most (and 6 calls at least, however long they take).
    batch: examples in a call, for the throughput.

    Raises ValueError for fewer than 6 runs, from which no 95 % interval of a median follows.

    >>> measured = measure_latency(lambda: sum(range(1000)), runs=60)
    >>> measured.runs, measured.ci95[0] <= measured.p50 <= measured.ci95[1]
    (60, True)
    """
    if runs is None:
        return measure_together(
            {"": function}, warmup=warmup, seconds=seconds, precision=precision, batch=batch
        )[""]
    if runs < FEWEST:
        raise ValueError(
            f"measure_latency: expected at least {FEWEST} runs, without which no 95 % interval of the median "
            f"exists, got {runs}"
        )
    _check(warmup, batch)
    for _ in range(warmup):
        function()
    return summarise(
        [times.tolist() for times in np.array_split(_calls(function, runs), min(runs, BLOCKS))], batch
    )


def measure_together(
    functions: Mapping[str, Callable[[], Any]],
    *,
    warmup: int = 3,
    seconds: float = 2.0,
    precision: float = 0.02,
    rounds: int | None = None,
    batch: int | Mapping[str, int] = 1,
    prepare: Callable[[str], Any] | None = None,
    seed: int = 0,
) -> dict[str, Latency]:
    """Time several functions in turn: in each round one block of calls of each, in an order drawn anew.

    What the machine does meanwhile happens to all of them, so they can be compared: see `speedup`.

    seconds: for each function, about. rounds: exactly so many (6 or more) instead of until all intervals have
    half-widths of `precision`. prepare: called with the name before a block, and not timed. batch: examples
    in a call, or of each function.
    """
    if not functions:
        raise ValueError("measure_together: expected at least one function, got none")
    if rounds is not None and rounds < FEWEST:
        raise ValueError(f"measure_together: expected at least {FEWEST} rounds, got {rounds}")
    names, rng = list(functions), random.Random(seed)
    batches = {name: batch if isinstance(batch, int) else batch[name] for name in names}
    calls = {}
    for name in names:
        _check(warmup, batches[name])
        if prepare is not None:
            prepare(name)
        fastest = _calls(functions[name], max(warmup, 1)).min()
        calls[name] = max(1, min(2000, int(BLOCK_SECONDS / max(1e-7, fastest))))
    blocks: dict[str, list[list[float]]] = {name: [] for name in names}
    end = time.perf_counter() + seconds * len(names)
    done = 0
    while rounds is None or done < rounds:
        for name in rng.sample(names, len(names)):
            if prepare is not None:
                prepare(name)
            blocks[name].append(_calls(functions[name], calls[name]).tolist())
        done += 1
        if rounds is None and done >= FEWEST:
            late = time.perf_counter() >= end
            if late or (done >= BLOCKS and all(_is_narrow(blocks[name], precision) for name in names)):
                break
    return {name: summarise(blocks[name], batches[name]) for name in names}


def summarise(blocks: Sequence[Sequence[float]], batch: int = 1) -> Latency:
    """A `Latency` from the seconds of calls in blocks."""
    medians = np.array([statistics.median(block) for block in blocks])
    samples = np.concatenate([np.asarray(block, np.float64) for block in blocks])
    p50, p95, p99 = (float(p) for p in np.percentile(samples, (50, 95, 99)))
    low, high = median_interval(sections(medians))
    ci95 = min(low, p50), max(high, p50)
    return Latency(p50, p95, p99, float(samples.mean()), ci95, len(samples), batch, medians, samples)


def speedup(before: Latency, after: Latency) -> tuple[float, tuple[float, float]]:
    """How many times faster `after` is than `before`, of one `measure_together`, with its 95 % interval.

    The median over the rounds of the ratio of two blocks that were measured side by side: what slowed the
    machine down for a while is in both of them.

    Raises ValueError where the two were not measured in the same rounds.
    """
    if len(before.blocks) != len(after.blocks):
        raise ValueError(
            f"speedup: expected two measurements of the same rounds, got {len(before.blocks)} and "
            f"{len(after.blocks)} blocks. Measure them by one call of measure_together."
        )
    ratios = before.blocks / after.blocks
    return float(np.median(ratios)), median_interval(sections(ratios))


def _check(warmup: int, batch: int) -> None:
    if warmup < 0:
        raise ValueError(f"measure_latency: expected a warmup of 0 calls or more, got {warmup}")
    if batch < 1:
        raise ValueError(f"measure_latency: expected a batch of 1 or more, got {batch}")


def _calls(function: Callable[[], Any], calls: int) -> np.ndarray:
    clock, times = time.perf_counter, np.empty(calls)
    for i in range(calls):
        start = clock()
        function()
        times[i] = clock() - start
    return times


def _is_narrow(blocks: list[list[float]], precision: float) -> bool:
    medians = [statistics.median(block) for block in blocks]
    low, high = median_interval(sections(medians))
    return high - low <= 2 * precision * statistics.median(medians)
