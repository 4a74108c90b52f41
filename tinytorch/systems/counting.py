"""What was computed: every operation of a block of code, with its calls, FLOPs, bytes and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.autograd import registry


@dataclass
class OpTotal:
    """One operation, summed over its calls.

    flops: by the op's own cost rule. bytes: its inputs and its result, each touched once. seconds: from the
    end of the operation before it, so the Python between two operations counts for the later one.
    """

    name: str
    calls: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0


class count_ops:
    """Count the operations inside a `with` block, backward passes included. Optimisers are not operations.

    Each operation costs a few microseconds more in there: look at shares, not at sums.

    >>> import tinytorch as tt
    >>> with count_ops() as counted:
    ...     _ = tt.ones(3, 4) @ tt.ones(4, 5)
    >>> [(op.name, op.calls, op.flops) for op in counted.ops]
    [('matmul', 1, 120.0)]
    """

    def __init__(self) -> None:
        self._totals: dict[str, OpTotal] = {}
        self._last = 0.0

    def __enter__(self) -> count_ops:
        registry.observers.append(self._observe)
        self._last = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        registry.observers.remove(self._observe)

    def _observe(self, op: Any, inputs: Sequence[Any], params: dict, result: Any) -> None:
        elapsed = time.perf_counter() - self._last
        arrays = [None if t is None else t._data for t in inputs]
        flops, touched = op.flops_and_bytes(arrays, params, result._data)
        total = self._totals.setdefault(op.name, OpTotal(op.name))
        total.calls += 1
        total.flops += flops
        total.bytes += touched
        total.seconds += elapsed
        self._last = time.perf_counter()

    @property
    def ops(self) -> list[OpTotal]:
        """The operations, the longest first."""
        return sorted(self._totals.values(), key=lambda total: -total.seconds)

    @property
    def flops(self) -> float:
        """FLOPs of all of them."""
        return sum(total.flops for total in self._totals.values())

    @property
    def bytes(self) -> float:
        """Bytes of all of them."""
        return sum(total.bytes for total in self._totals.values())
