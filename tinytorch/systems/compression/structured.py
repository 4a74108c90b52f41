"""Structured pruning: whole channels taken out, so that arrays shrink and every kernel has less to do.

A layer with half the outputs, behind one with half the outputs, does a quarter of the arithmetic. The result
is an ordinary model: it trains, saves and runs like one that was built smaller.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinytorch.nn import BatchNorm1d, BatchNorm2d, Linear, Module, Parameter
from tinytorch.systems.compression.channel_trace import Channels, find_channels
from tinytorch.systems.compression.importance import Importance, channel_importance
from tinytorch.tensor import Tensor

Array = np.ndarray


def prunable_channels(model: Module, example_input: Any) -> dict[str, int]:
    """The layers whose output channels `prune_channels` can take out, and how many each has.

    >>> import tinytorch as tt
    >>> model = tt.models.LeNet(1, 8, channels=(4, 8), hidden=16)
    >>> prunable_channels(model, tt.zeros(1, 1, 8, 8))
    {'features.0': 4, 'features.3': 8, 'head.1': 16}
    """
    return {name: channels.count for name, channels in find_channels(model, example_input)[0].items()}


def prune_channels(
    model: Module,
    fraction: float | Mapping[str, float] | None = None,
    *,
    keep: Mapping[str, int | Sequence[int]] | None = None,
    example_input: Any,
    importance: Importance = "l2",
    exclude: Iterable[str] = (),
    multiple_of: int = 1,
) -> Any:
    """A smaller copy of `model`, without the output channels that matter least; `model` stays as it is.

    A channel leaves the layer that makes it (linear, or a convolution in one group), the batch norms and
    depthwise convolutions behind it, and the inputs of the layers that read it, through activations, pooling
    and flattening. The result equals `model` with these inputs set to zero.

    Layers whose channels are needed elsewhere stay whole: the model's output, what is added to a residual
    branch, what attention splits into heads (`prune_heads` takes these out).

    fraction: the share of the channels to take out, of every layer that can be pruned or by layer's name.
    keep: instead, or besides, how many channels to keep of a layer, or which.
    example_input: what the model is called with, to find out who reads what; a tuple for several arguments.
    importance: "l1" or "l2" norm of a channel's weights; scores for each layer, such as those of
    `taylor_importance`; or a function of a layer's name and the layer.
    exclude: layers to leave whole. multiple_of: round the number that is kept up to one of these, as whole
    vectors of a processor are used best.

    Raises ValueError for fractions outside of 0 to 1, for layers that there are not or that cannot be pruned,
    with the reason, and where nothing would be left of a layer.
    Source: H. Li et al., "Pruning filters for efficient ConvNets", 2017.

    >>> import tinytorch as tt
    >>> model = tt.models.MLP(784, (128, 64), 10)
    >>> prune_channels(model, 0.5, example_input=tt.zeros(1, 28, 28))
    MLP(
      (hidden): Sequential(
        (0): Flatten(start_dim=1, end_dim=-1)
        (1): Linear(in_features=784, out_features=64, bias=True)  # 50,240 parameters
        (2): ReLU()
        (3): Linear(in_features=64, out_features=32, bias=True)  # 2,080 parameters
        (4): ReLU()
      )
      (output): Linear(in_features=32, out_features=10, bias=True)  # 330 parameters
    )  # 52,650 parameters
    """
    found, reasons = find_channels(model, example_input)
    kept = _choose(model, found, reasons, fraction, keep or {}, importance, set(exclude), multiple_of)
    smaller = copy.deepcopy(model)
    for name, channels in kept.items():
        _shrink(smaller, found[name], channels)
    return smaller


# --- what to keep ---------------------------------------------------------------------------------------


def _choose(
    model: Module, found: dict[str, Channels], reasons: dict[str, str],
    fraction: float | Mapping[str, float] | None, keep: Mapping[str, int | Sequence[int]],
    importance: Importance, exclude: set[str], multiple_of: int,
) -> dict[str, Array]:  # fmt: skip
    if fraction is None and not keep:
        raise ValueError("prune_channels: expected a fraction to take out, or what to keep; got neither")
    if multiple_of < 1:
        raise ValueError(f"prune_channels: expected multiple_of to be 1 or more, got {multiple_of}")
    fractions = fraction if isinstance(fraction, Mapping) else {}
    for name in (*fractions, *keep, *exclude):
        _check_name(name, found, reasons)
    if fraction is not None and not isinstance(fraction, Mapping):
        fractions = dict.fromkeys(found, fraction)
        if not found:
            raise ValueError(f"prune_channels: no layer can be pruned: {_listed(reasons)}")
    kept: dict[str, Array] = {}
    for name, share in fractions.items():
        check_fraction("prune_channels", share)
        if name in exclude or name in keep:
            continue
        count = found[name].count
        left = count - round(share * count)
        left = min(count, -(-left // multiple_of) * multiple_of)
        if left < 1:
            raise ValueError(
                f"prune_channels: a fraction of {share:g} would leave nothing of the {count} channels of "
                f"{name!r}. Take a smaller one, or exclude the layer."
            )
        kept[name] = _best(importance, name, model.get_submodule(name), left)
    for name, wanted in keep.items():
        kept[name] = _wanted(model, found[name], wanted, importance)
    return kept


def check_fraction(function: str, fraction: float) -> None:
    """Raise ValueError for a share that is not from 0 up and below 1."""
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"{function}: expected a fraction from 0 up and below 1, got {fraction}")


def _check_name(name: str, found: Mapping[str, Channels], reasons: Mapping[str, str]) -> None:
    if name in reasons:
        raise ValueError(f"prune_channels: the channels of {name!r} cannot be taken out: {reasons[name]}")
    if name not in found:
        raise ValueError(
            f"prune_channels: no linear layer or convolution {name!r} runs; these can be pruned: "
            f"{', '.join(found) or 'none'}"
        )


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "there is none"


def _best(importance: Importance, name: str, layer: Module, count: int) -> Array:
    scores = channel_importance(importance, name, layer)
    return np.sort(np.argsort(-scores, kind="stable")[:count])


def _wanted(model: Module, channels: Channels, wanted: int | Sequence[int], importance: Importance) -> Array:
    name, count = channels.layer, channels.count
    if isinstance(wanted, (int, np.integer)):
        if not 1 <= wanted <= count:
            raise ValueError(
                f"prune_channels: expected to keep from 1 to {count} channels of {name!r}, got {wanted}"
            )
        return _best(importance, name, model.get_submodule(name), int(wanted))
    return checked_indices("prune_channels", f"channels of {name!r}", wanted, count)


def checked_indices(function: str, what: str, wanted: Iterable[int], count: int) -> Array:
    """`wanted` in order, once it has been found to name some of `count` things, each once."""
    indices = np.sort(np.asarray(list(wanted), np.int64))
    if not indices.size or indices[0] < 0 or indices[-1] >= count or (np.diff(indices) == 0).any():
        raise ValueError(
            f"{function}: expected to keep one or more {what}, numbers from 0 to {count - 1}, each once; got "
            f"{list(wanted)}"
        )
    return indices


# --- smaller arrays -------------------------------------------------------------------------------------


def _shrink(model: Module, channels: Channels, kept: Array) -> None:
    layer: Any = model.get_submodule(channels.layer)
    take(layer, "weight", kept)
    take(layer, "bias", kept)
    setattr(layer, "out_features" if isinstance(layer, Linear) else "out_channels", len(kept))
    for name, index in channels.along.items():
        _shrink_along(model.get_submodule(name), np.flatnonzero(np.isin(index, kept)))
    for name, index in channels.readers.items():
        reader: Any = model.get_submodule(name)
        places = np.flatnonzero(np.isin(index, kept))
        take(reader, "weight", places, axis=1)
        setattr(reader, "in_features" if isinstance(reader, Linear) else "in_channels", len(places))


def _shrink_along(module: Any, places: Array) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        take(module, name, places)
    if isinstance(module, (BatchNorm1d, BatchNorm2d)):
        module.num_features = len(places)
    else:  # a depthwise convolution
        module.in_channels = module.out_channels = module.groups = len(places)


def take(module: Any, name: str, places: Array, axis: int = 0) -> None:
    """Replace a parameter or buffer of `module`, where it has one, by some of its entries along `axis`."""
    tensor = getattr(module, name, None)
    if tensor is None:
        return
    values = np.ascontiguousarray(np.take(tensor._data, places, axis))
    if isinstance(tensor, Parameter):
        setattr(module, name, Parameter(values, requires_grad=tensor.requires_grad))
    else:
        setattr(module, name, Tensor(values))
