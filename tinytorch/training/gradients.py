"""Which parameters do not train."""

from __future__ import annotations

import warnings
from collections.abc import Collection

from tinytorch.nn import Module


def without_gradient(model: Module) -> list[str]:
    """Names of the parameters that ask for a gradient and have none.

    >>> import tinytorch as tt
    >>> without_gradient(tt.nn.Linear(2, 1))
    ['weight', 'bias']
    """
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def warn_untrained(names: Collection[str], stacklevel: int = 3) -> None:
    """Warn that these parameters never got a gradient, where there are any."""
    if names:
        warnings.warn(
            "after one epoch these parameters have had no gradient, so they do not train: "
            f"{', '.join(names)}. Is the graph cut, or does forward() not use their layer? "
            "requires_grad=False says that it is meant.",
            stacklevel=stacklevel,
        )
