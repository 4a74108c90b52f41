"""Indexing: integers, slices, None, Ellipsis, masks and integer arrays, read and written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.registry import Node, Sample, op

Array = np.ndarray


def normalize_index(index: Any) -> Any:
    """An index that NumPy understands: tensors and lists inside become arrays."""
    if isinstance(index, tuple):
        return tuple(normalize_index(i) for i in index)
    if isinstance(index, registry._tensor_class):
        return index._data
    if isinstance(index, list):
        return np.asarray([normalize_index(i) for i in index])
    return index


def is_basic(index: Any) -> bool:
    """Whether `index` makes a view: only integers, slices, None and Ellipsis."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None or p is Ellipsis or isinstance(p, slice) or (isinstance(p, (int, np.integer)) and not isinstance(p, bool))
        for p in parts
    )
