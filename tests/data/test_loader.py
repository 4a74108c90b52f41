"""DataLoader: batches, order, the background thread, errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

pytestmark = pytest.mark.nojit_ok


class Squares(Dataset):
    """A dataset that is read sample by sample."""

    def __init__(self, length=10, broken=None):
        self.length, self.broken, self.read = length, broken, []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.broken:
            raise OSError(f"sample {index} is broken")
        self.read.append(index)
        return index, float(index**2)


def images(n=10):
    return TensorDataset(np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2), np.arange(n))


def labels(loader):
    return [batch[1].tolist() for batch in loader]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [t for t in threading.enumerate() if t.name == "tinytorch-loader"]


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 12),
    drop=st.booleans(),
    shuffle=st.booleans(),
    workers=st.integers(0, 1),
)
def test_every_sample_comes_once(n, size, drop, shuffle, workers):
    loader = DataLoader(images(n), size, shuffle, num_workers=workers, drop_last=drop)
    batches = labels(loader)
    assert len(batches) == len(loader) == (n // size if drop else -(-n // size))
    assert all(len(batch) == size for batch in batches[:-1])
    seen = [label for batch in batches for label in batch]
    assert len(seen) == (n - n % size if drop else n)
    assert len(set(seen)) == len(seen)
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_batches_keep_the_dtype_and_are_copies():
    dataset = images()
    x, y = next(iter(DataLoader(dataset, 4)))
    assert x.dtype == np.uint8
    assert y.dtype == np.int64
    assert np.array_equal(x.numpy(), dataset.tensors[0].numpy()[:4])
    x.numpy()[:] = 0
    assert dataset.tensors[0].numpy()[1].any()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_seed_decides_the_order(workers):
    def epochs():
        loader = DataLoader(images(30), 7, shuffle=True, num_workers=workers)
        return [labels(loader), labels(loader)]

    tt.manual_seed(4)
    first = epochs()
    tt.manual_seed(4)
    assert epochs() == first
    assert first[0] != first[1]


def test_the_thread_changes_nothing():
    def train(workers):
        tt.manual_seed(9)
        loader = DataLoader(images(30), 7, shuffle=True, num_workers=workers)
        return [(y.tolist(), tt.rand(2).tolist()) for _ in range(2) for _, y in loader]

    assert train(1) == train(0)


def test_a_generator_of_its_own():
    tt.manual_seed(0)
    orders = [
        labels(DataLoader(images(30), 7, shuffle=True, generator=tt.Generator().manual_seed(1)))
        for _ in range(2)
    ]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_sample_by_sample(workers):
    loader = DataLoader(Squares(5), 2, num_workers=workers)
    assert [[part.tolist() for part in batch] for batch in loader] == [
        [[0, 1], [0.0, 1.0]],
        [[2, 3], [4.0, 9.0]],
        [[4], [16.0]],
    ]


def test_a_subset_is_gathered_and_a_subclass_is_asked():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(t * 2 for t in super().__getitem__(index))

    subset = Subset(Subset(images(), [9, 8, 7, 6]), [0, 3])
    assert labels(DataLoader(subset, 2)) == [[9, 6]]
    doubled = Doubled(tt.arange(3), tt.arange(3))
    assert labels(DataLoader(doubled, 3)) == [[0, 2, 4]]
    assert labels(DataLoader(Subset(doubled, [2, 1]), 3)) == [[4, 2]]


def test_samplers_of_ones_own():
    assert labels(DataLoader(images(), 2, sampler=[3, -1, 4])) == [[3, 9], [4]]
    assert labels(DataLoader(images(), batch_sampler=[[1], [5, 2]])) == [[1], [5, 2]]
    assert len(DataLoader(images(), batch_sampler=[[1], [5, 2]])) == 2
    sampler = RandomSampler(images(), replacement=True, num_samples=25)
    assert len(DataLoader(images(), 10, sampler=sampler)) == len(
        labels(DataLoader(images(), 10, sampler=sampler))
    )
    for wrong in ([10], RandomSampler(range(11)), SubsetRandomSampler([10])):
        with pytest.raises(IndexError, match="DataLoader: index 10 is out of range: expected -10 to 9"):
            labels(DataLoader(images(), 2, sampler=wrong))


def test_what_concerns_processes_and_devices_is_of_no_effect():
    generator = tt.Generator().manual_seed(0)
    loader = DataLoader(
        images(), 5, True, None, None, 1, None, True, False, 5.0, print, "spawn", generator,
        persistent_workers=True, pin_memory_device="cuda",
    )  # fmt: skip
    assert loader.generator is generator
    assert sorted(i for batch in labels(loader) for i in batch) == list(range(10))


def test_a_sampler_that_changes_the_order_is_asked():
    class Backwards(SequentialSampler):
        def __iter__(self):
            return iter(range(len(self) - 1, -1, -1))

    assert labels(DataLoader(images(4), 3, sampler=Backwards(range(4)))) == [[3, 2, 1], [0]]


def test_without_batches():
    assert [y for _, y in DataLoader(Squares(3), batch_size=None)] == [0.0, 1.0, 4.0]
    assert len(DataLoader(Squares(3), batch_size=None)) == 3


def test_collate_fn_and_getitems():
    class Many(Squares):
        def __getitems__(self, indices):
            self.read.append(indices)
            return indices

    dataset = Many(5)
    assert list(DataLoader(dataset, 3, collate_fn=sum)) == [3, 7]
    assert dataset.read == [[0, 1, 2], [3, 4]]
    assert list(DataLoader(images(3), 3, collate_fn=len)) == [3]


# --- the thread -----------------------------------------------------------------------------------------


def test_an_exception_reaches_the_loop():
    batches = []
    with pytest.raises(OSError, match="sample 5 is broken") as caught:
        batches.extend(DataLoader(Squares(broken=5), 2, num_workers=1))
    assert len(batches) == 2
    assert caught.value.__notes__ == ["This happened in the DataLoader's thread, for the samples [4, 5]."]


def test_leaving_early_ends_the_thread():
    dataset = Squares(1000)
    for x, _ in DataLoader(dataset, 2, num_workers=1, prefetch_factor=3):
        if 4 in x.tolist():
            break
    assert len(dataset.read) <= 2 * (3 + 3 + 1)
    batches = iter(DataLoader(dataset, 2, num_workers=1))
    next(batches)
    assert [t.name for t in threading.enumerate()].count("tinytorch-loader") == 1
    del batches


def test_an_error_in_the_loop_ends_the_thread():
    def loop():
        for _ in DataLoader(Squares(), 2, num_workers=1):
            raise KeyError

    with pytest.raises(KeyError):
        loop()


def test_two_loops_at_once():
    loader = DataLoader(images(6), 3, num_workers=1)
    pairs = [(a[1].tolist(), b[1].tolist()) for a in loader for b in loader]
    assert pairs == [(a, b) for a in ([0, 1, 2], [3, 4, 5]) for b in ([0, 1, 2], [3, 4, 5])]


def test_the_thread_has_one_core_and_the_mode_of_the_loop():
    class Look(Squares):
        def __getitem__(self, index):
            return tt.get_num_threads(), tt.is_grad_enabled(), threading.current_thread().name

    before = tt.get_num_threads()
    with tt.no_grad():
        threads, grad, names = next(iter(DataLoader(Look(), 2, num_workers=1)))
    assert threads.tolist() == [1, 1]
    assert grad.tolist() == [False, False]
    assert names == ["tinytorch-loader"] * 2
    assert tt.get_num_threads() == before


def test_kernels_run_in_the_thread_and_in_the_loop():
    class Products(Squares):
        def __getitem__(self, index):
            return (tt.full((40, 500), float(index)) @ tt.ones(500, 40)).sum() / 40

    weight = tt.full((60, 500), 2.0)
    for (batch,) in DataLoader(Products(8), 2, num_workers=1, collate_fn=lambda b: [tt.stack(b)]):
        expected = weight @ tt.ones(500, 60)
        assert (expected.numpy() == 1000.0).all()
        assert (batch.numpy() % (500 * 40) == 0).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: DataLoader(iter([1])), TypeError, r"expected a dataset with len\(\) and dataset\[i\]"),
        (
            lambda: DataLoader(images(), 0),
            ValueError,
            "batch_size to be a whole number from 1 up, or None, got 0",
        ),
        (lambda: DataLoader(images(), 2.5), ValueError, "batch_size .* got 2.5"),
        (lambda: DataLoader(images(), num_workers=-1), ValueError, "num_workers .* from 0 up, got -1"),
        (
            lambda: DataLoader(images(), prefetch_factor=2),
            ValueError,
            "prefetch_factor .* got 2 with num_workers=0",
        ),
        (
            lambda: DataLoader(images(), sampler=[1], shuffle=True),
            ValueError,
            "either a sampler or shuffle=True",
        ),
        (lambda: DataLoader(images(), 2, batch_sampler=[[1]]), ValueError, "batch_sampler says it all"),
        (
            lambda: DataLoader(images(), None, drop_last=True),
            ValueError,
            "a batch_size with drop_last=True, got None",
        ),
        (
            lambda: DataLoader(images(0), shuffle=True),
            ValueError,
            "at least one sample to shuffle, got an empty",
        ),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_an_empty_dataset_gives_no_batches():
    assert list(DataLoader(images(0), 4)) == []
