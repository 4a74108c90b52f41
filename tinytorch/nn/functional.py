"""Layers and losses as functions, without parameters of their own: names and arguments are PyTorch's.

Most are the ops of the same name (`tinytorch.relu` is `nn.functional.relu`); here they stand together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import new_tensor
from tinytorch.ops import bce_with_logits as _bce_with_logits
from tinytorch.ops import (
    binary_cross_entropy,
    cross_entropy,
    dropout,
    elu,
    gelu,
    huber_loss,
    kl_div,
    l1_loss,
    leaky_relu,
    linear,
    log_softmax,
    mse_loss,
    nll_loss,
    pad,
    relu,
    sigmoid,
    silu,
    smooth_l1_loss,
    softmax,
    softplus,
    tanh,
)
from tinytorch.ops import embedding as _embedding

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of `sigmoid(input)` against targets from 0 to 1; see `nn.BCEWithLogitsLoss`."""
    return _bce_with_logits(input, target, weight, reduction, pos_weight)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of `weight` (rows, width): integers of any shape -> (*shape, width). As `nn.Embedding`."""
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    return _embedding(weight, input, padding_idx=padding_idx)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """`input` divided by its p-norm along `dim`, or by `eps` where that is larger.

    >>> import tinytorch as tt
    >>> normalize(tt.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    size = input.abs()
    norm = (
        (size * size).sum(dim, keepdim=True).sqrt() if p == 2 else (size**p).sum(dim, keepdim=True) ** (1 / p)
    )
    return input / norm.clip(eps)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """For each class number a row of zeros with a one at that place, int64; as many classes as there are by
    default.

    >>> import tinytorch as tt
    >>> one_hot(tt.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    labels = tensor._data
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected class numbers of an integer dtype, got {labels.dtype}")
    if num_classes == -1:
        if not labels.size:
            raise ValueError("one_hot: expected num_classes for a tensor without elements")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise IndexError(
            f"one_hot: expected class numbers from 0 to {num_classes - 1}, got {labels.min()} to "
            f"{labels.max()}"
        )
    return new_tensor((labels[..., None] == np.arange(num_classes)).astype(np.int64))
