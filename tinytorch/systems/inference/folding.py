"""Batch norms taken into the convolutions and linear layers before them, past a pooling layer too."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.nn import AvgPool2d, BatchNorm2d, Conv2d, MaxPool2d, Module, Sequential
from tinytorch.nn.utils.fusion import fuse_batch_norms, fuse_conv_bn_eval
from tinytorch.ops.conv import pair
from tinytorch.tensor import Tensor

M = TypeVar("M", bound=Module)


class ChannelAffine(Module):
    """`y = x · scale + shift`, with two numbers for each channel: what is left of a batch norm that could not
    be folded.

    Shapes: x (n, c, h, w) -> the same; scale and shift (c,), which are buffers.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: np.ndarray, shift: np.ndarray):
        super().__init__()
        self.register_buffer("scale", Tensor(np.array(scale, np.float32)))
        self.register_buffer("shift", Tensor(np.array(shift, np.float32)))

    @classmethod
    def from_batch_norm(cls, norm: BatchNorm2d) -> ChannelAffine:
        """What `norm` does in evaluation mode: scale = weight / sqrt(variance + eps), shift = bias - mean ·
        scale."""
        return cls(*_affine(norm))

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        scale, shift = (new_tensor(t._data.reshape(-1, 1, 1)) for t in (self.scale, self.shift))
        return ops.add(ops.mul(input, scale), shift)

    def extra_repr(self) -> str:
        """The number of channels."""
        return str(self.scale._data.size)


def fold_batch_norm(model: M) -> M:
    """A new model without the batch norms that a layer before them can do as well; `model` stays as it is.

    In each `Sequential`:
    - `Conv2d, BatchNorm2d` and `Linear, BatchNorm1d` become one layer (`nn.utils.fuse_batch_norms`).
    - `Conv2d, pool, BatchNorm2d`: a mean commutes with any scale (where it does not count borders), a
      maximum with positive ones only: max(s · x) = s · max(x) for s > 0, and s · min(x) for s < 0. So behind
      `AvgPool2d`, and behind `MaxPool2d` where all scales are positive, the convolution takes the norm in;
      otherwise a `ChannelAffine` stays in its place, two operations instead of a norm's five.
    Other batch norms stay. All layers keep their names, and results differ by rounding only.

    Raises ValueError for a model in training mode, whose batch norms go by the batch.

    >>> import tinytorch as tt
    >>> nn = tt.nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.ReLU()).eval()
    >>> [type(layer).__name__ for layer in fold_batch_norm(model)]
    ['Conv2d', 'MaxPool2d', 'ReLU']
    """
    folded = fuse_batch_norms(model)
    for sequential in [module for module in folded.modules() if isinstance(module, Sequential)]:
        _fold_past_pools(sequential)
    return folded


def _fold_past_pools(sequential: Sequential) -> None:
    named = list(zip(sequential._names(), sequential, strict=True))
    for ((name, conv), (_, pool)), (_, (behind, norm)) in pairwise(pairwise(named)):
        if type(conv) is not Conv2d or type(norm) is not BatchNorm2d or norm.running_mean is None:
            continue
        if any(m._hooks is not None or "forward" in vars(m) for m in (conv, pool, norm)):
            continue
        if _commutes(pool, _affine(norm)[0]):
            setattr(sequential, name, fuse_conv_bn_eval(conv, norm))
            delattr(sequential, behind)
        elif type(pool) is MaxPool2d and not pool.return_indices:
            setattr(sequential, behind, ChannelAffine.from_batch_norm(norm).eval())


def _commutes(pool: Module, scale: np.ndarray) -> bool:
    if type(pool) is MaxPool2d:
        return bool((scale > 0).all()) and not pool.return_indices
    if type(pool) is not AvgPool2d:
        return False
    inside = pair("AvgPool2d", "padding", pool.padding, 0) == (0, 0)
    return inside or not pool.count_include_pad


def _affine(norm: BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a batch norm with running statistics, in float64."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    scale = 1.0 / np.sqrt(norm.running_var._data.astype(np.float64) + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight._data
    shift = -norm.running_mean._data * scale
    return scale, shift if norm.bias is None else shift + norm.bias._data
