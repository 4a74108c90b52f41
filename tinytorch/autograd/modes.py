"""Switches that change what the graph records: `no_grad`, `enable_grad`, `detect_anomaly`. Per thread."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any


class _Modes(threading.local):
    grad = True
    anomaly = False
    backward = False  # a gradient rule is running, and `anomaly` looks at what it gives as a whole
    arrays = False  # a gradient rule is running on ndarrays: ops give ndarrays


modes = _Modes()


class _Recording(contextlib.ContextDecorator):
    """A mode inside a `with` block or a decorated function; the one from before comes back afterwards."""

    def __init__(self, enabled: bool):
        self._enabled = bool(enabled)
        self._before: list[bool] = []

    def __enter__(self) -> _Recording:
        self._before.append(modes.grad)
        modes.grad = self._enabled
        return self

    def __exit__(self, *_: object) -> None:
        modes.grad = self._before.pop()

    def _recreate_cm(self) -> _Recording:
        return _Recording(self._enabled)  # a decorated function may run in several threads at once

    def __call__(self, func: Callable) -> Callable:
        """Decorate `func`; a generator has the mode while it runs, and its caller's between its items."""
        if not inspect.isgeneratorfunction(func):
            return super().__call__(func)

        @functools.wraps(func)
        def generate(*args: Any, **kwargs: Any) -> Any:
            with contextlib.closing(func(*args, **kwargs)) as items:
                sent = None
                while True:
                    with self._recreate_cm():
                        try:
                            item = items.send(sent)
                        except StopIteration as end:
                            return end.value
                    sent = yield item

        return generate


class _OfItself(_Recording):
    """A mode that may decorate without being called: `@no_grad` for `@no_grad()`."""

    def __new__(cls, func: Callable | None = None) -> Any:
        """A mode, or `func` decorated with it."""
        return super().__new__(cls) if func is None else cls()(func)


class no_grad(_OfItself):
    """Compute without recording a graph: for evaluation, and for updating parameters by hand.

    >>> import tinytorch as tt
    >>> x = tt.ones(2, requires_grad=True)
    >>> with tt.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_OfItself):
    """Record a graph again inside a `no_grad` block."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(_Recording):
    """Compute without a graph, for answers only: a `with` block, or a decorator with or without a call.

    It is `no_grad` by the name of its twin in PyTorch. What that one saves beyond `no_grad`, a version
    counter for each tensor, is made here only when a view or a saved tensor needs it. So it is laxer, too: a
    tensor made inside may be used in a graph afterwards, as a constant, where PyTorch refuses. `backward()`
    of a loss that reaches no parameter because of it names the operation. `inference_mode(False)` records a
    graph. `systems.freeze` also leaves out the layers.

    >>> import tinytorch as tt
    >>> w = tt.ones(2, requires_grad=True)
    >>> with tt.inference_mode():
    ...     y = w * 2
    >>> y.requires_grad, (y * w).requires_grad
    (False, True)
    """

    def __new__(cls, mode: Any = True) -> Any:
        """A mode, or the decorated function where it stands in the place of `mode`."""
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True):
        super().__init__(not mode)


class set_grad_enabled(_Recording):
    """Record gradients or not: from this line on, in a `with` block, or in a decorated function."""

    def __init__(self, enabled: bool):
        super().__init__(enabled)
        self._outside = modes.grad
        modes.grad = self._enabled

    def __enter__(self) -> set_grad_enabled:
        self._before.append(modes.grad if self._before else self._outside)
        modes.grad = self._enabled
        return self

    def __call__(self, func: Callable) -> Callable:
        """Decorate `func`."""
        modes.grad = self._outside  # as a decorator it says nothing about the lines after it
        return super().__call__(func)


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
