"""Datasets, splits, samplers and the default collate."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import data

pytestmark = pytest.mark.nojit_ok


def test_tensor_dataset():
    x, y = tt.arange(6).reshape(3, 2), np.array([7, 8, 9], np.uint8)
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3
    image, label = dataset[-1]
    assert image.tolist() == [4, 5]
    assert label.item() == 9
    assert dataset.tensors[1].dtype == np.uint8


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: data.TensorDataset(), ValueError, "expected at least one tensor, got none"),
        (
            lambda: data.TensorDataset(tt.zeros(3), tt.zeros(2, 3)),
            ValueError,
            r"tensors of the same length in their first dimension, got shapes \(3,\), \(2, 3\)",
        ),
        (lambda: data.TensorDataset(tt.tensor(1.0)), ValueError, r"got shapes \(\)"),
        (lambda: data.Subset(range(3), [3]), IndexError, "Subset: index 3 is out of range: expected -3 to 2"),
        (lambda: data.Subset(range(3), [-4]), IndexError, "Subset: index -4 is out of range"),
        (lambda: data.Subset(range(3), [1])[1], IndexError, "index 1 is out of bounds"),
        (lambda: data.ConcatDataset([]), ValueError, "expected at least one dataset, got none"),
        (lambda: data.ConcatDataset([range(3)])[3], IndexError, "index 3 is out of range for 3 samples"),
        (
            lambda: data.random_split(range(5), [3, 3]),
            ValueError,
            r"the 5 samples.*got \[3, 3\], which add up to 6",
        ),
        (lambda: data.random_split(range(5), [6, -1]), ValueError, r"got \[6, -1\]"),
        (
            lambda: data.random_split(range(5), [0.5, 0.4]),
            ValueError,
            r"got \[0.5, 0.4\], which add up to 0.9",
        ),
        (lambda: len(data.Dataset()), NotImplementedError, r"Dataset has no __len__\(\)"),
        (lambda: data.Dataset()[0], NotImplementedError, r"Dataset has no __getitem__\(index\)"),
        (lambda: iter(data.Sampler()), NotImplementedError, r"Sampler has no __iter__\(\)"),
        (lambda: data.RandomSampler(range(3), num_samples=0), ValueError, "num_samples .* from 1 up, got 0"),
        (lambda: data.BatchSampler(range(3), 0, False), ValueError, "batch_size .* from 1 up, got 0"),
        (lambda: data.WeightedRandomSampler([-1.0, 2.0], 2), ValueError, "expected weights from 0 up"),
        (
            lambda: data.WeightedRandomSampler([0.0, 2.0], 2, False),
            ValueError,
            "at most 1 samples without repl",
        ),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_subset_and_concat():
    subset = data.Subset([10, 20, 30, 40], [3, 1])
    assert [subset[i] for i in range(len(subset))] == [40, 20]
    both = data.Dataset.__add__(subset, [50])
    assert [both[i] for i in range(len(both))] == [40, 20, 50]
    assert both[-1] == 50


def test_subset_by_slices_lists_and_from_the_end():
    x = tt.arange(50).reshape(10, 5)
    dataset = data.TensorDataset(x)
    for indices in ([7, -1, 2], np.array([7, -1, 2])):
        subset = data.Subset(dataset, indices)
        assert [subset[i][0][0].item() for i in (0, 1, -1)] == [35, 45, 10]
        assert subset[0:2][0][:, 0].tolist() == [35, 45]
        assert subset[[2, 0]][0][:, 0].tolist() == [10, 35]
        assert data.Subset(subset, [1, 2])[:][0][:, 0].tolist() == [45, 10]
        (batch,) = next(iter(data.DataLoader(subset, batch_size=3)))
        assert batch[:, 0].tolist() == [35, 45, 10]
    assert data.Subset([10, 20, 30], [-1])[0] == 30


@given(st.integers(0, 200), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 2**40))
def test_random_split_divides_everything(total, parts, seed):
    fractions = [part / sum(parts) for part in parts]
    generator = tt.Generator().manual_seed(seed)
    splits = data.random_split(range(total), fractions, generator)
    assert sorted(i for split in splits for i in split.indices) == list(range(total))
    assert all(abs(len(s) - total * f) <= 1 for s, f in zip(splits, fractions, strict=True))
    again = data.random_split(range(total), fractions, tt.Generator().manual_seed(seed))
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(splits, again, strict=True))


def test_random_split_by_lengths():
    first, second = data.random_split(range(10), [7, 3])
    assert (len(first), len(second)) == (7, 3)
    assert set(first.indices).isdisjoint(second.indices)


# --- samplers -------------------------------------------------------------------------------------------


def test_samplers():
    tt.manual_seed(0)
    assert list(data.SequentialSampler(range(4))) == [0, 1, 2, 3]
    shuffled = list(data.RandomSampler(range(50)))
    assert sorted(shuffled) == list(range(50))
    assert shuffled != list(range(50))
    assert list(data.RandomSampler(range(50))) != shuffled
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=100))
    assert len(drawn) == 100
    assert set(drawn) == {0, 1, 2}
    twice = list(data.RandomSampler(range(3), num_samples=7))
    assert sorted(twice[:3]) == sorted(twice[3:6]) == [0, 1, 2]
    assert len(data.RandomSampler(range(3), num_samples=7)) == len(twice) == 7
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    assert list(data.BatchSampler(range(5), 2, drop_last=False)) == [[0, 1], [2, 3], [4]]
    assert list(data.BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, drop_last=True)) == 2


def test_weights_balance():
    tt.manual_seed(0)
    drawn = np.array(list(data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000)))
    assert np.bincount(drawn, minlength=3) == pytest.approx([1000, 0, 3000], abs=150)
    assert sorted(data.WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)) == [0, 1, 2]


def test_a_generator_decides_alone():
    orders = [list(data.RandomSampler(range(20), generator=tt.Generator().manual_seed(5))) for _ in range(2)]
    assert orders[0] == orders[1]


# --- collate --------------------------------------------------------------------------------------------

Point = namedtuple("Point", ["x", "y"])


@pytest.mark.parametrize(
    ("samples", "dtype", "expected"),
    [
        ([1, 2], np.int64, [1, 2]),
        ([True, False], np.bool_, [True, False]),
        ([0.5, 1.5], np.float64, [0.5, 1.5]),
        ([np.float32(1), np.float32(2)], np.float32, [1.0, 2.0]),
        ([np.array([1, 2], np.uint8)] * 2, np.uint8, [[1, 2], [1, 2]]),
        ([tt.zeros(2), tt.ones(2)], np.float32, [[0.0, 0.0], [1.0, 1.0]]),
    ],
)
def test_collate_values(samples, dtype, expected):
    batch = data.default_collate(samples)
    assert isinstance(batch, tt.Tensor)
    assert batch.dtype == dtype
    assert batch.tolist() == expected


def test_collate_structures():
    batch = data.default_collate([{"p": Point(1, [2.0]), "name": "a"}, {"p": Point(3, [4.0]), "name": "b"}])
    assert batch["name"] == ["a", "b"]
    assert batch["p"].x.tolist() == [1, 3]
    assert batch["p"].y[0].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("samples", "error", "text"),
    [
        ([], ValueError, "expected at least one sample, got none"),
        (
            [np.zeros(3), np.zeros(4)],
            ValueError,
            r"samples of one shape, got \(3,\) for the first and \(4,\) for number 1",
        ),
        ([(1, 2), (1,)], ValueError, "samples with the same lengths, got 2 for the first and 1 for number 1"),
        (
            [{"a": 1}, {"b": 1}],
            ValueError,
            r"samples with the same keys, got \['a'\] for the first and \['b'\]",
        ),
        ([object()], TypeError, "got object. Pass a collate_fn"),
    ],
)
def test_collate_refusals(samples, error, text):
    with pytest.raises(error, match=text):
        data.default_collate(samples)
