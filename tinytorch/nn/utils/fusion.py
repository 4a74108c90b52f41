"""Batch normalisation folded into the layer before it, for a trained model that only predicts.

In evaluation a batch norm multiplies each channel by a number and adds another.  So does the layer before it:
y = (W x + b - mean) * s + bias, with s = weight / sqrt(variance + eps), is the layer with the weights s W and
the bias (b - mean) * s + bias.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tinytorch.nn._conv import Conv2d
from tinytorch.nn._linear import Linear
from tinytorch.nn._module import Module
from tinytorch.nn._norm import BatchNorm1d, BatchNorm2d
from tinytorch.nn._parameter import Parameter
from tinytorch.nn._sequential import Sequential


def _fold(name: str, layer: Any, norm: Any) -> Any:
    """A copy of `layer` that does what the two do, in evaluation mode."""
    for module in (layer, norm):
        if module.training:
            raise ValueError(
                f"{name}: expected modules in evaluation mode, got a {type(module).__name__} that is being "
                "trained. Call .eval() first."
            )
    channels = len(layer.weight._data)
    if norm.num_features != channels:
        raise ValueError(f"{name}: expected a batch norm of {channels} features, got {norm.num_features}")
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            f"{name}: expected a batch norm with running statistics, got track_running_stats=False, which "
            "normalises by the batch in evaluation too"
        )
    scale = 1.0 / np.sqrt(norm.running_var._data.astype(np.float64) + norm.eps)
    shift = -norm.running_mean._data.astype(np.float64)
    weight = layer.weight._data
    if norm.weight is not None:
        scale = scale * norm.weight._data
    if layer.bias is not None:
        shift = shift + layer.bias._data
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias._data
    folded = copy.deepcopy(layer)
    trained = layer.weight.requires_grad
    scaled = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    folded.weight = Parameter(scaled.astype(weight.dtype), requires_grad=trained)
    folded.bias = Parameter(shift.astype(weight.dtype), requires_grad=trained)
    return folded


def fuse_conv_bn_eval(conv: Conv2d, bn: BatchNorm2d) -> Conv2d:
    """One convolution that does what `conv` and the batch norm behind it do; both stay as they are.

    Raises ValueError for modules in training mode, other channels, or a batch norm without running
    statistics.

    >>> import tinytorch as tt
    >>> conv, bn = tt.nn.Conv2d(1, 4, 3, bias=False).eval(), tt.nn.BatchNorm2d(4).eval()
    >>> fuse_conv_bn_eval(conv, bn).bias.shape
    (4,)
    """
    return _fold("fuse_conv_bn_eval", conv, bn)


def fuse_linear_bn_eval(linear: Linear, bn: BatchNorm1d) -> Linear:
    """`fuse_conv_bn_eval` of a linear layer, for inputs (n, in_features)."""
    return _fold("fuse_linear_bn_eval", linear, bn)


_FOLDED = {(Conv2d, BatchNorm2d): fuse_conv_bn_eval, (Linear, BatchNorm1d): fuse_linear_bn_eval}


def _way_to_fold(layer: Any, norm: Any) -> Callable | None:
    """None where the two must stay as they are."""
    fold = _FOLDED.get((type(layer), type(norm)))
    watched = layer._hooks or norm._hooks or "forward" in vars(layer) or "forward" in vars(norm)
    return None if fold is None or watched or norm.running_mean is None else fold


def fuse_batch_norms(model: Module) -> Any:
    """A copy of `model` with fewer layers: in each `Sequential` a `BatchNorm2d` directly behind a `Conv2d`,
    and a `BatchNorm1d` behind a `Linear` of inputs (n, features), is folded into it.

    The other layers keep their names. A pair stays as it is where one of the two has a hook, a patched
    `forward` or another class, or the batch norm has no running statistics. Results differ by rounding only.

    Raises ValueError for a model in training mode.

    >>> import tinytorch as tt
    >>> nn = tt.nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    >>> [type(layer).__name__ for layer in fuse_batch_norms(model)]
    ['Conv2d', 'ReLU']
    """
    for name, module in model.named_modules():
        if module.training:
            raise ValueError(
                f"fuse_batch_norms: expected a model in evaluation mode, got {name or 'one'!r} in training "
                "mode. Call .eval() first."
            )
    model = copy.deepcopy(model)
    for sequential in [module for module in model.modules() if isinstance(module, Sequential)]:
        named = list(zip(sequential._names(), sequential, strict=True))
        for (name, layer), (behind, norm) in pairwise(named):
            fold = _way_to_fold(layer, norm)
            if fold is not None:
                setattr(sequential, name, fold(layer, norm))
                delattr(sequential, behind)
    return model
