"""Layers and losses as functions, without parameters of their own: names and arguments are PyTorch's.

Most hand on to the op of the same name, `nn.functional.relu` to `tinytorch.relu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.nn._functional_activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tinytorch.nn._functional_losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from tinytorch.ops import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    batch_norm,
    conv1d,
    conv2d,
    conv_transpose2d,
    group_norm,
    interpolate,
    layer_norm,
    max_pool1d,
    max_pool2d,
    rms_norm,
    rotary_embedding,
    scaled_dot_product_attention,
)
from tinytorch.random import Generator

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "rms_norm",
    "rotary_embedding",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight^T + bias`; see `nn.Linear`.

    >>> import tinytorch as tt
    >>> linear(tt.tensor([1.0, 2.0]), tt.tensor([[1.0, 1.0]]))
    tensor([3.])
    """
    return ops.linear(input, weight, bias)


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Zeros with probability `p`; see `nn.Dropout`.

    inplace: of no effect. generator: what is drawn from; by default the one that `manual_seed` sets.
    """
    return ops.dropout(input, p, training, generator)


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Zeros for whole channels of signals, with probability `p`; see `nn.Dropout1d` and `dropout`."""
    return ops.dropout1d(input, p, training, generator)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Zeros for whole channels of images, with probability `p`; see `nn.Dropout2d` and `dropout`."""
    return ops.dropout2d(input, p, training, generator)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """`input` with a border: `pad` holds (before, after) of the last axis, then of the one before it, and so
    on. Negative numbers cut off.

    mode: "constant" fills the border with `value`, 0 by default. The others take it from `input`, of which
    they pad the last 1 to 3 axes, with one or two before them: "reflect" mirrors at the outermost entry,
    which is not repeated, "replicate" repeats that entry, and "circular" goes on at the other end.

    Raises ValueError for borders that are longer than what they repeat, and a `value` with these modes.

    >>> import tinytorch as tt
    >>> pad(tt.ones(2), (1, 2))
    tensor([0., 1., 1., 0., 0.])
    >>> for mode in ("reflect", "replicate", "circular"):
    ...     pad(tt.tensor([[1, 2, 3]]), (2, 1), mode)
    tensor([[3, 2, 1, 2, 3, 2]])
    tensor([[1, 1, 1, 2, 3, 3]])
    tensor([[2, 3, 1, 2, 3, 1]])
    """
    return ops.extend(input, tuple(pad), mode, value)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of `weight` (rows, width): integers of any shape -> (*shape, width). As `nn.Embedding`."""
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    return ops.embedding(weight, input, padding_idx=padding_idx)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """`input` divided by its p-norm along `dim`, or by `eps` where that is larger.

    >>> import tinytorch as tt
    >>> normalize(tt.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    return input / input.norm(p, dim, keepdim=True).clip(eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between `x1` and `x2` along `dim`; norms below `eps` count as `eps`.

    The two are broadcast to one shape first.

    >>> import tinytorch as tt
    >>> cosine_similarity(tt.tensor([3.0, 4.0]), tt.tensor([4.0, 3.0]), dim=0)
    tensor(0.96)
    """
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    one, other = (normalize(ops.expand(x, shape=shape), dim=dim, eps=eps) for x in (x1, x2))
    return (one * other).sum(dim)


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
