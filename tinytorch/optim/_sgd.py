"""`SGD`: gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinytorch.kernels.optim import sgd_step
from tinytorch.optim._flat import FlatParameters
from tinytorch.optim._optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, all parameters of a group in one kernel.

    `g += weight_decay · p`; `b = momentum · b + (1 - dampening) · g` (at first b = g); `p -= lr · b`,
    or with `nesterov` `p -= lr · (g + momentum · b)`, or without momentum `p -= lr · g`.

    params: parameters, or dicts with "params" and their own settings.
    maximize: go up instead of down.
    foreach, differentiable, fused: of no effect; a step is one kernel here.

    Raises ValueError for negative settings, and for Nesterov's step without momentum or with dampening.
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    >>> import tinytorch as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8], requires_grad=True)
    """

    state_names = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "nesterov": nesterov, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check_settings(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov=True expected a momentum above 0 and no dampening, got "
                f"momentum={group['momentum']} and dampening={group['dampening']}"
            )

    def update(self, flat: FlatParameters, gradients: Any, step: int, group: dict[str, Any]) -> None:
        """One step of the parameters that have a gradient."""
        momentum = group["momentum"]
        sgd_step(
            flat.data,
            gradients,
            flat.offsets,
            flat.buffer("momentum_buffer") if momentum else None,
            group["lr"],
            momentum,
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            step == 1,
        )
