"""Low-rank factorisation: a linear layer or convolution in two thin ones, by singular values.

Of all matrices of rank r, the sum of the r largest singular values with their vectors is nearest to a weight
(Eckart and Young, 1936): the squared error is the sum of the squares of the singular values left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinytorch.nn import Conv2d, Linear, Module, Parameter, Sequential

Array = np.ndarray


def factorize(
    model: Module,
    rank: int | Mapping[str, int] | None = None,
    *,
    energy: float | None = None,
    layers: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    scheme: str = "channel",
) -> Any:
    """A copy of `model` in which layers are two thin ones, where that takes fewer weights; `model` stays.

    In place of a layer stands a `Sequential` of two: the first without a bias, the second with the layer's.
    They train like any others: some fine-tuning wins back most of what the cut lost.

    rank: of all layers, or by layer's name. energy: instead, the share of the squared singular values to
    keep, above 0 and up to 1; each layer gets the smallest rank that does.
    layers: names of the layers; None takes every `Linear`, and every `Conv2d` in one group. exclude: names to
    leave out. Where two layers would not have fewer weights than the one, it stays as it is.
    scheme: of convolutions, see `factorize_conv2d`.

    Raises ValueError for neither or both of rank and energy, values out of range, and names that are no such
    layers.

    >>> import tinytorch as tt
    >>> factorize(tt.models.MLP(784, (128, 64), 10), rank=16)
    MLP(
      (hidden): Sequential(
        (0): Flatten(start_dim=1, end_dim=-1)
        (1): Sequential(
          (0): Linear(in_features=784, out_features=16, bias=False)  # 12,544 parameters
          (1): Linear(in_features=16, out_features=128, bias=True)  # 2,176 parameters
        )
        (2): ReLU()
        (3): Sequential(
          (0): Linear(in_features=128, out_features=16, bias=False)  # 2,048 parameters
          (1): Linear(in_features=16, out_features=64, bias=True)  # 1,088 parameters
        )
        (4): ReLU()
      )
      (output): Linear(in_features=64, out_features=10, bias=True)  # 650 parameters
    )  # 18,506 parameters
    """
    if (rank is None) == (energy is None):
        raise ValueError("factorize: expected either a rank or an energy to keep")
    if energy is not None and not 0.0 < energy <= 1.0:
        raise ValueError(f"factorize: expected an energy above 0 and up to 1, got {energy}")
    if scheme not in _SCHEMES:
        raise ValueError(f'factorize: expected scheme "channel" or "spatial", got {scheme!r}')
    known: dict[str, Any] = {name: module for name, module in model.named_modules() if _is_factorable(module)}
    ranks = rank if isinstance(rank, Mapping) else dict.fromkeys(known, rank)
    chosen, exclude = list(ranks) if layers is None else list(layers), set(exclude)
    for name in (*chosen, *exclude, *ranks):
        if name not in known:
            raise ValueError(
                f"factorize: {name!r} is no Linear and no Conv2d in one group; these are: "
                f"{', '.join(known) or 'none'}"
            )
    thinner: Any = copy.deepcopy(model)
    for name in chosen:
        if name in exclude or name not in ranks:
            continue
        layer, wanted = known[name], ranks[name]
        if wanted is None:
            assert energy is not None
            wanted = rank_for_energy(layer, energy, scheme)
        if wanted * sum(_unfold(layer, scheme).shape) >= layer.weight._data.size:
            continue
        pair = _factorized(layer, wanted, scheme)
        parent, _, attribute = name.rpartition(".")
        if name:
            setattr(thinner.get_submodule(parent), attribute, pair)
        else:
            thinner = pair
    return thinner


def singular_values(layer: Any, scheme: str = "channel") -> Array:
    """Of the matrix that a layer's weight is unfolded into, the largest first; float64."""
    return np.linalg.svd(_unfold(layer, scheme), compute_uv=False)


def rank_for_energy(layer: Any, energy: float, scheme: str = "channel") -> int:
    """The smallest rank that keeps the share `energy` of the squared singular values of a layer's weight.

    >>> import numpy as np, tinytorch as tt
    >>> layer = tt.nn.Linear(3, 3)
    >>> layer.weight.data = np.diag([2.0, 1.0, 1.0]).astype(np.float32)
    >>> rank_for_energy(layer, 0.6), rank_for_energy(layer, 0.8), rank_for_energy(layer, 1.0)
    (1, 2, 3)
    """
    shares = np.cumsum(np.square(singular_values(layer, scheme)))
    enough = energy * shares[-1] * (1.0 - 1e-12)  # rounding must not ask for a rank more
    return min(int(np.searchsorted(shares, enough)) + 1, len(shares))


