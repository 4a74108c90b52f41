"""Switches that change what the graph records: `no_grad`, `enable_grad`, `detect_anomaly`. Per thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class _Modes(threading.local):
    grad = True
    anomaly = False


modes = _Modes()


class set_grad_enabled(contextlib.ContextDecorator):
    """Record gradients or not, inside a `with` block or a decorated function."""

    def __init__(self, enabled: bool):
        self._enabled = bool(enabled)
        self._before: list[bool] = []

    def __enter__(self) -> set_grad_enabled:
        self._before.append(modes.grad)
        modes.grad = self._enabled
        return self

    def __exit__(self, *_: object) -> None:
        modes.grad = self._before.pop()


class no_grad(set_grad_enabled):
    """Compute without recording a graph: for evaluation, and for updating parameters by hand.

    >>> import tinytorch as tt
    >>> x = tt.ones(2, requires_grad=True)
    >>> with tt.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Record a graph again inside a `no_grad` block."""

    def __init__(self) -> None:
        super().__init__(True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return modes.grad


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise at the first operation that makes a NaN, forward or backward, and name the line that called it.

    Costs one pass over every result, and the call site of every operation: for hunting, not for training.
    """
    before, modes.anomaly = modes.anomaly, True
    try:
        yield
    finally:
        modes.anomaly = before
