"""Dropout, of elements and of whole channels; its mask is drawn from a counter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, new_tensor, op
from tinytorch.kernels import dropout as kernels
from tinytorch.kernels.random import blocks
from tinytorch.ops.arithmetic import mul
from tinytorch.ops.common import Array
from tinytorch.random import Generator, default_generator


def _check_p(p: float, name: str = "dropout") -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: expected a probability p from 0 to 1, got {p}")


@op(
    name="dropout",
    cost=lambda x, out, **_: 2 * x.size,
    samples=lambda s: [
        Sample(s(6, 5), p=0.4, seed=3, offset=0),
        Sample(s(2, 3, 4), p=0.5, seed=3, offset=100),
        Sample(s(0, 3), p=0.5, seed=3, offset=0),
        Sample(s(4), p=0.0, seed=3, offset=0),
        Sample(s(4), p=1.0, seed=3, offset=0),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3),),
            {"p": 1.5, "seed": 0, "offset": 0},
            ValueError,
            "dropout: expected a probability p from 0 to 1, got 1.5",
        ),
        Refusal(
            (np.array([1]),),
            {"p": 0.5, "seed": 0, "offset": 0},
            TypeError,
            "dropout: expected a floating point tensor, got int64",
        ),
    ],
    # Which elements stay is for the kernel's own tests; here, that the mask depends on the counter alone.
    reference=lambda x, p, seed, offset: x * kernels.dropout(np.ones_like(x), p, seed, offset),
)
def counted_dropout(x: Array, /, p: float, seed: int, offset: int) -> Array:
    """`x / (1 - p)`, or 0 with probability p: decided by its place, counted from block `offset` on."""
    _check_p(p)
    if x.dtype.kind != "f":
        raise TypeError(
            f"dropout: expected a floating point tensor, got {x.dtype}. Convert it with .float() first."
        )
    return kernels.dropout(x, p, seed, offset)


@counted_dropout.gradient
def _(ctx: Node, g: Any) -> Any:
    return counted_dropout(g, **ctx.params)  # the same counter draws the same mask


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Zero each element with probability `p`, scale the others by `1 / (1 - p)`; `x` itself unless training.

    Srivastava et al. 2014.

    >>> import tinytorch as tt
    >>> _ = tt.manual_seed(0)
    >>> sorted(set(tt.dropout(tt.ones(100), 0.5).tolist()))
    [0.0, 2.0]
    """
    _check_p(p)
    if not training or p == 0.0:
        return x
    seed, offset = (generator or default_generator).take(blocks(x._data.size))
    return counted_dropout(x, p=p, seed=seed, offset=offset)


def _drop_channels(
    name: str, x: Any, channels: tuple[int, ...], p: float, training: bool, generator: Generator | None
) -> Any:
    """As `dropout`, with one decision for each of `channels`, the first axes of `x`."""
    _check_p(p, name)
    if not training or p == 0.0:
        return x
    ones = np.ones(channels + (1,) * (x.ndim - len(channels)), x.dtype)
    return mul(x, dropout(new_tensor(ones), p, generator=generator))


def dropout1d(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Zero whole channels of signals (n, c, length) or (c, length), each with probability `p`; scale the
    others by `1 / (1 - p)`.

    >>> import tinytorch as tt
    >>> _ = tt.manual_seed(0)
    >>> tt.dropout1d(tt.ones(1, 3, 2)).shape
    (1, 3, 2)
    """
    if x.ndim not in (2, 3):
        raise ValueError(
            "dropout1d: expected an input of shape (n, channels, length) or (channels, length), "
            f"got {x.shape}"
        )
    return _drop_channels("dropout1d", x, x.shape[:-1], p, training, generator)


def dropout2d(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Zero whole channels of images (n, c, h, w), each with probability `p`; scale the others by
    `1 / (1 - p)`.

    Three axes are read as (n, c, length), with a warning, as in PyTorch.
    Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> import tinytorch as tt
    >>> _ = tt.manual_seed(0)
    >>> sorted(set(tt.dropout2d(tt.ones(1, 20, 2, 2)).sum((2, 3)).flatten().tolist()))
    [0.0, 8.0]
    """
    if x.ndim not in (3, 4):
        raise ValueError(f"dropout2d: expected an input of shape (n, channels, height, width), got {x.shape}")
    if x.ndim == 3:
        warnings.warn(
            f"dropout2d: an input of shape {x.shape} is read as (n, channels, length). Use dropout1d for "
            "that, and x.unsqueeze(0) for one image.",
            stacklevel=2,
        )
    return _drop_channels("dropout2d", x, x.shape[:2], p, training, generator)
