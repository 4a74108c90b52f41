"""A calibrated model in int8, whose chains of layers hand codes to each other; and all of it in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from tinytorch.nn import (
    AdaptiveMaxPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    Module,
    MultiheadAttention,
    ReLU,
    Sequential,
)
from tinytorch.systems.quantization._codes import (
    QuantizedFlatten,
    QuantizedGlobalMaxPool2d,
    QuantizedMaxPool2d,
    joins_all,
    pools_codes,
)
from tinytorch.systems.quantization._conv import QuantizedConv2d, numeric_padding, obstacle
from tinytorch.systems.quantization._flow import Flow
from tinytorch.systems.quantization._layers import QuantizedLayer
from tinytorch.systems.quantization._linear import QuantizedLinear
from tinytorch.systems.quantization._observers import Observer
from tinytorch.systems.quantization._prepare import (
    Observed,
    calibrate,
    check_calibrated,
    is_watched,
    observed,
    prepare,
    replaced,
)
from tinytorch.systems.quantization._report import kept_float, refuse

PASSING = (ReLU, MaxPool2d, AdaptiveMaxPool2d, Flatten)  # what codes can go through


def convert(prepared: Any, strict: bool = False) -> Any:
    """The int8 model of a calibrated one, or of one trained by `prepare_qat`; `prepared` stays as it is.

    Where a layer's result goes through nothing but ReLU, max pooling and flattening into other quantised
    layers, it is written as uint8 with their input's scale. All other results are float32: the last ones,
    those that are added up in a residual block, and those that a float layer takes. A ReLU behind a layer
    becomes part of it, and leaves its `Sequential`, where the others keep their names. Who takes what is
    found by running the model on one example.

    strict: refuse a model in which layers with weights stay in float32.
    The result's `report` is a list of these layers (`KeptFloat`: layer, kind, why).

    Raises UncalibratedModel, which names the layers, and with strict UnsupportedLayer.
    """
    check_calibrated(prepared)
    model = copy.deepcopy(prepared).eval()
    model._hooks = None
    example = model.__dict__.pop("_example")
    flow = Flow(model, example, (Observed, *PASSING))
    chains = [_Chain(model, name, flow) for name in observed(model)]
    model = replaced(model, _in_int8(chains))
    for chain in chains:
        chain.connect(model)
        _leave_out(model, chain.relus)
    reasons = {name: why for name, module in model.named_modules() if (why := _why_float(module))}
    report = kept_float(model, reasons, (QuantizedLayer,))
    if strict:
        refuse(model, report)
    model.report = report
    return model


def quantize_static(
    model: Module,
    batches: Iterable[Any],
    observer: str | Callable[[], Observer] = "minmax",
    strict: bool = False,
) -> Any:
    """`prepare`, `calibrate` on `batches` and `convert` in one call; `model` stays as it is.

    >>> import tinytorch as tt
    >>> nn = tt.nn
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> quantize_static(model, [tt.randn(16, 8)])(tt.randn(3, 8)).shape
    (3, 2)
    """
    return convert(calibrate(prepare(model, observer), batches), strict)


class _Chain:
    """The way from one quantised layer to those behind it.

    takers: the layers that take its codes; none where its result must be float32.
    relus: what the layer itself does on the way. passed: what hands its codes on.
    """

    def __init__(self, model: Module, name: str, flow: Flow):
        self.name, self.layer = name, _layer(model, name)
        self.takers: list[str] = []
        self.relus: list[str] = []
        self.passed: list[str] = []
        self.padding = 0, 0
        self._follow(model, flow)

    def _follow(self, model: Module, flow: Flow) -> None:
        """Walk on as long as one module takes the result, and codes can go through it."""
        images, at, way = isinstance(self.layer, Conv2d), self.name, []
        while takers := flow.takers(at):
            layers = [_layer(model, name) for name in sorted(takers)]
            if all(layer is not None for layer in layers):
                paddings = {numeric_padding(layer) if images else (0, 0) for layer in layers}
                if {type(layer) for layer in layers} == {Conv2d if images else Linear} and len(paddings) == 1:
                    self.takers, self.passed, self.padding = sorted(takers), way, paddings.pop()
                return
            (at, *others) = takers
            module = model.get_submodule(at)
            if others or flow.calls(at) != 1 or not _lets_codes_through(module, images):
                return
            images = images and not isinstance(module, Flatten)
            (self.relus if isinstance(module, ReLU) else way).append(at)

    def connect(self, model: Module) -> None:
        """Tell the int8 layer who takes its codes, and what writes them last how wide a border to leave."""
        if not self.takers:
            return
        layer: Any = model.get_submodule(self.name)
        layer.hand_codes_to(model.get_submodule(self.takers[0]))
        pools = [m for name in self.passed if isinstance(m := model.get_submodule(name), _POOLS)]
        writer: Any = pools[-1] if pools else layer
        writer.out_padding = self.padding


_POOLS = QuantizedMaxPool2d, QuantizedGlobalMaxPool2d
_INT8: dict[type, type] = {
    MaxPool2d: QuantizedMaxPool2d,
    AdaptiveMaxPool2d: QuantizedGlobalMaxPool2d,
    Flatten: QuantizedFlatten,
}


def _layer(model: Module, name: str) -> Any:
    """The float layer inside the observed one of that name; None for another module."""
    module = model.get_submodule(name)
    return module.layer if isinstance(module, Observed) else None


def _lets_codes_through(module: Module, images: bool) -> bool:
    if type(module) not in PASSING or is_watched(module):
        return False
    if isinstance(module, MaxPool2d):
        return images and pools_codes(module)
    if isinstance(module, AdaptiveMaxPool2d):
        return images and module.output_size in (1, (1, 1))
    return not isinstance(module, Flatten) or joins_all(module)


def _in_int8(chains: list[_Chain]) -> Callable[[str, Module], Module]:
    """What stands in the place of each module of a calibrated model."""
    relus = {chain.name: bool(chain.relus) for chain in chains}
    gone = {name for chain in chains for name in chain.relus}
    passed = {name for chain in chains for name in chain.passed}

    def change(name: str, module: Module) -> Module:
        if isinstance(module, Observed):
            kind: Any = QuantizedConv2d if isinstance(module.layer, Conv2d) else QuantizedLinear
            return kind.from_float(module.layer, module.observer.qparams(), relu=relus[name]).eval()
        if name in gone:
            return Identity().eval()
        flat = type(module) is Flatten and not is_watched(module) and joins_all(module)
        if flat or (name in passed and type(module) in _INT8):
            made: Any = object.__new__(_INT8[type(module)])
            made.__dict__.update(vars(module))
            return made
        return module

    return change


def _leave_out(model: Module, names: list[str]) -> None:
    """Take modules that do nothing any more out of a `Sequential`; the others keep their names."""
    for name in names:
        outer, _, part = name.rpartition(".")
        sequential = model.get_submodule(outer)
        if type(sequential) is Sequential:
            delattr(sequential, part)


def _why_float(module: Module) -> str | None:
    """What is known about a layer that stays in float32."""
    if is_watched(module):
        return "it has a hook or a forward of its own, which int8 kernels would not call"
    if type(module) is Conv2d:
        return obstacle(module)
    if isinstance(module, (Linear, Conv2d)):
        return f"{type(module).__name__} may compute something else than the class it is derived from"
    if isinstance(module, MultiheadAttention):
        return "quantize_dynamic() has an int8 kind of it, static quantisation has none"
    if isinstance(module, (BatchNorm1d, BatchNorm2d)):
        return "no layer directly before it, in the same Sequential, could take it in"
    return None