def factorize_linear(layer: Linear, rank: int) -> Sequential:
    """Two linear layers, in -> rank -> out, for one; the nearest of that rank, exact at min(in, out).

    With W = U S Vᵀ the first has sqrt(S) Vᵀ and the second U sqrt(S): of equal size, so that both learn at
    one rate. Weights: rank · (in + out) in place of in · out.

    Raises ValueError for a rank that is not from 1 to min(in, out).
    """
    outer, inner = _halves(layer, rank, "channel")
    first = Linear(layer.in_features, rank, bias=False)
    second = Linear(rank, layer.out_features, bias=layer.bias is not None)
    return _filled(layer, first, inner, second, outer)


def factorize_conv2d(layer: Conv2d, rank: int, scheme: str = "channel") -> Sequential:
    """Two convolutions for one; exact at full rank.

    scheme: "channel": kh × kw windows into `rank` channels, then 1 × 1 into all of them, of the weight
    unfolded as (out, in · kh · kw); rank · (in · kh · kw + out) weights. "spatial": kh × 1, then 1 × kw, of
    (out · kw, in · kh); rank · (in · kh + out · kw) weights.

    Raises ValueError for a convolution in groups, and for a rank that is not from 1 to the smaller side.
    Sources: X. Zhang et al., "Accelerating very deep convolutional networks", 2015 (channel); M. Jaderberg,
    A. Vedaldi, A. Zisserman, "Speeding up convolutional neural networks with low rank expansions", 2014.
    """
    if layer.groups != 1:
        raise ValueError(f"factorize_conv2d: expected a convolution in one group, got {layer.groups} groups")
    outer, inner = _halves(layer, rank, scheme)
    inputs, outputs, (kh, kw) = layer.in_channels, layer.out_channels, layer.kernel_size
    has_bias = layer.bias is not None
    if scheme == "channel":
        first = Conv2d(inputs, rank, (kh, kw), layer.stride, layer.padding, layer.dilation, bias=False)
        second = Conv2d(rank, outputs, 1, bias=has_bias)
        return _filled(layer, first, inner, second, outer)
    padding = layer.padding if isinstance(layer.padding, str) else None
    rows, columns = ((0, 0), (0, 0)) if padding else ((layer.padding[0], 0), (0, layer.padding[1]))
    first = Conv2d(
        inputs, rank, (kh, 1), (layer.stride[0], 1), padding or rows, (layer.dilation[0], 1), bias=False
    )
    second = Conv2d(
        rank, outputs, (1, kw), (1, layer.stride[1]), padding or columns, (1, layer.dilation[1]),
        bias=has_bias,
    )  # fmt: skip
    outer = outer.reshape(outputs, kw, rank).transpose(0, 2, 1)
    return _filled(layer, first, inner, second, outer)


_SCHEMES = ("channel", "spatial")


def _is_factorable(module: Any) -> bool:
    return type(module) is Linear or (type(module) is Conv2d and module.groups == 1)


def _factorized(layer: Any, rank: int, scheme: str) -> Sequential:
    return (
        factorize_linear(layer, rank) if isinstance(layer, Linear) else factorize_conv2d(layer, rank, scheme)
    )


def _unfold(layer: Any, scheme: str) -> Array:
    """A weight as a matrix, float64: (out, in · kh · kw), or for "spatial" (out · kw, in · kh)."""
    weight = layer.weight._data.astype(np.float64)
    if weight.ndim == 4 and scheme == "spatial":
        outputs, inputs, kh, kw = weight.shape
        return weight.transpose(0, 3, 1, 2).reshape(outputs * kw, inputs * kh)
    return weight.reshape(len(weight), -1)


def _halves(layer: Any, rank: int, scheme: str) -> tuple[Array, Array]:
    """(rows, rank) and (rank, columns), whose product is nearest to the unfolded weight."""
    matrix = _unfold(layer, scheme)
    if not 1 <= rank <= min(matrix.shape):
        raise ValueError(
            f"factorize: expected a rank from 1 to {min(matrix.shape)} for a {type(layer).__name__} with a "
            f"weight of shape {layer.weight.shape}, got {rank}"
        )
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(s[:rank])
    return u[:, :rank] * root, root[:, None] * vt[:rank]


def _filled(layer: Any, first: Any, inner: Array, second: Any, outer: Array) -> Sequential:
    """The two layers with the halves as their weights, in the dtype of `layer`, and with its bias."""
    dtype, trained = layer.weight.dtype, layer.weight.requires_grad
    for half, values in ((first, inner), (second, outer)):
        values = np.ascontiguousarray(values.reshape(half.weight.shape), dtype)
        half.weight = Parameter(values, requires_grad=trained)
    if layer.bias is not None:
        second.bias = Parameter(layer.bias._data.copy(), requires_grad=layer.bias.requires_grad)
    return Sequential(first, second).train(layer.training)
