"""Which layers read the output channels of which: found by running a model once and following its tensors.

Taking a channel out of a layer takes it out of everything behind it, up to and including the inputs of the
next layer that mixes channels. What lies between is seen in one run: modules with hooks, and operations
between modules through the registry's observers. Where a channel reaches something that needs all of them (a
sum with a residual branch, attention, the model's own output), the layer cannot be pruned, and the reason is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch import nn
from tinytorch.autograd import registry
from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Module
from tinytorch.tensor import Tensor

Array = np.ndarray

_ELEMENTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d,
)  # fmt: skip
_SPATIAL = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d,
    nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.Upsample, nn.UpsamplingNearest2d,
    nn.UpsamplingBilinear2d,
)  # fmt: skip
_ELEMENTWISE_OPS = {
    "abs", "cast", "clip", "clone", "dropout", "elu", "gelu", "leaky_relu", "neg", "relu", "sigmoid", "silu",
    "softplus", "square", "tanh",
}  # fmt: skip
_SPATIAL_OPS = {"max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "interpolate"}
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_RESHAPING = (nn.Flatten, nn.Unflatten)


@dataclass
class Channels:
    """The output channels of one layer, and all that has to shrink with them.

    layer: its dotted name. count: how many there are. along: batch norms and depthwise convolutions on the
    way; readers: the layers that mix the channels; each with the channel that every input of it belongs to
    (behind a flattening several belong to one).
    """

    layer: str
    count: int
    along: dict[str, Array] = field(default_factory=dict)
    readers: dict[str, Array] = field(default_factory=dict)


@dataclass
class _Call:
    """A layer that ran, or an operation outside of all layers."""

    name: str
    module: Module | None
    inputs: list[Tensor]
    output: Any


class _Blocked(Exception):
    """The channels reach something that needs all of them."""


def find_channels(model: Module, example: Any) -> tuple[dict[str, Channels], dict[str, str]]:
    """The layers of `model` whose output channels can be taken out, and for the other ones the reason.

    example: an input, or a tuple of inputs; the model runs once, in evaluation mode.
    """
    calls, outputs = _trace(model, example)
    found: dict[str, Channels] = {}
    reasons: dict[str, str] = {}
    for position, call in enumerate(calls):
        if call.module is None or type(call.module) not in (nn.Linear, *_CONVOLUTIONS):
            continue
        try:
            found[call.name] = _follow(model, calls, outputs, position)
        except _Blocked as reason:
            reasons[call.name] = str(reason)
    return {name: channels for name, channels in found.items() if name not in reasons}, reasons


# --- one run --------------------------------------------------------------------------------------------


def _trace(model: Module, example: Any) -> tuple[list[_Call], list[Tensor]]:
    """What ran, in its order, and the tensors that the model returned."""
    calls: list[_Call] = []
    inside: list[Module] = []

    def observe(op: Any, inputs: Any, params: dict, result: Any) -> None:
        if not inside:
            calls.append(_Call(op.name, None, [t for t in inputs if t is not None], result))

    def before(module: Module, arguments: tuple) -> None:
        inside.append(module)

    def after(name: str) -> Callable[[Module, tuple, Any], None]:
        def record(module: Module, arguments: tuple, output: Any) -> None:
            inside.pop()
            calls.append(_Call(name, module, [a for a in arguments if isinstance(a, Tensor)], output))

        return record

    training, handles = [module for module in model.modules() if module.training], []
    model.eval()
    for name, module in model.named_modules():
        if not any(True for _ in module.children()):
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after(name))]
    registry.observers.append(observe)
    try:
        with no_grad():
            output = model(*(example if isinstance(example, tuple) else (example,)))
    finally:
        registry.observers.remove(observe)
        for handle in handles:
            handle.remove()
        for module in training:
            module.training = True
    return calls, list(_tensors(output))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


# --- following a tensor ---------------------------------------------------------------------------------


def _follow(model: Module, calls: list[_Call], outputs: list[Tensor], start: int) -> Channels:
    first = calls[start]
    layer: Any = first.module
    _check_own(model, calls, first)
    if isinstance(layer, nn.Linear):
        axis, count = first.output.ndim - 1, layer.out_features
    elif layer.groups == 1:
        axis, count = 1, layer.out_channels
    else:
        raise _Blocked(f"it is a convolution in {layer.groups} groups")
    channels = Channels(first.name, count)
    pending: list[tuple[Tensor, int, Array, int]] = [(first.output, axis, np.arange(count), start)]
    visited: set[tuple[int, int]] = set()
    while pending:
        tensor, axis, index, position = pending.pop()
        if any(t is tensor for t in outputs):
            raise _Blocked("they are the model's output")
        for number in range(position + 1, len(calls)):
            call = calls[number]
            if any(t is tensor for t in call.inputs) and (id(tensor), number) not in visited:
                visited.add((id(tensor), number))
                onward = _pass(model, calls, call, tensor, axis, index, channels)
                if onward is not None:
                    pending.append((call.output, *onward, number))
    if not channels.readers:
        raise _Blocked("no layer reads them")
    return channels


def _pass(
    model: Module,
    calls: list[_Call],
    call: _Call,
    tensor: Tensor,
    axis: int,
    index: Array,
    channels: Channels,
) -> tuple[int, Array] | None:
    """Axis and channels of what `call` makes of `tensor`; None where it mixes the channels."""
    module: Any = call.module
    kind: Any = type(module)
    operation = "" if call.module is not None else call.name
    alone = len(call.inputs) == 1 and isinstance(call.output, Tensor)
    if alone and (kind in _ELEMENTWISE or operation in _ELEMENTWISE_OPS):
        return axis, index
    if alone and axis == 1 and (kind in _SPATIAL or operation in _SPATIAL_OPS):
        return axis, index
    if alone and (kind in _RESHAPING or operation == "reshape"):
        return _reshaped(call, tensor, axis, index)
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d) and axis == 1:
        _check_own(model, calls, call)
        channels.along[call.name] = index
        return axis, index
    if kind in _CONVOLUTIONS and axis == 1:
        _check_own(model, calls, call)
        if module.groups == 1:
            channels.readers[call.name] = index
            return None
        if module.groups == module.in_channels == module.out_channels:
            channels.along[call.name] = index
            return axis, index
        raise _Blocked(f"they reach {call.name!r}, a convolution in {module.groups} groups")
    if kind is nn.Linear and axis == tensor.ndim - 1:
        _check_own(model, calls, call)
        channels.readers[call.name] = index
        return None
    what = f"the operation {operation!r}" if operation else f"{call.name!r}, a {kind.__name__}"
    raise _Blocked(f"they reach {what}, which needs all of them")


def _reshaped(call: _Call, tensor: Tensor, axis: int, index: Array) -> tuple[int, Array]:
    """Which channel each entry of a reshaped tensor belongs to, where that is told by one axis."""
    before, after = tensor.shape, call.output.shape
    if axis and before[0] == after[0]:
        shape = [1] * (len(before) - 1)
        shape[axis - 1] = len(index)
        spread = np.broadcast_to(index.reshape(shape), before[1:]).reshape(after[1:])
        for onto in range(spread.ndim):
            line = spread[tuple(slice(None) if i == onto else slice(1) for i in range(spread.ndim))]
            if (spread == line).all():
                return onto + 1, line.ravel()
    raise _Blocked(f"they are spread over several axes by {call.name!r} ({before} -> {after})")


def _check_own(model: Module, calls: list[_Call], call: _Call) -> None:
    """Refuse a layer that runs more than once, or whose weights are another layer's too."""
    module: Any = call.module
    if sum(other.module is module for other in calls) > 1:
        raise _Blocked(f"{call.name!r} runs more than once")
    own = {id(parameter) for parameter in module.parameters()}
    named = model.named_parameters(remove_duplicate=False)
    if sum(id(parameter) in own for _, parameter in named) > len(own):
        raise _Blocked(f"{call.name!r} shares its weights with another layer")
