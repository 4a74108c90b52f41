"""What each milestone needs of a submission, tried on small examples before anything is trained.

A probe's docstring is what a student reads: "milestone 2 needs `ReLU.__call__(x)`; yours raised ...".
The same names, with types and words, are in `tinytorch.protocols`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

# Where the library has each name.
LIBRARY = {
    "Tensor": "tinytorch",
    **dict.fromkeys(("Linear", "Sigmoid", "ReLU", "Conv2d", "MaxPool2d", "Flatten"), "tinytorch.nn"),
    **dict.fromkeys(("Embedding", "LayerNorm", "GELU", "MultiheadAttention"), "tinytorch.nn"),
    **dict.fromkeys(("BCELoss", "CrossEntropyLoss"), "tinytorch.nn"),
    **dict.fromkeys(("SGD", "Adam"), "tinytorch.optim"),
    **dict.fromkeys(
        ("quantize_dynamic", "prune_magnitude", "prune_channels", "DistillationLoss", "save_model"),
        "tinytorch.systems",
    ),
}
NEEDED: dict[int, tuple[str, ...]] = {
    1: ("Tensor", "Linear", "Sigmoid", "BCELoss", "SGD"),
    2: ("Tensor", "Linear", "ReLU", "Sigmoid", "BCELoss", "SGD"),
    3: ("Tensor", "Linear", "ReLU", "CrossEntropyLoss", "SGD"),
    4: ("Tensor", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear", "CrossEntropyLoss", "SGD"),
    5: (
        "Tensor",
        "Embedding",
        "LayerNorm",
        "MultiheadAttention",
        "GELU",
        "Linear",
        "CrossEntropyLoss",
        "Adam",
    ),
    6: ("Tensor", "quantize_dynamic", "prune_magnitude", "prune_channels", "DistillationLoss", "save_model"),
}
TENSORS = set(LIBRARY)  # ours work with our Tensor only


class Misfit(Exception):
    """What a submission lacks, in a sentence."""


def numbers(value: Any) -> np.ndarray:
    """The array in a tensor, a gradient, or an array; NaN and shapes are for others to judge."""
    value = getattr(value, "data", value) if not isinstance(value, np.ndarray) else value
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise Misfit(f"an array of numbers where one was expected; yours is of {found.dtype}")
    return found


def _same_shape(what: str, found: Any, wanted: tuple[int, ...], meaning: str) -> None:
    shape = numbers(found).shape
    if shape != wanted:
        raise Misfit(f"`{what}` of shape {meaning} = {wanted}; yours is {shape}")


def _has(thing: Any, owner: str, *attributes: str) -> None:
    for attribute in attributes:
        if not hasattr(thing, attribute):
            raise Misfit(f"`{owner}.{attribute}`; yours has none")


def _call(what: str, thing: Any, *given: Any, **named: Any) -> Any:
    """`thing(*given, **named)`; Misfit where it does not take these."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # written in C
        return thing(*given, **named)
    try:
        signature.bind(*given, **named)
    except TypeError:
        takes = f"takes {signature}" if signature.parameters else "takes no argument"
        raise Misfit(f"`{what}`; yours {takes}") from None
    return thing(*given, **named)


def _tensor(names: dict[str, Any]) -> None:
    """`Tensor(data)` of a NumPy array, with `.data`, `.grad` and `.backward()`"""
    x = _call("Tensor(data)", names["Tensor"], np.ones((3, 2), np.float32))
    _has(x, "Tensor", "data", "grad", "backward")
    _same_shape("Tensor(data).data", x.data, (3, 2), "of what it was given")


def _linear(names: dict[str, Any]) -> None:
    """`Linear(in_features, out_features)(x)`"""
    layer = _call("Linear(in_features, out_features)", names["Linear"], 2, 4)
    _has(layer, "Linear", "weight", "bias", "parameters")
    _same_shape("Linear.weight", layer.weight, (4, 2), "(out_features, in_features)")
    _same_shape("Linear.bias", layer.bias, (4,), "(out_features,)")
    x = names["Tensor"](np.ones((3, 2), np.float32))
    y = _call("Linear.__call__(x)", layer, x)
    _same_shape("Linear.__call__(x)", y, (3, 4), "(n, out_features)")


