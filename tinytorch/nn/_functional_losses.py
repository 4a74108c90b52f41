"""The losses of `nn.functional`. Each is described where its layer is: `mse_loss` at `nn.MSELoss`.

Options behind the tensors go by name: PyTorch still has two deprecated ones between them.
"""

from __future__ import annotations

from typing import Any

from tinytorch import ops


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """`(input - target)²`; see `nn.MSELoss`."""
    return ops.mse_loss(input, target, reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """`|input - target|`; see `nn.L1Loss`."""
    return ops.l1_loss(input, target, reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """A parabola near 0, a straight line from `beta` on; see `nn.SmoothL1Loss`."""
    return ops.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """`delta` times `smooth_l1_loss` with beta = delta; see `nn.HuberLoss`."""
    return ops.huber_loss(input, target, reduction, delta)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Binary cross-entropy of probabilities; see `nn.BCELoss`."""
    return ops.binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of `sigmoid(input)` against targets from 0 to 1; see `nn.BCEWithLogitsLoss`."""
    return ops.bce_with_logits(input, target, weight, reduction, pos_weight)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """`-log(softmax(input)[target])`; see `nn.CrossEntropyLoss`."""
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """`-input[target]` for log-probabilities; see `nn.NLLLoss`."""
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """`target · (log(target) - input)` for log-probabilities; see `nn.KLDivLoss`."""
    return ops.kl_div(input, target, reduction, log_target)
