"""Dropout whose mask is never stored: the backward pass computes the same random words again."""

from __future__ import annotations

import numpy as np
from numba import prange

from tinytorch.kernels.maps import both, ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.random import BLOCK, CHUNK, SERIAL, fill_block, signed


def _drop(x, limit, scale, seed, offset, out):
    """out = scale * x where the element's random word is at least `limit`, else 0."""
    limit, scale = np.uint32(limit), out.dtype.type(scale)
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        x_part, part = x[chunk * CHUNK : (chunk + 1) * CHUNK], out[chunk * CHUNK : (chunk + 1) * CHUNK]
        words = np.empty(BLOCK, np.uint32)
        for start in range(0, part.size, BLOCK):
            fill_block(words, offset + (chunk * CHUNK + start) // BLOCK, seed)
            x_piece, piece = x_part[start : start + BLOCK], part[start : start + BLOCK]
            for j in range(piece.size):
                piece[j] = scale * x_piece[j] if words[j] >= limit else out.dtype.type(0)


_dropout = both(_drop, "dropout")


def dropout(x: np.ndarray, p: float, seed: int, offset: int) -> np.ndarray:
    """Each element is 0 with probability p, else x / (1 - p).

    The choice depends on seed, offset and the element's place alone (`random.blocks` says how far to move the
    offset on for the next call).

    >>> dropout(np.ones(3), 1.0, seed=0, offset=0)
    array([0., 0., 0.])
    """
    x = ready(x)
    out = empty(x.shape, x.dtype)
    if p >= 1.0:
        out.fill(0)
    elif p <= 0.0:
        out[...] = x
    else:
        limit = min(round(p * 2**32), 2**32 - 1)
        _dropout[x.size > SERIAL](x.ravel(), limit, 1.0 / (1.0 - p), signed(seed), offset, out.ravel())
    return out


def dropout_grad(g: np.ndarray, p: float, seed: int, offset: int) -> np.ndarray:
    """The gradient: g dropped and scaled as the input was, given the same p, seed and offset."""
    return dropout(g, p, seed, offset)
