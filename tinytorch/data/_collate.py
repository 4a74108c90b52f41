"""`default_collate`: a list of samples becomes a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels import memory
from tinytorch.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples along a new first dimension, by their kind.

    Tensors and arrays are stacked, ints become an int64 and floats a float64 tensor; dicts, named tuples,
    tuples and lists are collated entry by entry (tuples and lists become lists); strings and bytes stay a
    list.

    Raises TypeError for other kinds and ValueError for samples that differ in shape, length or keys.

    >>> default_collate([([1.0, 2.0], 3), ([4.0, 5.0], 6)])
    [[tensor([1., 4.], dtype=float64), tensor([2., 5.], dtype=float64)], tensor([3, 6])]
    """
    if not len(batch):
        raise ValueError("default_collate: expected at least one sample, got none")
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack([sample._data for sample in batch])
    if isinstance(first, (np.ndarray, np.generic)):
        return _stack([np.asarray(sample) for sample in batch])
    if isinstance(first, (bool, int)):
        return Tensor(np.array(batch))
    if isinstance(first, float):
        return Tensor(np.array(batch, np.float64))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        _check_same("keys", [sorted(map(str, sample)) for sample in batch])
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        _check_same("lengths", [len(sample) for sample in batch])
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns  # pyright: ignore[reportCallIssue]
    raise TypeError(
        "default_collate: expected samples made of tensors, arrays, numbers, strings, dicts, tuples or "
        f"lists, got {type(first).__name__}. Pass a collate_fn that makes a batch of them."
    )


def _stack(arrays: list[np.ndarray]) -> Tensor:
    first = arrays[0]
    for i, array in enumerate(arrays):
        if array.shape != first.shape:
            raise ValueError(
                f"default_collate: expected samples of one shape, got {first.shape} for the first and "
                f"{array.shape} for number {i} of the batch. Pad or crop them in the dataset, or pass a "
                "collate_fn."
            )
    out = memory.empty((len(arrays), *first.shape), np.result_type(*{array.dtype for array in arrays}))
    return new_tensor(np.stack(arrays, out=out))


def _check_same(what: str, values: list[Any]) -> None:
    for i, value in enumerate(values):
        if value != values[0]:
            raise ValueError(
                f"default_collate: expected samples with the same {what}, got {values[0]} for the first and "
                f"{value} for number {i} of the batch"
            )
