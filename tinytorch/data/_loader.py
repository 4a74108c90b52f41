"""`DataLoader`: a dataset in batches, in order or shuffled, made ahead of time by a thread if asked for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import numpy as np

from tinytorch import random
from tinytorch.data._collate import default_collate
from tinytorch.data._dataset import checked_indices, gatherer
from tinytorch.data._prefetch import prefetch
from tinytorch.data._sampler import RandomSampler, SequentialSampler, whole_pass

Array = np.ndarray

# How much of the stream of random numbers is set aside for transforms: 2^27 numbers for each of 2^20 batches.
_BLOCKS_OF_A_BATCH = 1 << 20
_BLOCKS_OF_A_PASS = 1 << 40
_END = object()


class DataLoader:
    """Iterate over `dataset` in batches; each pass begins anew.

    A batch of a `TensorDataset`, or of a `Subset` of one, is one gather for each tensor (a copy, so that it
    may be changed), of the dataset's dtype: uint8 images stay uint8. A `Dataset` with a `gather` is asked for
    its batches. Others are read sample by sample, or with `dataset.__getitems__(indices)` if there is one,
    and collated.

    dataset: anything with `len()` and `dataset[index]`.
    batch_size: samples a batch; None gives single samples, as they are.
    shuffle: a new order for each pass, drawn from `generator`.
    sampler: an iterable of indices instead; batch_sampler: an iterable of lists of indices.
    num_workers: 0 makes each batch when it is asked for; from 1 up, one background thread makes the next ones
        meanwhile. The batches are the same. (More threads would wait for each other.)
    collate_fn: makes a batch of a list of samples; default `default_collate`.
    drop_last: leave out a last batch that is not full.
    generator: what `shuffle` draws from; by default the one that `manual_seed` sets.
    prefetch_factor: how many batches the thread is ahead; default 2.
    transform: called on the first part of each batch, the images, as `transform(images, generator)`, where
        the batch is made; see `data.transforms`. What it draws depends on the seed, the pass and the batch's
        number alone, so it is the same with the thread and without.
    pin_memory, timeout, worker_init_fn, multiprocessing_context, persistent_workers, pin_memory_device: of no
        effect; there are no devices to copy to, and no processes.

    Attributes: `waited`, the seconds that batches were waited for, over all passes.

    The thread pays where making a batch is work, as transforms are, not for plain arrays. A dataset that
    draws random numbers should have a `Generator` of its own: the default one is also the training's.

    An exception in the thread is raised where the batch is asked for, and the thread ends with the loop,
    however it is left.

    >>> import tinytorch as tt
    >>> data = tt.data.TensorDataset(tt.arange(5))
    >>> for (x,) in DataLoader(data, batch_size=2):
    ...     print(x.tolist())
    [0, 1]
    [2, 3]
    [4]
    """

    waited_by_all = 0.0  # seconds, over all loaders, for a profile of a program that has its own

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        transform: Callable[[Any, random.Generator], Any] | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
    ):
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"DataLoader: expected a dataset with len() and dataset[i], got {type(dataset).__name__}"
            )
        if batch_size is not None and not _is_count(batch_size, 1):
            raise ValueError(
                f"DataLoader: expected batch_size to be a whole number from 1 up, or None, got {batch_size!r}"
            )
        if not _is_count(num_workers, 0):
            raise ValueError(
                f"DataLoader: expected num_workers to be a whole number from 0 up, got {num_workers!r}"
            )
        if prefetch_factor is not None and (num_workers == 0 or not _is_count(prefetch_factor, 1)):
            raise ValueError(
                "DataLoader: expected prefetch_factor to be a whole number from 1 up, with num_workers from "
                f"1 up, got {prefetch_factor!r} with num_workers={num_workers}"
            )
        if sampler is not None and shuffle:
            raise ValueError(
                "DataLoader: expected either a sampler or shuffle=True, got both: the sampler is the order"
            )
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "DataLoader: batch_sampler says it all: leave out batch_size, shuffle, sampler and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: expected a batch_size with drop_last=True, got None")
        if shuffle and len(dataset) == 0:
            raise ValueError("DataLoader: expected at least one sample to shuffle, got an empty dataset")
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.dataset = dataset
        self.batch_size = None if batch_sampler is not None else batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = default_collate if collate_fn is None else collate_fn
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.transform = transform
        self.waited = 0.0

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # pyright: ignore[reportArgumentType]
        samples = len(self.sampler)  # pyright: ignore[reportArgumentType]
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        indices, fetch = self._indices(), self._fetcher()
        if self.transform is not None:
            indices, fetch = self._numbered(indices), self._transformed(fetch, self.transform)
        batches = (
            map(fetch, indices) if self.num_workers == 0 else prefetch(fetch, indices, self.prefetch_factor)
        )
        return self._timed(batches)

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, with the time between asking and getting added up."""
        clock = time.perf_counter
        try:
            while True:
                asked = clock()
                batch = next(batches, _END)
                waited = clock() - asked
                self.waited += waited
                DataLoader.waited_by_all += waited
                if batch is _END:
                    return
                yield batch
        finally:
            if isinstance(batches, Generator):
                batches.close()  # ends the thread

    def _numbered(self, indices: Iterator[Any]) -> Iterator[Any]:
        """Each batch's indices, with the place in the stream of random numbers that its transform starts at.

        The places of the whole pass are reserved here, in the calling thread, once its order was drawn.
        """
        seed = start = 0
        for number, batch in enumerate(indices):
            if number == 0:
                seed, start = (self.generator or random.default_generator).take(_BLOCKS_OF_A_PASS)
            yield batch, (seed, start + number * _BLOCKS_OF_A_BATCH)

    def _transformed(self, fetch: Callable[[Any], Any], transform: Callable) -> Callable[[Any], Any]:
        def make(request: tuple[Any, tuple[int, int]]) -> Any:
            indices, place = request
            batch, numbers = fetch(indices), random.Generator().set_state(place)
            if isinstance(batch, (tuple, list)):
                return [transform(batch[0], numbers), *batch[1:]]
            return transform(batch, numbers)

        return make

    def _indices(self) -> Iterator[Any]:
        """The indices of each batch, or, without a batch size, of each sample."""
        if self.batch_sampler is not None:
            return iter(self.batch_sampler)
        if self.batch_size is None:
            return iter(self.sampler)
        return self._index_batches(self.batch_size)

    def _index_batches(self, size: int) -> Iterator[Any]:
        indices = whole_pass(self.sampler)
        if indices is not None:
            stop = len(indices) - len(indices) % size if self.drop_last else len(indices)
            for start in range(0, stop, size):
                yield indices[start : start + size]
            return
        source = iter(self.sampler)
        while batch := list(itertools.islice(source, size)):
            if len(batch) == size or not self.drop_last:
                yield batch

    def _fetcher(self) -> Callable[[Any], Any]:
        """What makes a batch from its indices."""
        dataset, collate = self.dataset, self.collate_fn
        if self.batch_size is None and self.batch_sampler is None:
            return dataset.__getitem__
        gather = gatherer(dataset) if collate is default_collate else None
        if gather is not None:
            # Orders that the loader itself draws need no check.
            own = type(self.sampler) in (RandomSampler, SequentialSampler) and self.batch_sampler is None
            own = own and self.sampler.data_source is dataset  # pyright: ignore[reportAttributeAccessIssue]
            if own:
                return gather
            return lambda indices: gather(
                checked_indices("DataLoader", np.asarray(indices, np.int64), len(dataset))
            )
        if hasattr(dataset, "__getitems__"):
            return lambda indices: collate(dataset.__getitems__(_as_list(indices)))
        return lambda indices: collate([dataset[i] for i in _as_list(indices)])


def _is_count(value: Any, least: int) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__") and value >= least


def _as_list(indices: Any) -> list[Any]:
    return indices.tolist() if isinstance(indices, np.ndarray) else list(indices)
