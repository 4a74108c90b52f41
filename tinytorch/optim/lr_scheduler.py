"""Learning rate schedules, chainable as in PyTorch: each `step()` moves the rate on from where it is.

`StepLR`, `MultiStepLR`, `ExponentialLR`, `PolynomialLR`, `CosineAnnealingLR`, `CosineAnnealingWarmRestarts`,
`ConstantLR` and `LinearLR` (warm-up), `LambdaLR`, `OneCycleLR`, `SequentialLR` and `ReduceLROnPlateau`. Call
`scheduler.step()` after `optimizer.step()`.
"""

from tinytorch.optim._decays import ConstantLR, CosineAnnealingWarmRestarts, PolynomialLR
from tinytorch.optim._one_cycle import OneCycleLR
from tinytorch.optim._plateau import ReduceLROnPlateau
from tinytorch.optim._schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
