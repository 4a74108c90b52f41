"""Samplers: in which order, and how often, the samples of a dataset come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from tinytorch import random

Array = np.ndarray


class Sampler:
    """Base of the samplers. A subclass defines `__iter__`, which gives indices, and `__len__`."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__(): define which indices it gives")


class _ArraySampler(Sampler):
    """A sampler that knows the indices of a whole pass at once, so that batches of them are slices."""

    def indices(self) -> Array:
        """The indices of one pass, int64."""
        raise NotImplementedError(f"{type(self).__name__} has no indices()")

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices().tolist())


class SequentialSampler(_ArraySampler):
    """0, 1, 2, ... up to the length of `data_source`."""

    def __init__(self, data_source: Sized):
        self.data_source = data_source

    def indices(self) -> Array:
        """In order."""
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(_ArraySampler):
    """All indices in a random order, a new one for each pass; or `num_samples` draws with replacement.

    num_samples: how many to give, by default as many as there are samples; when there are more without
    replacement,
        one shuffled pass follows another.
    generator: what is drawn from; by default the one that `manual_seed` sets.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: random.Generator | None = None,
    ):
        _check_count("RandomSampler", num_samples)
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples

    def indices(self) -> Array:
        """A new order."""
        draws, n = _draws(self.generator), len(self.data_source)
        if self.replacement:
            return draws.integers(0, n, len(self))
        if len(self) <= n:
            return draws.permutation(n)[: len(self)]
        return np.concatenate([draws.permutation(n) for _ in range(-(-len(self) // n))])[: len(self)]

    def __len__(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples


class SubsetRandomSampler(_ArraySampler):
    """The given indices in a random order, a new one for each pass."""

    def __init__(self, indices: Sequence[int], generator: random.Generator | None = None):
        self._indices = np.asarray(indices, np.int64)
        self.generator = generator

    def indices(self) -> Array:
        """A new order."""
        return _draws(self.generator).permutation(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


class WeightedRandomSampler(_ArraySampler):
    """`num_samples` indices, drawn in proportion to their weights: to balance rare classes."""

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
    ):
        _check_count("WeightedRandomSampler", num_samples)
        self.weights = np.asarray(weights, np.float64)
        if (
            self.weights.ndim != 1
            or not self.weights.size
            or not (self.weights >= 0).all()
            or not self.weights.any()
        ):
            raise ValueError(
                "WeightedRandomSampler: expected weights from 0 up in one dimension, one of them above 0"
            )
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(
                f"WeightedRandomSampler: expected at most {np.count_nonzero(self.weights)} samples without "
                f"replacement, as many as weights above 0, got num_samples={num_samples}"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def indices(self) -> Array:
        """A new draw."""
        p = self.weights / self.weights.sum()
        return _draws(self.generator).choice(len(p), self.num_samples, replace=self.replacement, p=p)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of another sampler; `drop_last` leaves out a short last one."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool):
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ValueError(
                f"BatchSampler: expected batch_size to be a whole number from 1 up, got {batch_size!r}"
            )
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        source = iter(self.sampler)
        while batch := list(itertools.islice(source, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        samples = len(self.sampler)  # pyright: ignore[reportArgumentType]
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)


def whole_pass(sampler: Any) -> Array | None:
    """The indices of one pass, drawn now, for a sampler that knows them at once."""
    known = isinstance(sampler, _ArraySampler) and type(sampler).__iter__ is _ArraySampler.__iter__
    return sampler.indices() if known else None


def _check_count(name: str, count: int | None) -> None:
    if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__") or count < 1):
        raise ValueError(f"{name}: expected num_samples to be a whole number from 1 up, got {count!r}")


def _draws(generator: random.Generator | None) -> np.random.Generator:
    return (generator or random.default_generator).numpy()
