"""`TokenWindows`: a long text as examples of what follows what."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.data import Dataset
from tinytorch.kernels import memory
from tinytorch.tensor import Tensor

Array = np.ndarray


class TokenWindows(Dataset[tuple[Tensor, Tensor]]):
    """All contexts of a text, each with the token that follows each of its tokens.

    Sample i is `tokens[s : s + context]` and `tokens[s + 1 : s + context + 1]` with s = i · stride, both
    int64. The text is in memory once, in the smallest of uint8, uint16 and int32 that holds it (an array that
    is small already is not copied, a memory map not read); a batch of a `DataLoader` is one gather from it.

    tokens: integers in one dimension, from 0 up: an array, a tensor or a list.
    context: tokens in a sample.
    stride: from one sample to the next. 1, the default, has a sample at every place: shuffled, or drawn with
        `data.RandomSampler(windows, replacement=True, num_samples=...)`, it is for training. With `stride`
        equal to `context` every token is predicted once, except up to `context` at the end that fill no
        window: for evaluation.

    Raises ValueError for a text shorter than context + 1 and for negative tokens, TypeError for tokens that
    are not integers.

    >>> windows = TokenWindows([5, 6, 7, 8, 9], context=3)
    >>> len(windows), windows[1]
    (2, (tensor([6, 7, 8]), tensor([7, 8, 9])))
    """

    def __init__(self, tokens: Any, context: int, stride: int = 1):
        for name, value in (("context", context), ("stride", stride)):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
                raise ValueError(
                    f"TokenWindows: expected {name} to be a whole number from 1 up, got {value!r}"
                )
        self.tokens = _compact(np.asarray(tokens), context)
        self.context, self.stride = int(context), int(stride)
        self._windows = np.lib.stride_tricks.sliding_window_view(self.tokens, context + 1)[::stride]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        try:
            window = self._windows[index.__index__()]
        except IndexError:
            raise IndexError(
                f"TokenWindows: index {index} is out of range: expected {-len(self)} to {len(self) - 1}"
            ) from None
        window = window.astype(np.int64)
        return new_tensor(window[:-1]), new_tensor(window[1:])

    def gather(self, indices: Array) -> list[Tensor]:
        """The samples at `indices`, stacked: (n, context) twice. Indices from 0 up to the length."""
        windows = self._windows[indices]
        return [_int64(windows[:, :-1]), _int64(windows[:, 1:])]

    def __repr__(self) -> str:
        return (
            f"TokenWindows({len(self.tokens)} tokens of {self.tokens.dtype}, context={self.context}, "
            f"stride={self.stride})"
        )


def _compact(tokens: Array, context: int) -> Array:
    """`tokens`, checked, in the smallest dtype."""
    if tokens.size and tokens.dtype.kind not in "iu":
        raise TypeError(f"TokenWindows: expected tokens that are integers, got {tokens.dtype}")
    if tokens.ndim != 1:
        raise ValueError(f"TokenWindows: expected tokens in one dimension, got shape {tokens.shape}")
    if len(tokens) < context + 1:
        raise ValueError(
            f"TokenWindows: expected at least {context + 1} tokens, context + 1, got {len(tokens)}. "
            "Use a longer text or a shorter context."
        )
    if tokens.dtype.kind == "i" and tokens.min() < 0:
        raise ValueError(f"TokenWindows: expected tokens from 0 up, got {tokens.min()}")
    if tokens.dtype.itemsize <= 2:
        return tokens
    smallest = next(t for t in (np.uint8, np.uint16, np.int32, np.int64) if tokens.max() <= np.iinfo(t).max)
    return tokens.astype(smallest, copy=False)


def _int64(windows: Array) -> Tensor:
    out = memory.empty(windows.shape, np.int64)
    out[...] = windows
    return new_tensor(out)
