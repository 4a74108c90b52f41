"""`Linear`: the fully connected layer, and `Identity`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter


class Linear(Module):
    """`y = x @ weight^T + bias`.

    Shapes: x (..., in_features) -> (..., out_features); weight (out_features, in_features); bias
    (out_features,). A single vector, a batch, or any number of leading dimensions will do.

    Both start uniform in ±1/sqrt(in_features), as in PyTorch (He's initialisation with a = sqrt(5)).

    in_features, out_features: lengths of the last dimension before and after.
    bias: False leaves it out; `self.bias` is None then.
    dtype: float32 or float64.

    Raises ValueError for sizes below 0, and in the call for an input of another width.
    Cost: 2 · in · out FLOPs a row.

    >>> import tinytorch as tt
    >>> tt.nn.Linear(784, 10)(tt.zeros(64, 784)).shape
    (64, 10)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: Any = np.float32):
        dtype = np.dtype(dtype)
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(size, bool) or not hasattr(size, "__index__") or size < 0:
                raise ValueError(f"Linear: expected {name} to be a whole number from 0 up, got {size!r}")
        self.in_features = int(in_features)
        self.out_features = int(out_features)
        self.weight = Parameter(empty((self.out_features, self.in_features), dtype))
        self.bias = Parameter(empty((self.out_features,), dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """x (..., in_features) -> (..., out_features)."""
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Its argument, unchanged, in place of a layer that is left out. Constructor arguments are ignored."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, input: Any) -> Any:
        """`input`."""
        return input
