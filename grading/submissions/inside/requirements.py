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


def _takes(what: str, thing: Any, *given: Any, **named: Any) -> None:
    """Misfit where `thing` cannot be called with these."""
    if not callable(thing):
        raise Misfit(f"`{what}`; yours is {type(thing).__name__}, and cannot be called")
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # written in C
        return
    try:
        signature.bind(*given, **named)
    except TypeError:
        takes = f"takes {signature}" if signature.parameters else "takes no argument"
        raise Misfit(f"`{what}`; yours {takes}") from None


def _call(what: str, thing: Any, *given: Any, **named: Any) -> Any:
    """What it gives for these, if it takes them."""
    _takes(what, thing, *given, **named)
    return thing(*given, **named)


def _parameter(what: str, found: Any, wanted: tuple[int, ...], meaning: str) -> None:
    """Misfit for what is no tensor of floats of the wanted shape."""
    if isinstance(found, np.ndarray) or not isinstance(getattr(found, "data", None), np.ndarray):
        raise Misfit(f"`{what}` to be a Tensor, with an array in `.data`; yours is {type(found).__name__}")
    if found.data.dtype.kind != "f":
        raise Misfit(f"`{what}` to hold floats; yours holds {found.data.dtype}")
    _same_shape(what, found, wanted, meaning)


def _tensor(names: dict[str, Any]) -> None:
    """`Tensor(data)` of a NumPy array, with `.data`, `.grad` and `.backward()`"""
    x = _call("Tensor(data)", names["Tensor"], np.ones((3, 2), np.float32))
    _has(x, "Tensor", "data", "grad", "backward")
    if not isinstance(x.data, np.ndarray):
        raise Misfit(f"`Tensor.data` to be a NumPy array; yours is {type(x.data).__name__}")
    _same_shape("Tensor(data).data", x.data, (3, 2), "of what it was given")


def _linear(names: dict[str, Any]) -> None:
    """`Linear(in_features, out_features)(x)`"""
    layer = _call("Linear(in_features, out_features)", names["Linear"], 2, 4)
    _has(layer, "Linear", "weight", "bias", "parameters")
    _parameter("Linear.weight", layer.weight, (4, 2), "(out_features, in_features)")
    _parameter("Linear.bias", layer.bias, (4,), "(out_features,)")
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


def _optimizer(name: str) -> Any:
    def probe(names: dict[str, Any]) -> None:
        parameters = list(names["Linear"](2, 1).parameters())
        optimizer = _call(f"{name}(params, lr=0.1)", names[name], parameters, lr=0.1)
        _has(optimizer, name, "step", "zero_grad")
        for method in ("step", "zero_grad"):
            _takes(f"{name}.{method}()", getattr(optimizer, method))

    probe.__doc__ = f"`{name}(params, lr=0.1)` with `.step()` and `.zero_grad()`"
    return probe


def _conv(names: dict[str, Any]) -> None:
    """`Conv2d(in_channels, out_channels, kernel_size, padding=1)(x)`"""
    what = "Conv2d(in_channels, out_channels, kernel_size, padding=1)"
    layer = _call(what, names["Conv2d"], 2, 3, 3, padding=1)
    _has(layer, "Conv2d", "weight", "bias", "parameters")
    _parameter("Conv2d.weight", layer.weight, (3, 2, 3, 3), "(out_channels, in_channels, 3, 3)")
    _parameter("Conv2d.bias", layer.bias, (3,), "(out_channels,)")
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


def _embedding(names: dict[str, Any]) -> None:
    """`Embedding(num_embeddings, embedding_dim)(tokens)`"""
    layer = _call("Embedding(num_embeddings, embedding_dim)", names["Embedding"], 5, 4)
    _has(layer, "Embedding", "weight", "parameters")
    _parameter("Embedding.weight", layer.weight, (5, 4), "(num_embeddings, embedding_dim)")
    y = _call("Embedding.__call__(tokens)", layer, names["Tensor"](np.array([[0, 1, 4]])))
    _same_shape("Embedding.__call__(tokens)", y, (1, 3, 4), "(n, t, embedding_dim)")


