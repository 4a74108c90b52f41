"""A pool of reusable aligned buffers behind every array that a kernel fills.

Training asks for the same shapes at every step.  A fresh large array costs a page fault per 4 KiB, often more
than the kernel that fills it; a buffer that was used before costs none.  A block is free again when no array
refers to it any more, which its reference count tells: nothing has to be released by hand, and an array
handed out by `Tensor.numpy()` keeps its block for as long as somebody holds it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and an AVX-512 register
SMALLEST = 1 << 15  # below this malloc reuses memory as well as we would
IDLE_LIMIT = 1 << 26  # bytes of unused blocks kept however little is in use

_getrefcount = sys.getrefcount


class _Block:
    """One raw buffer, with the offset at which it is aligned, and when it was last handed out."""

    __slots__ = ("offset", "raw", "season")

    def __init__(self, size: int, season: int):
        self.raw = np.empty(size + ALIGNMENT, np.uint8)
        self.offset = -self.raw.ctypes.data % ALIGNMENT
        self.season = season

    def is_free(self) -> bool:
        return _getrefcount(self.raw) == 2  # the slot and the call's argument


class _Pool:
    def __init__(self) -> None:
        self._blocks: dict[int, list[_Block]] = {}
        self._lock = threading.Lock()
        self._season = 0  # goes on whenever idle blocks are looked through
        self._handed_out = 0  # bytes in this season

    def take(self, size: int) -> _Block:
        blocks = self._blocks.get(size)
        if blocks is None:
            blocks = self._blocks.setdefault(size, [])
        self._handed_out += size
        for block in blocks:
            if _getrefcount(block.raw) == 2:
                block.season = self._season
                return block
        self._drop_idle(size)
        block = _Block(size, self._season)
        blocks.append(block)
        return block

    def _drop_idle(self, wanted: int) -> None:
        """Before growing, if idle blocks outweigh what is in use, let go of those not used since last time.

        At the end of a training step nearly all its blocks are idle.  A small array or two that find none of
        their size must not cost the step all of them, to be faulted in again in the next: so a season lasts
        until half of what the pool holds has been handed out.
        """
        idle, used = wanted, 0
        for size, blocks in self._blocks.items():
            free = sum(block.is_free() for block in blocks)
            idle, used = idle + size * free, used + size * (len(blocks) - free)
        if idle > max(IDLE_LIMIT, used // 4) and 2 * self._handed_out >= idle + used:
            for size, blocks in self._blocks.items():
                self._blocks[size] = [b for b in blocks if b.season == self._season or not b.is_free()]
            self._season, self._handed_out = self._season + 1, 0

    def clear(self) -> None:
        for size, blocks in self._blocks.items():
            self._blocks[size] = [block for block in blocks if not block.is_free()]

    def reserved(self) -> int:
        return sum(size * len(blocks) for size, blocks in self._blocks.items())


_pool = _Pool()


class _Server(threading.local):
    """Who is asked before the pool, per thread: `serve(shape, dtype)` gives an array, or None for as usual.

    This is how a memory plan (`systems.memory_plan`) places the arrays of a run whose requests are known.
    """

    serve: Callable[[tuple[int, ...], np.dtype], np.ndarray | None] | None = None


server = _Server()


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised C-contiguous array, 64-byte aligned and from the pool when it is large."""
    if type(dtype) is type:
        dtype = np.dtype(dtype)
    if server.serve is not None:
        served = server.serve(shape, dtype)
        if served is not None:
            return served
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    grain = 1 << (size.bit_length() - 4)  # eight sizes a doubling: at most an eighth is wasted
    size = (size + grain - 1) & -grain
    with _pool._lock:
        block = _pool.take(size)
        return np.ndarray(shape, dtype, block.raw, block.offset)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """`empty`, filled with zeros."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


def empty_cache() -> None:
    """Give the pool's unused blocks back to the operating system."""
    with _pool._lock:
        _pool.clear()


def reserved_bytes() -> int:
    """Bytes that the pool holds, in use or not."""
    return _pool.reserved()
