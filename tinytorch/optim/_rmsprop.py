"""`RMSprop`: gradients divided by a running root mean square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinytorch.kernels.optim import rmsprop_step
from tinytorch.optim._flat import FlatParameters
from tinytorch.optim._optimizer import Optimizer


class RMSprop(Optimizer):
    """RMSprop, all parameters of a group in one kernel.

    With g the gradient (plus weight_decay · p): `s = alpha · s + (1 - alpha) · g²`; `d = g / (sqrt(s) +
    eps)`;
    `p -= lr · d`, or with momentum `b = momentum · b + d; p -= lr · b`.

    centered: the square of a running mean of g is taken off s, which makes it the variance.
    maximize: go up instead of down.
    foreach, capturable, differentiable: of no effect; a step is one kernel here.

    Raises ValueError for negative settings.
    Sources: Hinton, "Neural networks for machine learning", lecture 6e, 2012; centred: Graves, 2013.
    """

    state_names = ("square_avg", "momentum_buffer", "grad_avg")
    counts_steps = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**settings, "centered": centered, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check_settings(group)
        if not group["alpha"] >= 0.0:
            raise ValueError(f"RMSprop: expected alpha from 0 up, got {group['alpha']}")

    def update(self, flat: FlatParameters, gradients: Any, step: int, group: dict[str, Any]) -> None:
        """One step of the parameters that have a gradient."""
        momentum = group["momentum"]
        rmsprop_step(
            flat.data,
            gradients,
            flat.offsets,
            flat.buffer("square_avg"),
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            momentum,
            flat.buffer("momentum_buffer") if momentum else None,
            flat.buffer("grad_avg") if group["centered"] else None,
            group["maximize"],
        )
