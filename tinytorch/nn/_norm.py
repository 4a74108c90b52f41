"""Normalisation layers: `BatchNorm1d`, `BatchNorm2d`, `LayerNorm`, `RMSNorm`, `GroupNorm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor


class _BatchNorm(Module):
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _dimensions: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = np.float32,
    ):
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, dtype)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracked else None)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no batches seen."""
        for tensor, value in (
            (self.weight, 1), (self.bias, 0), (self.running_mean, 0), (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):  # fmt: skip
            if tensor is not None:
                tensor._write(lambda data, value=value: data.fill(value))

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return self.normalize(input)

    def normalize(self, input: Any, activation: str | None = None) -> Any:
        """`forward`, and the activation in the same pass: None or "relu"."""
        name = type(self).__name__
        if input.ndim not in self._dimensions:
            wanted = " or ".join(map(str, self._dimensions))
            raise ValueError(f"{name}: expected an input of {wanted} dimensions, got {input.shape}")
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"{name}: expected an input of {self.num_features} channels, got {input.shape[1]} "
                f"(input {input.shape})"
            )
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked._write(lambda data: np.copyto(data, data + 1))
            if momentum is None:  # a plain mean over all batches so far
                momentum = 1.0 / self.num_batches_tracked.item()
        return ops.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum or 0.0,
            self.eps,
            activation,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of images by its mean and variance: in training those of the batch, in
    evaluation running ones; then `· weight + bias`.

    Shapes: x (n, num_features, h, w) -> the same; weight and bias (num_features,), from 1 and 0.

    momentum: how far the running statistics move towards each batch's; None: their mean over all batches.
    affine, track_running_stats: False leaves weight and bias, or the running statistics, out.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import tinytorch as tt
    >>> tt.nn.BatchNorm2d(3)(tt.randn(4, 3, 8, 8)).mean().abs().item() < 1e-6
    True
    """

    _dimensions = (4,)


class BatchNorm1d(_BatchNorm):
    """`BatchNorm2d` of features (n, c) or signals (n, c, length).

    >>> import tinytorch as tt
    >>> tt.nn.BatchNorm1d(3).eval()(tt.ones(4, 3)).shape
    (4, 3)
    """

    _dimensions = (2, 3)


class LayerNorm(Module):
    """Normalise the last dimensions, `normalized_shape`, of each example by themselves; then weight and bias.

    elementwise_affine, bias: False leaves both, or the bias, out.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import tinytorch as tt
    >>> tt.nn.LayerNorm(4)(tt.randn(2, 3, 4)).shape
    (2, 3, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = np.float32,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """Divide the last dimensions, `normalized_shape`, of each example by the root of their mean square.

    eps: None takes that of the dtype.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> import tinytorch as tt
    >>> tt.nn.RMSNorm(2)(tt.tensor([[3.0, 3.0]]))
    tensor([[1., 1.]], grad_fn=<layer_norm>)
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = np.float32,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise groups of channels of each example by themselves; then weight and bias of each channel.

    Raises ValueError for a number of groups that does not divide the channels.
    Source: Wu and He, "Group normalization", 2018.

    >>> import tinytorch as tt
    >>> tt.nn.GroupNorm(2, 6)(tt.randn(2, 6, 4, 4)).shape
    (2, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = np.float32,
    ):
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: expected groups that divide {num_channels} channels, got {num_groups}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
