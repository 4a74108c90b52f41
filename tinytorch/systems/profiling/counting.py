"""What was computed: every operation of a block of code, with its calls, FLOPs, bytes and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.autograd import registry
from tinytorch.kernels._jit import compile_seconds
from tinytorch.systems.profiling.watching import Watch


@dataclass
class OpTotal:
    """One operation, summed over its calls.

    flops: by the op's own cost rule. bytes: its inputs and its result, each touched once. seconds: in the
    op's function on ndarrays, checks and kernel, without compiling; the graph around it is not in there.
    """

    name: str
    calls: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0


class count_ops:
    """Count the operations inside a `with` block, backward passes included. Optimisers are not operations.

    A backward pass that is watched runs op by op, on tensors: what an unwatched one does in one launch (the
    way back through a small linear layer) is counted as the operations that it consists of, and is slower.

    `seconds` is the time of the whole block, without compiling and without the counting itself; what `ops`
    leave of it is `outside`: Python's way from one operation to the next, the graph, loaders, optimisers.

    >>> import tinytorch as tt
    >>> with count_ops() as counted:
    ...     _ = tt.ones(3, 4) @ tt.ones(4, 5)
    >>> [(op.name, op.calls, op.flops) for op in counted.ops]
    [('matmul', 1, 120.0)]
    """

    def __init__(self) -> None:
        self._last, self._watch = _Last(), Watch(op=self._timed)
        self.reset()

    def reset(self) -> None:
        """Forget what was counted so far: it was a warm-up."""
        self._totals: dict[str, OpTotal] = {}
        self._counting = 0.0
        self._began = _clock()
        self._ended: float | None = None

    def __enter__(self) -> count_ops:
        self._watch.start()
        registry.observers.append(self._observe)
        self.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = _clock()
        registry.observers.remove(self._observe)
        self._watch.stop()

    def _timed(self, op: Any, forward: Callable) -> Callable:
        def timed(*arrays: Any, **params: Any) -> Any:
            began = _clock()
            result = forward(*arrays, **params)
            self._last.seconds = _clock() - began
            return result

        return timed

    def _observe(self, op: Any, inputs: Sequence[Any], params: dict, result: Any) -> None:
        began = time.perf_counter()
        arrays = [None if t is None else t._data for t in inputs]
        flops, touched = op.flops_and_bytes(arrays, params, result._data)
        total = self._totals.setdefault(op.name, OpTotal(op.name))
        total.calls += 1
        total.flops += flops
        total.bytes += touched
        total.seconds += self._last.seconds
        self._counting += time.perf_counter() - began

    @property
    def seconds(self) -> float:
        """Of the block, or of what there was of it so far."""
        return (_clock() if self._ended is None else self._ended) - self._began - self._counting

    @property
    def outside(self) -> float:
        """Seconds of the block that were spent in no operation."""
        return self.seconds - sum(total.seconds for total in self._totals.values())

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


def _clock() -> float:
    """Seconds that stand still while a kernel is compiled."""
    return time.perf_counter() - compile_seconds()


class _Last(threading.local):
    seconds = 0.0  # of this thread's last operation, for the observers that are called after it
