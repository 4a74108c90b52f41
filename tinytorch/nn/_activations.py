"""Activation functions as layers: each is its function in `nn.functional`, with the settings kept.

`inplace` is accepted where PyTorch has it, and changes nothing: results come from a pool of buffers.
"""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._functional_activations import log_softmax, softmax
from tinytorch.nn._module import Module

_CALLER = 5  # frames from a warning of softmax to the line that calls the layer


class ReLU(Module):
    """`max(x, 0)`; the gradient at 0 is 0. In a `Sequential` it is done together with a neighbour where that
    pays.
    """

    def __init__(self, inplace: bool = False):
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.relu(input)


class LeakyReLU(Module):
    """`x` where x > 0, else `negative_slope · x`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.leaky_relu(input, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """`1 / (1 + exp(-x))`."""

    def forward(self, input: Any) -> Any:
        """Of the input's shape, from 0 to 1."""
        return ops.sigmoid(input)


class Tanh(Module):
    """`tanh(x)`."""

    def forward(self, input: Any) -> Any:
        """Of the input's shape, from -1 to 1."""
        return ops.tanh(input)


class GELU(Module):
    """`x · Φ(x)` with the normal distribution function Φ; approximate="tanh" takes its approximation by tanh.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Which form."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """`x · sigmoid(x)`, also called swish."""

    def __init__(self, inplace: bool = False):
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.silu(input)


class Softplus(Module):
    """`log(1 + exp(beta · x)) / beta`, and `x` where beta · x is above `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        """Of the input's shape, above 0."""
        return ops.softplus(input, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """The settings."""
        return f"beta={self.beta}, threshold={self.threshold}"


class ELU(Module):
    """`x` where x > 0, else `alpha · (exp(x) - 1)`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.elu(input, alpha=self.alpha)

    def extra_repr(self) -> str:
        """The scale."""
        return f"alpha={self.alpha}"


class Softmax(Module):
    """`exp(x) / sum(exp(x))` along `dim`. `CrossEntropyLoss` takes logits: it has a softmax of its own.

    dim: without it, 0 for inputs of 0, 1 or 3 dimensions and else 1, with a warning, as in PyTorch.
    """

    def __init__(self, dim: int | None = None):
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Of the input's shape; adds up to 1 along `dim`."""
        return softmax(input, self.dim, _CALLER)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """`x - log(sum(exp(x)))` along `dim`, without overflow; what `NLLLoss` takes.

    dim: as for `Softmax`.
    """

    def __init__(self, dim: int | None = None):
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return log_softmax(input, self.dim, _CALLER)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"
