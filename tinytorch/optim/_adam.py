"""`Adam` and `AdamW`: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinytorch.kernels.optim import adam_step
from tinytorch.optim._flat import FlatParameters
from tinytorch.optim._optimizer import Optimizer


class Adam(Optimizer):
    """Adaptive moment estimation, all parameters of a group in one kernel.

    With g the gradient (plus weight_decay · p) and t the number of the step:
    `m += (1 - beta1) · (g - m)`; `v = beta2 · v + (1 - beta2) · g²`;
    `p -= lr · m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)`.

    params: parameters, or dicts with "params" and their own settings.
    betas: (beta1, beta2), from 0 up and below 1.
    amsgrad: the largest v so far stands in for v (Reddi et al., 2018).
    maximize: go up instead of down.
    foreach, capturable, differentiable, fused: of no effect; a step is one kernel here.

    Raises ValueError for settings out of range. Keeps two numbers a parameter, three with amsgrad.
    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015.

    >>> import tinytorch as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9], requires_grad=True)
    """

    state_names: tuple[str, ...] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    counts_steps = True
    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "amsgrad": amsgrad, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check_settings(group)
        betas = group["betas"]
        if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"{type(self).__name__}: expected two betas from 0 up and below 1, got {betas}")

    def update(self, flat: FlatParameters, gradients: Any, step: int, group: dict[str, Any]) -> None:
        """One step of the parameters that have a gradient."""
        beta1, beta2 = group["betas"]
        adam_step(
            flat.data,
            gradients,
            flat.offsets,
            flat.buffer("exp_avg"),
            flat.buffer("exp_avg_sq"),
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            1.0 - beta1**step,
            1.0 - beta2**step,
            self.decoupled,
            flat.buffer("max_exp_avg_sq") if group["amsgrad"] else None,
            group["maximize"],
        )


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments: `p -= lr · weight_decay · p` beside its
    step.

    Arguments as `Adam`, with weight_decay = 0.01.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
