"""Who takes what a layer returns: found by running the model once and watching."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from tinytorch.autograd.modes import no_grad
from tinytorch.autograd.registry import observers
from tinytorch.nn import Module
from tinytorch.tensor import Tensor


class Flow:
    """What went where in one forward pass of `model`, seen between the modules of the kinds `parts`.

    A tensor that any other operation used, or that the model returned, counts as taken by somebody unknown.
    Modules that return what they are given, as dropout in evaluation mode does, leave no trace.
    """

    def __init__(self, model: Module, arguments: tuple, parts: tuple[type[Module], ...]):
        self._results: dict[str, set[int]] = defaultdict(set)  # part -> tensors that it returned
        self._takers: dict[int, set[str]] = defaultdict(set)  # tensor -> parts that it was given to
        self._calls: dict[str, int] = defaultdict(int)
        self._unknown: set[int] = set()  # tensors that somebody else took
        self._alive: list[Any] = []  # an id names a tensor only as long as that exists
        self._inside = 0
        self._run(model, arguments, parts)

    def takers(self, name: str) -> set[str] | None:
        """The parts that were given the results of part `name`, in all its calls; None where somebody unknown
        took one, or the parts were not the same each time."""
        results = self._results[name]
        found = {frozenset(self._takers[tensor]) for tensor in results}
        if results & self._unknown or len(found) != 1:
            return None
        return set(found.pop())

    def calls(self, name: str) -> int:
        """How often part `name` was called."""
        return self._calls[name]

    def _run(self, model: Module, arguments: tuple, parts: tuple[type[Module], ...]) -> None:
        handles = []
        for name, module in model.named_modules():
            if isinstance(module, parts):
                handles.append(module.register_forward_pre_hook(self._before(name)))
                handles.append(module.register_forward_hook(self._after(name)))
        observers.append(self._observe)
        try:
            with no_grad():
                returned = model(*arguments)
        finally:
            observers.remove(self._observe)
            for handle in handles:
                handle.remove()
        self._unknown.update(id(tensor) for tensor in _tensors(returned))

    def _before(self, name: str) -> Callable:
        def note(module: Module, arguments: tuple) -> None:
            if not self._inside:
                for tensor in _tensors(arguments):
                    self._takers[id(tensor)].add(name)
                    self._alive.append(tensor)
            self._inside += 1

        return note

    def _after(self, name: str) -> Callable:
        def note(module: Module, arguments: tuple, output: Any) -> None:
            self._inside -= 1
            if self._inside:
                return
            self._calls[name] += 1
            for tensor in _tensors(output):
                self._results[name].add(id(tensor))
                self._alive.append(tensor)

        return note

    def _observe(self, op: Any, inputs: Any, params: dict, result: Any) -> None:
        if not self._inside:
            self._unknown.update(id(tensor) for tensor in inputs if tensor is not None)
            self._alive += inputs


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
