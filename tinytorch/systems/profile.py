"""A model layer by layer: shapes, parameters, FLOPs and bytes; and how long it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.systems.counting import count_ops


@dataclass
class LayerProfile:
    """One layer in one forward pass.

    name: its dotted name in the model. kind: its class. output_shape: of what it returned.
    params, param_bytes: the parameters that are its own. flops: of its operations, by their cost rules.
    activation_bytes: of what it returned; 0 for a view of what it was given.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    param_bytes: int
    flops: int
    activation_bytes: int


@dataclass
class ModelProfile:
    """The layers of a model in the order in which they ran, and their sums.

    flops: every operation of the forward pass, those between layers included.
    bytes: what the operations read and wrote, each array touched once.
    """

    layers: list[LayerProfile]
    params: int
    param_bytes: int
    flops: int
    bytes: int

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' results."""
        return sum(layer.activation_bytes for layer in self.layers)


def profile(model: Module, example: Any) -> ModelProfile:
    """Run `model(example)` once, in evaluation mode and without gradients, and count.

    Layers are the modules that contain no other. A layer that runs twice has two entries; its parameters
    stand in the first.

    >>> import tinytorch as tt
    >>> profile(tt.nn.Linear(784, 10), tt.zeros(1, 784)).params
    7850
    """
    layers: list[LayerProfile] = []
    counted_parameters: set[int] = set()
    started: list[float] = []
    total = count_ops()

    def before(module: Module, args: tuple) -> None:
        started.append(total.flops)

    def after(name: str) -> Callable[[Module, tuple, Any], None]:
        def record(module: Module, args: tuple, output: Any) -> None:
            own = [p for p in module.parameters() if id(p) not in counted_parameters]
            counted_parameters.update(map(id, own))
            given, base = args[0]._data, output._data.base
            view = output._data is given or (base is not None and (base is given or base is given.base))
            layers.append(
                LayerProfile(
                    name or type(module).__name__.lower(),
                    type(module).__name__,
                    tuple(output.shape),
                    sum(p._data.size for p in own),
                    sum(p._data.nbytes for p in own),
                    round(total.flops - started.pop()),
                    0 if view else output._data.nbytes,
                )
            )

        return record

    training, handles = [module for module in model.modules() if module.training], []
    model.eval()
    for name, module in model.named_modules():
        if not any(True for _ in module.children()):
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after(name))]
    try:
        with no_grad(), total:
            model(example)
    finally:
        for handle in handles:
            handle.remove()
        for module in training:
            module.training = True
    parameters = list(model.parameters())
    return ModelProfile(
        layers,
        sum(p._data.size for p in parameters),
        sum(p._data.nbytes for p in parameters),
        round(total.flops),
        round(total.bytes),
    )


def latency(function: Callable[[], Any], *, repeats: int = 50, warmup: int = 3) -> float:
    """Median seconds of a call of `function`, after `warmup` calls that are not counted."""
    if repeats < 1:
        raise ValueError(f"latency: expected at least one repeat, got {repeats}")
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
