"""Where profilers look: functions of the library that are wrapped while somebody watches, and only then.

Hooks of modules and observers of operations change what runs: layers that are computed at once are computed
one by one, and a backward pass goes op by op. A clock must not do that, so it stands around the functions
themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from tinytorch.autograd import graph, registry
from tinytorch.data import DataLoader
from tinytorch.nn import Module, _sequential
from tinytorch.optim import Optimizer

Wrapper = Callable[[Any, Callable], Callable]
"""Makes of (holder, function) what stands in for the function; the holder is an op, a class or a module."""


class Watch:
    """Wraps functions of the library inside a `with` block, or between `start()` and `stop()`.

    Each keyword names a place and gives the wrapper for it:
    op: every operation's function on ndarrays, forward and where a gradient rule runs on ndarrays.
    module: `Module.__call__`. Layers that are fused stay so, and are not called.
    gradients: `graph._gradients(node, g, needs, on_arrays)`, one node of a backward pass.
    accumulate: `graph._accumulate(leaf, g, create_graph, shared)`, a gradient that arrived.
    backward: `graph.backward`, a whole pass. step: `Optimizer.step`, of every class that has its own.
    waiting: `DataLoader._timed`, the batches as they are asked for. fetcher, transformed:
    `DataLoader._fetcher` and `_transformed`, which give the functions that make a batch.

    Several watches may begin and end in any order; the last one restores the functions. All threads are seen.
    """

    def __init__(self, **wrappers: Wrapper):
        self.wrappers = wrappers

    def start(self) -> None:
        """Wrap."""
        with _lock:
            _active.append(self)
            _install()

    def stop(self) -> None:
        """Unwrap."""
        with _lock:
            _active.remove(self)
            _install()

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_lock = threading.Lock()
_active: list[Watch] = []
_wrapped: list[tuple[Any, str, Callable]] = []  # holder, attribute, and the function that was there


def _places(name: str) -> Iterator[tuple[Any, str]]:
    """Holders and attributes of the functions that a place consists of."""
    if name == "op":
        yield from ((op, "forward") for op in registry.REGISTRY.values())
    elif name == "step":
        yield from ((kind, "step") for kind in _kinds(Optimizer) if "step" in kind.__dict__)
    else:
        yield {
            "module": (Module, "__call__"),
            "gradients": (graph, "_gradients"),
            "accumulate": (graph, "_accumulate"),
            "backward": (graph, "backward"),
            "waiting": (DataLoader, "_timed"),
            "fetcher": (DataLoader, "_fetcher"),
            "transformed": (DataLoader, "_transformed"),
        }[name]


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _install() -> None:
    """Put back what was there, then wrap it in the wrappers of all who watch."""
    for holder, attribute, function in _wrapped:
        setattr(holder, attribute, function)
    _wrapped.clear()
    for name in dict.fromkeys(name for watch in _active for name in watch.wrappers):
        for holder, attribute in _places(name):
            function = original = getattr(holder, attribute)
            for watch in _active:
                if name in watch.wrappers:
                    function = watch.wrappers[name](holder, function)
            _wrapped.append((holder, attribute, original))
            setattr(holder, attribute, function)
    _sequential._CALL = Module.__call__  # a layer whose call is ours is as plain as ever, so it is fused
