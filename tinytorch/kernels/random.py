"""Random numbers from a counter: any number of a stream can be computed on its own, on any thread.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
2011) turns a 64-bit counter and a 64-bit seed into two 32-bit words.  Numbers come in blocks of BLOCK: the
first words of HALF counters, then their second words, which keeps the loop over counters in full registers.

`offset` counts blocks.  A call uses `blocks(size)` of them (a float64 or normal number takes two words), and
the caller moves its offset on by that or more.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import both
from tinytorch.kernels.memory import empty

HALF = 64
BLOCK = 2 * HALF
CHUNK = 4096  # numbers that one iteration makes: a whole number of blocks
SERIAL = 8192
_u32 = np.uint32
_PARITY = 0x1BD11BDA


@kernel(inline=True)
def _mix(x, y, r):
    """One round: add, rotate by r, exclusive or."""
    x = _u32(x + y)
    y = _u32(_u32(y << _u32(r)) | _u32(y >> _u32(32 - r)))
    return x, _u32(y ^ x)


@kernel(inline=True)
def threefry(low, high, key_low, key_high):
    """Two 32-bit words from the counter (low, high) and the key; all uint32."""
    third = _u32(key_low ^ key_high ^ _u32(_PARITY))
    x, y = _u32(low + key_low), _u32(high + key_high)
    x, y = _mix(x, y, 13)
    x, y = _mix(x, y, 15)
    x, y = _mix(x, y, 26)
    x, y = _mix(x, y, 6)
    x, y = _u32(x + key_high), _u32(y + _u32(third + _u32(1)))
    x, y = _mix(x, y, 17)
    x, y = _mix(x, y, 29)
    x, y = _mix(x, y, 16)
    x, y = _mix(x, y, 24)
    x, y = _u32(x + third), _u32(y + _u32(key_low + _u32(2)))
    x, y = _mix(x, y, 13)
    x, y = _mix(x, y, 15)
    x, y = _mix(x, y, 26)
    x, y = _mix(x, y, 6)
    x, y = _u32(x + key_low), _u32(y + _u32(key_high + _u32(3)))
    x, y = _mix(x, y, 17)
    x, y = _mix(x, y, 29)
    x, y = _mix(x, y, 16)
    x, y = _mix(x, y, 24)
    x, y = _u32(x + key_high), _u32(y + _u32(third + _u32(4)))
    x, y = _mix(x, y, 13)
    x, y = _mix(x, y, 15)
    x, y = _mix(x, y, 26)
    x, y = _mix(x, y, 6)
    return _u32(x + third), _u32(y + _u32(key_low + _u32(5)))


@kernel(inline=True)
def fill_block(words, block, seed):
    """The BLOCK words of one block of the stream `seed`."""
    counter = block * HALF  # a block's counters share their upper half
    low, high = _u32(counter & 0xFFFFFFFF), _u32((counter >> 32) & 0xFFFFFFFF)
    key_low, key_high = _u32(seed & 0xFFFFFFFF), _u32((seed >> 32) & 0xFFFFFFFF)
    first, second = words[:HALF], words[HALF:]
    for j in range(first.size):
        x, y = threefry(_u32(low + _u32(j)), high, key_low, key_high)
        first[j] = x
        second[j] = y


def _words(seed, offset, out):
    for chunk in prange((out.size + CHUNK - 1) // CHUNK):  # owns CHUNK elements of out
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        words = np.empty(BLOCK, np.uint32)
        for start in range(0, part.size, BLOCK):
            fill_block(words, offset + (chunk * CHUNK + start) // BLOCK, seed)
            piece = part[start : start + BLOCK]
            for j in range(piece.size):
                piece[j] = words[j]


_fill = both(_words, "random_words")


def blocks(size: int, dtype: np.dtype | type = np.float32, normal: bool = False) -> int:
    """Blocks of the stream that `size` numbers take: how far to move the offset on."""
    double = 2 if normal or np.dtype(dtype) == np.float64 else 1
    return -(-size * double // BLOCK)


def signed(seed: int) -> int:
    """The seed's 64 bits as a signed number, the one integer type that kernels are compiled for."""
    seed &= 0xFFFFFFFFFFFFFFFF
    return seed - (1 << 64) if seed >> 63 else seed


def words(size: int, seed: int, offset: int) -> np.ndarray:
    """`size` random 32-bit words, uint32."""
    out = empty((size,), np.uint32)
    _fill[size > SERIAL](signed(seed), offset, out)
    return out


def uniform(shape: tuple[int, ...], dtype: np.dtype | type, seed: int, offset: int) -> np.ndarray:
    """Numbers from [0, 1): 24 random bits for float32, 53 for float64.

    >>> uniform((2, 3), np.float32, seed=0, offset=0).shape
    (2, 3)
    """
    size = math.prod(shape)
    out = empty(shape, dtype)
    if out.dtype == np.float32:
        np.multiply(words(size, seed, offset) >> 8, np.float32(2**-24), out=out.ravel(), casting="unsafe")
    else:
        pairs = words(2 * size, seed, offset).view(np.uint64)
        np.multiply(pairs >> 11, 2.0**-53, out=out.ravel())
    return out


def normal(shape: tuple[int, ...], dtype: np.dtype | type, seed: int, offset: int) -> np.ndarray:
    """Numbers from the standard normal distribution: sqrt(-2 log u) * cos(2 pi v) (Box and Muller, 1958)."""
    size = math.prod(shape)
    pairs = words(2 * size, seed, offset).reshape(size, 2)
    radius = (pairs[:, 0] + 0.5) * 2.0**-32  # never 0
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle = pairs[:, 1] * (2.0 * np.pi * 2.0**-32)
    np.cos(angle, out=angle)
    out = empty(shape, dtype)
    np.multiply(radius, angle, out=out.ravel(), casting="same_kind")
    return out


def bernoulli(p: np.ndarray, seed: int, offset: int) -> np.ndarray:
    """1 with probability p, else 0, element by element; p in [0, 1] and the result have one dtype."""
    chance = words(p.size, seed, offset).reshape(p.shape)
    return (chance < np.float64(p) * 2.0**32).astype(p.dtype)
