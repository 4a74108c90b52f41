"""The activation functions of `nn.functional`, with PyTorch's arguments.

`inplace` is accepted where PyTorch has it, and changes nothing: results come from a pool of buffers.
"""

from __future__ import annotations

import warnings
from typing import Any

from tinytorch import ops


def relu(input: Any, inplace: bool = False) -> Any:
    """`max(x, 0)`; see `nn.ReLU`."""
    return ops.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """`x` where x > 0, else `negative_slope · x`; see `nn.LeakyReLU`."""
    return ops.leaky_relu(input, negative_slope=negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """`x` where x > 0, else `alpha · (exp(x) - 1)`; see `nn.ELU`."""
    return ops.elu(input, alpha=alpha)


def silu(input: Any, inplace: bool = False) -> Any:
    """`x · sigmoid(x)`; see `nn.SiLU`."""
    return ops.silu(input)


def gelu(input: Any, approximate: str = "none") -> Any:
    """`x · Φ(x)`; see `nn.GELU`."""
    return ops.gelu(input, approximate=approximate)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """`log(1 + exp(beta · x)) / beta`; see `nn.Softplus`."""
    return ops.softplus(input, beta=beta, threshold=threshold)


def sigmoid(input: Any) -> Any:
    """`1 / (1 + exp(-x))`."""
    return ops.sigmoid(input)


def tanh(input: Any) -> Any:
    """`tanh(x)`."""
    return ops.tanh(input)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`exp(x) / sum(exp(x))` along `dim`, of numbers that are converted to `dtype` first; see `nn.Softmax`.

    >>> import tinytorch as tt
    >>> softmax(tt.tensor([0, 0]), 0, dtype=tt.float64)
    tensor([0.5, 0.5], dtype=float64)
    """
    dim = _implicit_dim("softmax", input, _stacklevel) if dim is None else dim
    return ops.softmax(input if dtype is None else input.to(dtype), dim=dim)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`x - log(sum(exp(x)))` along `dim`, of numbers that are converted to `dtype` first."""
    dim = _implicit_dim("log_softmax", input, _stacklevel) if dim is None else dim
    return ops.log_softmax(input if dtype is None else input.to(dtype), dim=dim)


def _implicit_dim(name: str, input: Any, stacklevel: int) -> int:
    """The dimension that PyTorch takes where none is given, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
        "argument.",
        UserWarning,
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1
