"""One model at several sizes of batch, numbers of threads, or lengths: what a call costs, and an example."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.autograd.modes import inference_mode
from tinytorch.kernels._jit import get_num_threads, set_num_threads
from tinytorch.nn import Module
from tinytorch.systems.benchmarking.latency import Latency, measure_together
from tinytorch.tensor import Tensor


@dataclass(frozen=True)
class SweepRow:
    """One point of a sweep: examples in a call, threads of the kernels, and how long a call takes."""

    batch: int
    threads: int
    latency: Latency

    @property
    def throughput(self) -> float:
        """Examples a second."""
        return self.latency.throughput


def batch_sweep(
    model: Callable[[Any], Any],
    example: Any,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    *,
    seconds: float = 1.0,
    precision: float = 0.02,
) -> list[SweepRow]:
    """Latency and throughput at each size of batch, measured in turn.

    example: (n, ...), n of 1 or more; its examples are repeated to fill a batch.
    seconds, precision: as in `measure_latency`, for each size.

    >>> import tinytorch as tt
    >>> [row.batch for row in batch_sweep(tt.nn.Linear(4, 2), tt.zeros(1, 4), (1, 8), seconds=0.01)]
    [1, 8]
    """
    _check_each("batch_sweep", "sizes", sizes)
    array = _array("batch_sweep", example)
    batches = {str(n): Tensor(np.resize(array, (n, *array.shape[1:]))) for n in sizes}
    calls = {name: _call(model, batch) for name, batch in batches.items()}
    counts = {name: len(batch) for name, batch in batches.items()}
    with evaluating(model):
        measured = measure_together(calls, seconds=seconds, precision=precision, batch=counts)
    return [SweepRow(counts[name], get_num_threads(), latency) for name, latency in measured.items()]


def thread_sweep(
    model: Callable[[Any], Any],
    batch: Any,
    threads: Sequence[int] | None = None,
    *,
    seconds: float = 1.0,
    precision: float = 0.02,
) -> list[SweepRow]:
    """Latency and throughput of `model(batch)` at each number of threads, measured in turn.

    threads: None takes 1 up to the present number. The number from before comes back afterwards.

    Raises ValueError, as `set_num_threads` does, for more threads than the process started with.
    """
    before = get_num_threads()
    wanted = tuple(range(1, before + 1)) if threads is None else tuple(threads)
    _check_each("thread_sweep", "threads", wanted)
    tensor = Tensor(_array("thread_sweep", batch))
    calls = {str(count): _call(model, tensor) for count in wanted}
    try:
        with evaluating(model):
            measured = measure_together(
                calls,
                seconds=seconds,
                precision=precision,
                batch=len(tensor),
                prepare=lambda name: set_num_threads(int(name)),
            )
    finally:
        set_num_threads(before)
    return [SweepRow(len(tensor), int(name), latency) for name, latency in measured.items()]


@dataclass(frozen=True)
class CacheRow:
    """Reading tokens one after the other, with a cache of keys and values and without.

    tokens: of each sequence. cached, recomputed: seconds for all of them, the median of the repeats.
    difference: the largest between a logit of the one and of the other. cache_bytes: what the cache holds.
    """

    tokens: int
    cached: float
    recomputed: float
    difference: float
    cache_bytes: int

    @property
    def speedup(self) -> float:
        """How many times faster the cache makes it."""
        return self.recomputed / self.cached


def cache_study(
    model: Any,
    tokens: Any,
    lengths: Sequence[int] | None = None,
    *,
    repeats: int = 3,
    tolerance: float = 1e-4,
) -> list[CacheRow]:
    """Measure a GPT's key-value cache against computing everything again for each token.

    tokens: (t,) or (batch, t). The logits that follow each token are asked for, as `generate` does, once with
    a cache that is given one token at a time, and once with all the tokens so far. Both ways take turns.
    lengths: how many of the tokens; None takes a quarter, half, and all of them.

    Raises ValueError for more tokens than the model can see at once, and RuntimeError where the logits differ
    by more than `tolerance` of the largest: then the cache is wrong, and its speed is worth nothing.
    Cost: without a cache the work grows with the square of the length.
    """
    ids = np.atleast_2d(np.asarray(tokens.data if isinstance(tokens, Tensor) else tokens, np.int64))
    longest, context = ids.shape[1], model.config.block_size
    if ids.ndim != 2 or not 0 < longest <= context:
        raise ValueError(
            f"cache_study: expected (t,) or (batch, t) tokens, t from 1 to {context} (block_size), got "
            f"{ids.shape}"
        )
    wanted = sorted(
        {max(1, longest // 4), max(1, longest // 2), longest} if lengths is None else set(lengths)
    )
    _check_each("cache_study", "lengths", wanted)
    if wanted[-1] > longest:
        raise ValueError(f"cache_study: expected lengths up to the {longest} tokens, got {wanted[-1]}")
    if repeats < 1:
        raise ValueError(f"cache_study: expected at least one repeat, got {repeats}")
    rows = []
    with evaluating(model):
        for length in wanted:
            seconds: tuple[list[float], list[float]] = ([], [])
            difference = 0.0
            for _ in range(repeats + 1):
                cache = model.new_cache(len(ids))
                taken, with_cache = _timed(
                    lambda i, cache=cache: model.hidden(ids[:, i : i + 1], cache), model, length
                )
                seconds[0].append(taken)
                taken, without = _timed(lambda i: model.hidden(ids[:, : i + 1]), model, length)
                seconds[1].append(taken)
                difference = max(difference, _difference(with_cache, without, tolerance))
            cached, recomputed = (float(np.median(times[1:])) for times in seconds)  # the first was a warm-up
            rows.append(CacheRow(length, cached, recomputed, difference, cache.nbytes))
    return rows


def _timed(hidden: Callable[[int], Tensor], model: Any, length: int) -> tuple[float, np.ndarray]:
    """Seconds for the logits after each of `length` tokens, and these: (length, batch, vocab_size)."""
    start = time.perf_counter()
    logits = [model.head(hidden(i)[:, -1]).numpy() for i in range(length)]
    return time.perf_counter() - start, np.stack(logits)


def _difference(one: np.ndarray, other: np.ndarray, tolerance: float) -> float:
    difference, largest = float(np.abs(one - other).max()), float(np.abs(other).max())
    if not difference <= tolerance * max(largest, 1e-30):
        raise RuntimeError(
            f"cache_study: expected equal logits with and without a cache, up to {tolerance:g} of the "
            f"largest ({largest:g}), got a difference of {difference:g}"
        )
    return difference


class evaluating:
    """Evaluation mode and no graph in a `with` block; each module has its own mode back afterwards."""

    def __init__(self, *models: Any):
        self._modules = [part for model in models if isinstance(model, Module) for part in model.modules()]
        self._mode = inference_mode()

    def __enter__(self) -> None:
        self._training = [module.training for module in self._modules]
        for module in self._modules:
            module.training = False
        self._mode.__enter__()

    def __exit__(self, *_: object) -> None:
        self._mode.__exit__()
        for module, training in zip(self._modules, self._training, strict=True):
            module.training = training


def _call(model: Callable[[Any], Any], batch: Tensor) -> Callable[[], Any]:
    return lambda: model(batch)


def _array(caller: str, example: Any) -> np.ndarray:
    array = np.asarray(example._data if isinstance(example, Tensor) else example)
    if not array.ndim or not len(array):
        raise ValueError(f"{caller}: expected a batch of at least one example, (n, ...), got {array.shape}")
    return array


def _check_each(caller: str, name: str, values: Sequence[int]) -> None:
    if not values or any(not isinstance(v, (int, np.integer)) or v < 1 for v in values):
        raise ValueError(f"{caller}: expected {name} of 1 or more, got {list(values)}")
