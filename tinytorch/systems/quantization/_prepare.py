"""A model made ready for quantisation: observers, or fake quantisation, at the inputs of its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.modes import no_grad
from tinytorch.nn import Conv2d, Linear, Module
from tinytorch.systems.inference.folding import fold_batch_norm
from tinytorch.systems.quantization._conv import obstacle
from tinytorch.systems.quantization._observers import Observer, make_observer
from tinytorch.systems.quantization._report import UncalibratedModel
from tinytorch.systems.quantization._scheme import QParams, weight_qparams
from tinytorch.tensor import Tensor


class Observed(Module):
    """A `Linear` or `Conv2d` whose `observer` looks at its inputs while `observing` is set."""

    observing = False

    def __init__(self, layer: Any, observer: Observer):
        super().__init__()
        self.layer, self.observer = layer, observer

    def forward(self, input: Any) -> Any:
        """What the layer returns."""
        return self.layer(self.observer(input) if self.observing else input)


class FakeQuantized(Observed):
    """A `Linear` or `Conv2d` that computes in float32 what its int8 successor will, and learns through it.

    Input and weight are rounded to what their codes stand for (`ops.fake_quantize`); the gradient goes
    straight through. The weight's scales are those of its present values; the input's follow what comes
    through in training mode.
    """

    def forward(self, input: Any) -> Any:
        """As the layer, with rounded operands."""
        layer, x = self.layer, input
        if self.training or self.observing:
            self.observer(x)
        x = fake_quantized(x, self.observer.qparams())
        weight = fake_quantized(layer.weight, weight_qparams(layer.weight._data))
        if isinstance(layer, Linear):
            return ops.linear(x, weight, layer.bias)
        return ops.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def fake_quantized(x: Any, p: QParams) -> Any:
    """x rounded to what the codes of `p` stand for, with a straight-through gradient."""
    least, most = p.limits
    return ops.fake_quantize(x, p.scale, p.zero, quant_min=least, quant_max=most, axis=p.axis)


class FakeQuantize(Module):
    """The same as a layer, for places of one's own: rounds its input to what the codes of `observer` stand
    for.

    In training mode the observer looks at the input first.

    >>> import tinytorch as tt
    >>> FakeQuantize("minmax")(tt.tensor([0.0, 0.1004, 1.0]))
    tensor([0.   , 0.102, 1.   ])
    """

    def __init__(self, observer: str | Callable[[], Observer] = "moving"):
        super().__init__()
        self.observer = make_observer(observer)

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        if self.training:
            self.observer(input)
        return fake_quantized(input, self.observer.qparams())


def prepare(model: Module, observer: str | Callable[[], Observer] = "minmax") -> Any:
    """A new model, in evaluation mode, with batch norms folded and an observer at the input of each `Linear`
    and `Conv2d` that can be quantised. `calibrate` shows it data, `convert` makes it int8.

    observer: "minmax", "moving", "percentile", "mse", or a function that makes an `Observer`.
    """
    return _prepared(model, lambda layer: Observed(layer, make_observer(observer)))


def prepare_qat(model: Module, observer: str | Callable[[], Observer] = "moving") -> Any:
    """A new model, in training mode, for quantisation-aware training: batch norms are folded, and each
    `Linear` and `Conv2d` sees inputs and weights rounded as int8 will have them. Train it (a small rate and
    an epoch or two will do for a trained model), then `convert`.

    Source: B. Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", 2018.
    """
    return _prepared(model, lambda layer: FakeQuantized(layer, make_observer(observer))).train()


def _prepared(model: Module, wrap: Callable[[Any], Observed]) -> Any:
    copied = fold_batch_norm(copy.deepcopy(model).eval())
    copied = replaced(copied, lambda name, module: wrap(module).eval() if quantisable(module) else module)
    copied.register_forward_pre_hook(_keep_example)
    return copied


def quantisable(module: Module) -> bool:
    """Whether it is a plain `Linear` or `Conv2d` that int8 kernels can stand in for."""
    if type(module) not in (Linear, Conv2d) or is_watched(module):
        return False
    return not isinstance(module, Conv2d) or obstacle(module) is None


def is_watched(module: Module) -> bool:
    """Whether somebody would notice that its forward is not called."""
    return module._hooks is not None or "forward" in vars(module)


def replaced(model: Module, change: Callable[[str, Module], Module]) -> Any:
    """`model` with each module inside, and itself, in the place of which `change(name, module)` gave another;
    the modules inside of another are not looked at. In place; one that stands in two places is changed once.
    """
    made: dict[Module, Module] = {}

    def walk(name: str, module: Module) -> Module:
        if module not in made:
            made[module] = other = change(name, module)
            if other is module:
                for part, child in list(vars(module).items()):
                    if isinstance(child, Module):
                        other = walk(f"{name}.{part}" if name else part, child)
                        if other is not child:
                            setattr(module, part, other)
        return made[module]

    return walk("", model)


def _keep_example(model: Module, arguments: tuple) -> None:
    """Keep the first example that the model is called with: `convert` follows it through the layers."""
    if "_example" not in vars(model):
        model._example = tuple(_first(argument) for argument in arguments)


def _first(argument: Any) -> Any:
    if isinstance(argument, Tensor) and argument.ndim:
        return Tensor(np.array(argument._data[:1]))
    return np.array(argument[:1]) if isinstance(argument, np.ndarray) and argument.ndim else argument


def calibrate(prepared: Any, batches: Iterable[Any]) -> Any:
    """Run `prepared` on `batches`, in evaluation mode, while its observers look. Returns it.

    batches: of inputs, as tensors or arrays; of a tuple or list, such as a loader's (inputs, labels), the
    first. A few hundred examples of the training set are enough.

    Raises ValueError for a model without observers, or for no batches.
    """
    parts = observed(prepared)
    if not parts:
        raise ValueError(
            "calibrate: expected a model made by prepare() or prepare_qat(), got one without observers"
        )
    training = [module for module in prepared.modules() if module.training]
    prepared.eval()
    count = 0
    try:
        for part in parts.values():
            part.observing = True
        with no_grad():
            for batch in batches:
                inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
                prepared(inputs if isinstance(inputs, Tensor) else Tensor(np.asarray(inputs)))
                count += 1
    finally:
        for part in parts.values():
            part.observing = False
        for module in training:
            module.training = True
    if not count:
        raise ValueError("calibrate: expected at least one batch, got none")
    return prepared


def observed(model: Module) -> dict[str, Observed]:
    """The layers with observers, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Observed)}


def check_calibrated(model: Module) -> None:
    """Raise UncalibratedModel where an observer has seen nothing, or the model was never run."""
    blind = [name or "the model" for name, part in observed(model).items() if not part.observer.seen]
    if blind or "_example" not in vars(model):
        where = f" by {len(blind)} layers: {', '.join(blind)}" if blind else ""
        raise UncalibratedModel(
            f"convert: expected a calibrated model, but no data was seen{where}. Run "
            "calibrate(prepared, batches) first, or train what prepare_qat() made."
        )
