"""Datasets: anything with a length and samples by number; and arrays, whose batches are taken in one go."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from tinytorch import random
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels import memory
from tinytorch.tensor import Tensor

Array = np.ndarray
Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples by number. A subclass defines `__len__` and `__getitem__(index)`.

    One that can do better than to be asked sample by sample defines `gather(indices)` beside them, from an
    int64 array of indices from 0 up to the length to a batch: a list of tensors.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> Squares()[3]
    (3, 9)
    """

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} has no __len__(): define how many samples there are"
        )

    def __getitem__(self, index: Any) -> Sample:
        raise NotImplementedError(
            f"{type(self).__name__} has no __getitem__(index): define what sample `index` is"
        )

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of one length: sample i is the tuple of their i-th entries.

    Arrays are accepted and kept as they are: images in uint8 take a quarter of the memory of float32 until a
    batch of them is used.

    Raises ValueError for different lengths.

    >>> import tinytorch as tt
    >>> data = TensorDataset(tt.zeros(5, 2), tt.arange(5))
    >>> len(data), data[3]
    (5, (tensor([0., 0.]), tensor(3)))
    """

    def __init__(self, *tensors: Tensor | Array):
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor, got none")
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in tensors)
        if any(t.ndim == 0 for t in self.tensors) or len({len(t) for t in self.tensors}) > 1:
            shapes = ", ".join(str(t.shape) for t in self.tensors)
            raise ValueError(
                "TensorDataset: expected tensors of the same length in their first dimension, got shapes "
                f"{shapes}"
            )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def gather(self, indices: Array) -> list[Tensor]:
        """The samples at `indices`, stacked: one copy for each tensor. Indices from 0 up to the length."""
        return [new_tensor(_take(t._data, indices)) for t in self.tensors]


def _take(array: Array, indices: Array) -> Array:
    out = memory.empty((len(indices), *array.shape[1:]), array.dtype)
    # The indices were checked. NumPy's own check (mode="raise") would go through a second buffer.
    return np.take(array, indices, axis=0, out=out, mode="clip")


class Subset(Dataset[Sample]):
    """The samples of `dataset` at `indices`, in that order; negative ones count from the end.

    >>> import tinytorch as tt
    >>> data = TensorDataset(tt.arange(5))
    >>> Subset(data, [3, 1, -1])[0:2]
    (tensor([3, 1]),)
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Array):
        self.dataset = dataset
        self.indices = indices
        self._array = checked_indices("Subset", np.asarray(indices, np.int64).reshape(-1), len(dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Sample:
        return self.dataset[self._array[index].tolist()]


class ConcatDataset(Dataset[Sample]):
    """Several datasets, one after another."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, got none")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index %= len(self)
        part = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: random.Generator | None = None
) -> list[Subset]:
    """Divide a dataset at random into parts that do not overlap.

    lengths: numbers of samples that add up to all, or fractions that add up to 1; what rounding leaves over
    goes to the first parts, one each.
    generator: where the order is drawn from; by default the one that `manual_seed` sets.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and all(0 <= part <= 1 for part in lengths):
        counts = [math.floor(total * part) for part in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != total or any(count < 0 for count in counts):
        raise ValueError(
            f"random_split: expected lengths that add up to the {total} samples, or fractions that add up to "
            f"1, got {list(lengths)}, which add up to {sum(lengths)}"
        )
    order = (generator or random.default_generator).numpy().permutation(total)
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def checked_indices(name: str, indices: Array, length: int) -> Array:
    """`indices`, counted from the front; IndexError unless all are from -length up to `length`."""
    wrong = indices[(indices < -length) | (indices >= length)]
    if wrong.size:
        raise IndexError(f"{name}: index {wrong[0]} is out of range: expected {-length} to {length - 1}")
    return np.where(indices < 0, indices + length, indices)


def gatherer(dataset: Any) -> Callable[[Array], list[Tensor]] | None:
    """A function from indices to a collated batch, for datasets that have a `gather` and subsets of them.

    None for others, and for subclasses with a `__getitem__` of their own, which must not be passed over:
    `gather` counts only where it stands beside the `__getitem__` that is used.
    """
    owner = next((vars(c) for c in type(dataset).__mro__ if "__getitem__" in vars(c)), {})
    if "gather" in owner and isinstance(dataset, Dataset):
        return dataset.gather  # pyright: ignore[reportAttributeAccessIssue]
    if owner.get("__getitem__") is Subset.__getitem__:
        inner, chosen = gatherer(dataset.dataset), dataset._array
        if inner is not None:
            return lambda indices: inner(chosen[indices])
    return None
