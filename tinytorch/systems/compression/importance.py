"""How much each output channel of a layer matters: norms of its weights, or what its loss would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinytorch.nn import Conv1d, Conv2d, Linear, Module

Array = np.ndarray
Importance = str | Mapping[str, Array] | Callable[[str, Module], Array]
"""`"l1"` or `"l2"`; scores by the layers' names; or a function of a layer's name and the layer."""


def channel_importance(importance: Importance, name: str, layer: Any) -> Array:
    """A number for each output channel of `layer`; the smallest are the first to go.

    "l1", "l2": the norm of the channel's weights. Source of "l1": H. Li et al., "Pruning filters for
    efficient ConvNets", 2017.

    Raises ValueError for another word, a mapping without the layer, and scores of another shape.
    """
    count = layer.weight.shape[0]
    if isinstance(importance, str):
        if importance not in ("l1", "l2"):
            raise ValueError(
                f'expected importance "l1", "l2", scores for each layer or a function, got {importance!r}. '
                "For Taylor's, pass taylor_importance(model, batches, loss)."
            )
        weight = layer.weight._data.reshape(count, -1)
        return np.abs(weight).sum(1) if importance == "l1" else np.sqrt(np.square(weight).sum(1))
    if isinstance(importance, Mapping):
        if name not in importance:
            raise ValueError(
                f"expected an importance for the channels of {name!r}, got scores for "
                f"{', '.join(importance) or 'nothing'}"
            )
        scores = importance[name]
    else:
        scores = importance(name, layer)
    scores = np.asarray(scores, np.float64)
    if scores.shape != (count,):
        raise ValueError(
            f"expected an importance for each of the {count} channels of {name!r}, got scores of shape "
            f"{scores.shape}"
        )
    return scores


def taylor_importance(
    model: Module, batches: Iterable[Any], loss: Callable[[Any, Any], Any]
) -> dict[str, Array]:
    """For each linear layer and convolution, how much the loss would change without each output channel.

    To first order that is `|Σ g · w|` over the channel's weights and bias, with g the gradient of the loss;
    summed over the batches. Pass the result as `importance` to `prune_channels`.

    batches: pairs of inputs and targets, of the training data; some hundred examples are enough.
    loss: of the model's output and the targets. The model runs in evaluation mode; its weights and gradients
    stay as they are.

    Source: P. Molchanov et al., "Pruning convolutional neural networks for resource efficient inference",
    2017; over weights: "Importance estimation for neural network pruning", 2019.
    """
    layers: dict[str, Any] = {
        name: module for name, module in model.named_modules() if isinstance(module, (Linear, Conv1d, Conv2d))
    }
    scores = {name: np.zeros(layer.weight.shape[0]) for name, layer in layers.items()}
    for _ in each_gradient("taylor_importance", model, batches, loss):
        for name, layer in layers.items():
            scores[name] += np.abs(_product(layer.weight) + _product(layer.bias))
    return scores


def each_gradient(
    function: str, model: Module, batches: Iterable[Any], loss: Callable[[Any, Any], Any]
) -> Iterator[None]:
    """For each batch, have the gradients of its loss in the parameters; put everything back at the end."""
    parameters = list(model.parameters())
    gradients = [parameter.grad for parameter in parameters]
    training = [module for module in model.modules() if module.training]
    model.eval()
    empty = True
    try:
        for inputs, targets in batches:
            empty = False
            model.zero_grad()
            loss(model(inputs), targets).backward()
            yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        for module in training:
            module.training = True
    if empty:
        raise ValueError(f"{function}: expected at least one batch, got none")


def _product(parameter: Any) -> Array | float:
    if parameter is None or parameter.grad is None:
        return 0.0
    product = parameter.grad._data.astype(np.float64) * parameter._data
    return product.reshape(len(product), -1).sum(1)
