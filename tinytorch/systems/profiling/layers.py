"""The layers of a model as they are defined: each computed by itself, with its parameters and its FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.autograd import registry
from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.systems.profiling.costs import LayerProfile
from tinytorch.tensor import Tensor

Run = tuple[Module, int]  # a module, and how often it ran before in this pass


class _Watcher:
    """Notes, in one forward pass, which module runs, and each operation in it."""

    def __init__(self, model: Module):
        self.names = {module: name or type(module).__name__.lower() for name, module in model.named_modules()}
        self.plain = {module for module in model.modules() if not any(True for _ in module.children())}
        self.owners = {id(p._data): m for m in model.modules() for _, p in m._own_parameters()}
        self.runs: dict[Module, int] = {}
        self.running: list[Run] = []
        self.log: list[tuple[Run, Module | None, float]] = []  # who ran, whose parameter it read, FLOPs
        self.results: dict[Run, tuple[tuple[int, ...], int]] = {}
        self.last: Any = None

    def before(self, module: Module, args: tuple) -> None:
        run = module, self.runs.get(module, 0)
        self.runs[module] = run[1] + 1
        self.running.append(run)
        if module in self.plain:
            self.log.append((run, None, 0.0))

    def after(self, module: Module, args: tuple, output: Any) -> None:
        run, out = self.running.pop(), first_tensor(output)
        if out is None:
            return
        given = first_tensor(args)
        view = out._data is self.last or (given is not None and _is_view(out._data, given._data))
        self.last = out._data
        self.results[run] = tuple(out.shape), 0 if view else out._data.nbytes

    def operation(self, op: Any, inputs: Sequence[Any], params: dict, result: Any) -> None:
        arrays = [None if t is None else t._data for t in inputs]
        owner = next((self.owners[id(a)] for a in arrays if id(a) in self.owners), None)
        if self.running:
            self.log.append((self.running[-1], owner, op.flops_and_bytes(arrays, params, result._data)[0]))


def _is_view(out: np.ndarray, given: np.ndarray) -> bool:
    """Whether `out` is `given`, or a view of it or of what it is a view of."""
    return out is given or (out.base is not None and (out.base is given or out.base is given.base))


def first_tensor(value: Any) -> Any:
    """The first tensor in `value`, which may be nested; None where there is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return next((t for t in map(first_tensor, value) if t is not None), None)
    return None


def define(model: Module, inputs: Sequence[Any]) -> tuple[list[LayerProfile], dict[Module, list[int]]]:
    """Run `model(*inputs)` once, in evaluation mode, without gradients, each layer by itself.

    Gives the layers in the order in which they ran, and for each module their places in that list. Listed
    are the modules without others in them, once for each time they ran, and others for what they compute
    themselves. An operation that reads a parameter of a module that is never called counts for that module.
    """
    watcher, handles = _Watcher(model), []
    training = [module for module in model.modules() if module.training]
    model.eval()
    for module in model.modules():
        handles += [module.register_forward_pre_hook(watcher.before)]
        handles += [module.register_forward_hook(watcher.after)]
    registry.observers.append(watcher.operation)
    try:
        with no_grad():
            model(*inputs)
    finally:
        registry.observers.remove(watcher.operation)
        for handle in handles:
            handle.remove()
        for module in training:
            module.training = True
    return _listed(watcher)


def _listed(watcher: _Watcher) -> tuple[list[LayerProfile], dict[Module, list[int]]]:
    places: dict[Run, int] = {}
    layers: list[LayerProfile] = []
    rows: dict[Module, list[int]] = {}
    counted: set[int] = set()
    for run, owner, flops in watcher.log:
        if owner is not None and owner not in watcher.runs:
            run = owner, 0
        module = run[0]
        if run not in places:
            own = [p for _, p in module._own_parameters() if id(p) not in counted]
            counted.update(map(id, own))
            shape, size = watcher.results.get(run, ((), 0))
            places[run] = len(layers)
            rows.setdefault(module, []).append(len(layers))
            layers.append(
                LayerProfile(
                    watcher.names[module],
                    type(module).__name__,
                    shape,
                    sum(p._data.size for p in own),
                    sum(p._data.nbytes for p in own),
                    output_bytes=size,
                )
            )
        layers[places[run]].flops += round(flops)
    return layers, rows
