"""Token ids as both tokenizers take them back."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def checked_ids(name: str, ids: Any, vocab_size: int) -> Array:
    """`ids` as an int64 array of one dimension; refused unless all are from 0 up to `vocab_size`."""
    array = np.atleast_1d(np.asarray(ids))
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected ids that are integers, got {array.dtype}")
    if array.ndim > 1:
        raise ValueError(
            f"{name}: expected ids in one dimension, got shape {array.shape}. Decode the rows one by one."
        )
    wrong = np.flatnonzero((array < 0) | (array >= vocab_size))
    if wrong.size:
        raise ValueError(
            f"{name}: expected ids from 0 to {vocab_size - 1}, got {array[wrong[0]]} at position {wrong[0]}. "
            "Were they made by another tokenizer?"
        )
    return array.astype(np.int64, copy=False)