def _elementwise(name: str) -> Any:
    def probe(names: dict[str, Any]) -> None:
        x = names["Tensor"](np.ones((3, 2), np.float32))
        y = _call(f"{name}.__call__(x)", _call(f"{name}()", names[name]), x)
        _same_shape(f"{name}.__call__(x)", y, (3, 2), "of x")

    probe.__doc__ = f"`{name}.__call__(x)`"
    return probe


def _loss(name: str, target: np.ndarray, needs: str) -> Any:
    def probe(names: dict[str, Any]) -> None:
        tensor = names["Tensor"]
        given = tensor(np.full((3, 1) if name == "BCELoss" else (3, 4), 0.5, np.float32))
        loss = _call(f"{name}()", names[name])
        value = numbers(_call(f"{name}.__call__(input, target)", loss, given, tensor(target)))
        if value.size != 1:
            raise Misfit(f"`{name}.__call__(input, target)` to give one number; yours gives {value.shape}")

    probe.__doc__ = f"`{name}.__call__({needs})`"
    return probe


def _sgd(names: dict[str, Any]) -> None:
    """`SGD(params, lr=0.1)` with `.step()` and `.zero_grad()`"""
    parameters = list(names["Linear"](2, 1).parameters())
    optimizer = _call("SGD(params, lr=0.1)", names["SGD"], parameters, lr=0.1)
    _has(optimizer, "SGD", "step", "zero_grad")
    for method in ("zero_grad", "step"):
        _call(f"SGD.{method}()", getattr(optimizer, method))


def _conv(names: dict[str, Any]) -> None:
    """`Conv2d(in_channels, out_channels, kernel_size, padding=1)(x)`"""
    what = "Conv2d(in_channels, out_channels, kernel_size, padding=1)"
    layer = _call(what, names["Conv2d"], 2, 3, 3, padding=1)
    _has(layer, "Conv2d", "weight", "bias", "parameters")
    _same_shape("Conv2d.weight", layer.weight, (3, 2, 3, 3), "(out_channels, in_channels, 3, 3)")
    x = names["Tensor"](np.ones((2, 2, 4, 4), np.float32))
    y = _call("Conv2d.__call__(x)", layer, x)
    _same_shape("Conv2d.__call__(x)", y, (2, 3, 4, 4), "(n, out_channels, h, w)")


def _pool(names: dict[str, Any]) -> None:
    """`MaxPool2d(2)(x)`"""
    x = names["Tensor"](np.ones((2, 3, 4, 4), np.float32))
    y = _call("MaxPool2d.__call__(x)", _call("MaxPool2d(2)", names["MaxPool2d"], 2), x)
    _same_shape("MaxPool2d.__call__(x)", y, (2, 3, 2, 2), "(n, c, h / 2, w / 2)")


def _flatten(names: dict[str, Any]) -> None:
    """`Flatten()(x)`"""
    x = names["Tensor"](np.ones((2, 3, 4, 4), np.float32))
    y = _call("Flatten.__call__(x)", _call("Flatten()", names["Flatten"]), x)
    _same_shape("Flatten.__call__(x)", y, (2, 48), "(n, c h w)")


PROBES: dict[str, Any] = {
    "Tensor": _tensor,
    "Linear": _linear,
    "Sigmoid": _elementwise("Sigmoid"),
    "ReLU": _elementwise("ReLU"),
    "BCELoss": _loss("BCELoss", np.ones((3, 1), np.float32), "input, target"),
    "CrossEntropyLoss": _loss("CrossEntropyLoss", np.array([0, 1, 2]), "input, target"),
    "SGD": _sgd,
    "Conv2d": _conv,
    "MaxPool2d": _pool,
    "Flatten": _flatten,
}
