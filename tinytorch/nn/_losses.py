"""Losses as layers: each is its function in `nn.functional`, with the settings kept.

All take `reduction`: "mean" (the default), "sum", or "none" for a loss an element.
"""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._module import Module
from tinytorch.tensor import Tensor


class _Loss(Module):
    """What all losses share: a reduction that is checked early, and weights that are buffers."""

    _reductions = ("mean", "sum", "none")

    def __init__(self, reduction: str, **weights: Tensor | None):
        if reduction not in self._reductions:
            raise ValueError(
                f"{type(self).__name__}: expected reduction {', '.join(map(repr, self._reductions))}, got "
                f"{reduction!r}"
            )
        self.reduction = reduction
        for name, weight in weights.items():
            self.register_buffer(name, weight)

    def extra_repr(self) -> str:
        """The reduction, where it is not the default."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Mean of `(input - target)²`; input and target have the same shape.

    >>> import tinytorch as tt
    >>> MSELoss()(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean of `|input - target|`; input and target have the same shape."""

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Mean of `d² / (2 · beta)` where |d| < beta, else `|d| - beta / 2`, with d = input - target.

    Source: Girshick, "Fast R-CNN", 2015.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        if beta < 0:
            raise ValueError(f"SmoothL1Loss: expected beta from 0 up, got {beta}")
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Mean of `d² / 2` where |d| < delta, else `delta · (|d| - delta / 2)`, with d = input - target.

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: expected delta above 0, got {delta}")
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """Mean of `-(t · log(p) + (1 - t) · log(1 - p))` for probabilities p from 0 to 1; logarithms stop at
    -100.

    weight: factors that broadcast to the losses. `BCEWithLogitsLoss` is the stable way from scores.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(reduction, weight=weight)

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of `sigmoid(input)` against targets from 0 to 1, stable for scores of any size.

    weight: factors that broadcast to the losses. pos_weight: of the targets that are 1, to balance rare ones.

    >>> import tinytorch as tt
    >>> BCEWithLogitsLoss()(tt.tensor([0.0, 100.0]), tt.tensor([1.0, 1.0]))
    tensor(0.3466)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
    ):
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.bce_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class CrossEntropyLoss(_Loss):
    """`-log(softmax(input)[target])`: what a classifier is trained with; softmax and loss are one kernel.

    Shapes: input (n, classes) or (n, classes, ...), scores before any softmax; target (n,) or (n, ...) of
    class numbers, or probabilities of the input's shape.

    weight: a factor for each class; the mean divides by the weights used.
    ignore_index: a label that counts for nothing.
    label_smoothing: this part of the target is spread evenly over the classes (Szegedy et al., 2016).

    Raises IndexError for a label that is no class.

    >>> import tinytorch as tt
    >>> CrossEntropyLoss()(tt.tensor([[2.0, 0.0], [0.0, 2.0]]), tt.tensor([0, 1]))
    tensor(0.1269)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction, weight=weight)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"CrossEntropyLoss: expected label_smoothing from 0 to 1, got {label_smoothing}")
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the target's shape for reduction "none"."""
        return ops.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """`-input[target]` for log-probabilities, such as `LogSoftmax` gives. Arguments as `CrossEntropyLoss`."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction, weight=weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the target's shape for reduction "none"."""
        return ops.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class KLDivLoss(_Loss):
    """`target · (log(target) - input)`: how far log-probabilities are from a distribution.

    reduction: "batchmean" divides by the length of the first dimension, as the divergence is defined; "mean",
    the
        default as in PyTorch, divides by the number of elements.
    log_target: the target holds log-probabilities too.
    """

    _reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """0-d, or of the input's shape for reduction "none"."""
        return ops.kl_div(input, target, self.reduction, self.log_target)
