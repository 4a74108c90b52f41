"""A static memory plan: where each intermediate array of a run lies in one buffer, decided before it runs.

A run is recorded once: which arrays the kernels asked for, and between which requests each of them was alive.
Two that are never alive together may share bytes. Later runs of the same requests are served from one buffer
and allocate nothing.
"""

from __future__ import annotations

import ctypes
import math
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.kernels.memory import ALIGNMENT, server

_getrefcount = sys.getrefcount


@dataclass(frozen=True)
class Lifetime:
    """An array of a run: its bytes, the number of its request, and that of the first request after it died.

    end is None for an array that outlives the run, such as a result: it has no place in a plan.
    """

    bytes: int
    start: int
    end: int | None


@dataclass(frozen=True)
class MemoryPlan:
    """Where the arrays of a run lie.

    lifetimes: in the order of the requests. offsets: into the buffer, None for what outlives the run.
    bytes: of the buffer. lower_bound: the most that is alive at one time, below which no plan can be.
    unshared: what the same arrays take when none shares bytes with another.
    """

    lifetimes: tuple[Lifetime, ...]
    offsets: tuple[int | None, ...]
    bytes: int
    lower_bound: int
    unshared: int

    def __str__(self) -> str:
        planned = sum(offset is not None for offset in self.offsets)
        return (
            f"{planned} arrays in {self.bytes:,} bytes "
            f"(at least {self.lower_bound:,}; apart {self.unshared:,})"
        )


def plan_memory(lifetimes: Sequence[Lifetime], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Give each array an offset so that no two that are alive together overlap: greedy by size.

    The largest first, each into the smallest gap that holds it between those that are placed already and
    alive at the same time, else behind them. Sizes are rounded up to the alignment.

    Cost: n² comparisons for n arrays.
    Source: Y. Pisarchyk, J. Lee, "Efficient memory management for deep neural net inference", 2020, "Greedy
    by size for offset calculation".

    >>> plan = plan_memory([Lifetime(256, 0, 2), Lifetime(128, 1, 3), Lifetime(256, 2, 3)])
    >>> plan.offsets, plan.bytes
    ((0, 256, 0), 384)
    """
    sizes = [-(-life.bytes // alignment) * alignment for life in lifetimes]
    inside = [i for i, life in enumerate(lifetimes) if life.end is not None]
    offsets: list[int | None] = [None] * len(lifetimes)
    placed: list[tuple[int, int]] = []  # (offset, index), by offset
    for i in sorted(inside, key=lambda i: (-sizes[i], i)):
        best, smallest, top = None, math.inf, 0
        for offset, j in placed:
            if not _together(lifetimes[i], lifetimes[j]):
                continue
            gap = offset - top
            if sizes[i] <= gap < smallest:
                best, smallest = top, gap
            top = max(top, offset + sizes[j])
        offsets[i] = top if best is None else best
        placed.append((offsets[i], i))  # pyright: ignore[reportArgumentType]
        placed.sort()
    total = max((offset + sizes[j] for offset, j in placed), default=0)
    alive = [sum(sizes[j] for j in inside if _covers(lifetimes[j], i)) for i in range(len(lifetimes))]
    return MemoryPlan(
        tuple(lifetimes), tuple(offsets), total, max(alive, default=0), sum(sizes[i] for i in inside)
    )


def _together(one: Lifetime, other: Lifetime) -> bool:
    assert one.end is not None
    assert other.end is not None
    return one.start < other.end and other.start < one.end


def _covers(life: Lifetime, request: int) -> bool:
    return life.start <= request and (life.end is None or request < life.end)


class Recording:
    """The requests of one run, and when what was given died.

    `Recording.of(run)` returns the result of `run()` and the recording; the result is alive while it ends, so
    its arrays count as outliving it.
    """

    def __init__(self) -> None:
        self.shapes: list[tuple[tuple[int, ...], np.dtype]] = []
        self._ends: list[int | None] = []
        self._watched: list[weakref.ref] = []
        self._open = True

    @classmethod
    def of(cls, run: Callable[[], Any]) -> tuple[Any, Recording]:
        """Record `run()`."""
        recording = cls()
        before, server.serve = server.serve, recording._serve
        try:
            result = run()
        finally:
            server.serve = before
        recording._open = False
        return result, recording

    @property
    def lifetimes(self) -> list[Lifetime]:
        """Of all requests."""
        return [
            Lifetime(math.prod(shape) * dtype.itemsize, i, end)
            for i, ((shape, dtype), end) in enumerate(zip(self.shapes, self._ends, strict=True))
        ]

    def _serve(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        number = len(self.shapes)
        self.shapes.append((tuple(shape), dtype))
        self._ends.append(None)
        raw = np.empty(math.prod(shape) * dtype.itemsize + ALIGNMENT, np.uint8)
        # Views of the array refer to `raw`, so it lives as long as the last of them.
        self._watched.append(weakref.ref(raw, lambda _: self._died(number)))
        return np.ndarray(shape, dtype, raw, -raw.ctypes.data % ALIGNMENT)

    def _died(self, number: int) -> None:
        if self._open:
            self._ends[number] = len(self.shapes)


class _Slot:
    """One planned array, and those whose bytes it shares: itself, and every other that overlaps it."""

    __slots__ = ("array", "rivals")

    def __init__(self, array: np.ndarray):
        self.array = array
        self.rivals: tuple[_Slot, ...] = (self,)


class Arena:
    """The buffer of a plan, from which runs of the recorded requests are served.

    It never relies on the recording: an array is given out only where nothing refers to it any more, nor to
    any other whose bytes it shares, which reference counts tell. A run that asks for something else, or keeps
    something longer, gets that array from the pool instead (`misses` counts them), and is as correct. One run
    at a time; see `Frozen` for threads.
    """

    def __init__(self, recording: Recording):
        self.plan = plan_memory(recording.lifetimes)
        self.misses = 0
        self._next = 0
        raw: Any = np.empty(self.plan.bytes + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        self._slots: list[_Slot | None] = []
        extents: list[tuple[int, int, _Slot]] = []
        for (shape, dtype), life, offset in zip(
            recording.shapes, self.plan.lifetimes, self.plan.offsets, strict=True
        ):
            if offset is None:
                self._slots.append(None)
                continue
            # Through a ctypes array, so that views of the array refer to it and not to the whole buffer.
            part: Any = (ctypes.c_uint8 * life.bytes).from_buffer(raw, start + offset)
            slot = _Slot(np.ndarray(shape, dtype, part))
            for first, last, other in extents:
                if offset < last and first < offset + life.bytes:
                    slot.rivals += (other,)
                    other.rivals += (slot,)
            extents.append((offset, offset + life.bytes, slot))
            self._slots.append(slot)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, with its arrays from the buffer."""
        self._next = 0
        before, server.serve = server.serve, self._serve
        try:
            return function(*args)
        finally:
            server.serve = before

    def _serve(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
        number = self._next
        self._next = number + 1
        if number >= len(self._slots):
            self.misses += 1
            return None
        slot = self._slots[number]
        if slot is None:
            return None
        if slot.array.shape != shape or slot.array.dtype != dtype:
            self.misses += 1
            return None
        for rival in slot.rivals:
            if _getrefcount(rival.array) != 2:  # the slot's own, and the call's argument
                self.misses += 1
                return None
        return slot.array