def _norm(names: dict[str, Any]) -> None:
    """`LayerNorm(width)(x)`"""
    layer = _call("LayerNorm(width)", names["LayerNorm"], 4)
    _has(layer, "LayerNorm", "weight", "bias", "parameters")
    _parameter("LayerNorm.weight", layer.weight, (4,), "(width,)")
    _parameter("LayerNorm.bias", layer.bias, (4,), "(width,)")
    x = names["Tensor"](np.ones((2, 3, 4), np.float32))
    _same_shape("LayerNorm.__call__(x)", _call("LayerNorm.__call__(x)", layer, x), (2, 3, 4), "of x")


def _gelu(names: dict[str, Any]) -> None:
    """`GELU(approximate="tanh")(x)`"""
    x = names["Tensor"](np.ones((2, 3, 4), np.float32))
    layer = _call('GELU(approximate="tanh")', names["GELU"], approximate="tanh")
    _same_shape("GELU.__call__(x)", _call("GELU.__call__(x)", layer, x), (2, 3, 4), "of x")


def _attention(names: dict[str, Any]) -> None:
    """`MultiheadAttention(embed_dim, num_heads, batch_first=True)`, called with `is_causal=True`"""
    what = "MultiheadAttention(embed_dim, num_heads, batch_first=True)"
    layer = _call(what, names["MultiheadAttention"], 4, 2, batch_first=True)
    _has(layer, "MultiheadAttention", "in_proj_weight", "in_proj_bias", "out_proj", "parameters")
    _parameter("MultiheadAttention.in_proj_weight", layer.in_proj_weight, (12, 4), "(3 embed_dim, embed_dim)")
    _parameter("MultiheadAttention.in_proj_bias", layer.in_proj_bias, (12,), "(3 embed_dim,)")
    _parameter("MultiheadAttention.out_proj.weight", layer.out_proj.weight, (4, 4), "(embed_dim, embed_dim)")
    _parameter("MultiheadAttention.out_proj.bias", layer.out_proj.bias, (4,), "(embed_dim,)")
    x = names["Tensor"](np.ones((2, 3, 4), np.float32))
    what = "MultiheadAttention.__call__(q, k, v, need_weights=False, is_causal=True)"
    y = _call(what, layer, x, x, x, need_weights=False, is_causal=True)
    if not isinstance(y, tuple):
        raise Misfit(f"`{what}` to give (output, None); yours gives {type(y).__name__}")
    _same_shape(f"{what}[0]", y[0], (2, 3, 4), "(n, t, embed_dim)")


def _function(name: str, *arguments: str, **named: Any) -> Any:
    """A probe of what it takes alone: what it does is seen with a trained model."""
    shown = ", ".join([*arguments, *named])

    def probe(names: dict[str, Any]) -> None:
        _takes(f"{name}({shown})", names[name], *arguments, **named)

    probe.__doc__ = f"`{name}({shown})`"
    return probe


PROBES: dict[str, Any] = {
    "Tensor": _tensor,
    "Linear": _linear,
    "Sigmoid": _elementwise("Sigmoid"),
    "ReLU": _elementwise("ReLU"),
    "BCELoss": _loss("BCELoss", np.ones((3, 1), np.float32), "input, target"),
    "CrossEntropyLoss": _loss("CrossEntropyLoss", np.array([0, 1, 2]), "input, target"),
    "SGD": _optimizer("SGD"),
    "Conv2d": _conv,
    "MaxPool2d": _pool,
    "Flatten": _flatten,
    "Embedding": _embedding,
    "LayerNorm": _norm,
    "GELU": _gelu,
    "MultiheadAttention": _attention,
    "Adam": _optimizer("Adam"),
    "quantize_dynamic": _function("quantize_dynamic", "model"),
    "prune_magnitude": _function("prune_magnitude", "model", "sparsity"),
    "prune_channels": _function("prune_channels", "model", "fraction", example_input=None),
    "DistillationLoss": _function("DistillationLoss", "temperature", "alpha"),
    "save_model": _function("save_model", "model", "path"),
}
