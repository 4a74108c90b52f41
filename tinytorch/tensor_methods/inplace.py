"""Methods that change the tensor itself: `x += y`, and names that end in an underscore.

All of them count up the version that views share: a backward pass that needs the old values refuses to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import ops, random
from tinytorch.autograd.modes import modes
from tinytorch.ops.common import element
from tinytorch.tensor_methods.base import HasData
from tinytorch.tensor_methods.changing import Changing

if TYPE_CHECKING:
    from tinytorch.random import Generator
    from tinytorch.tensor import Tensor

_EVERYWHERE = np.ones((), np.bool_)


class InPlace(Changing):
    """Changes of the tensor itself; each returns it."""

    def __iadd__(self, other: Any) -> Tensor:
        return self._become(ops.add(self, other), "+=")

    def __isub__(self, other: Any) -> Tensor:
        return self._become(ops.sub(self, other), "-=")

    def __imul__(self, other: Any) -> Tensor:
        return self._become(ops.mul(self, other), "*=")

    def __itruediv__(self, other: Any) -> Tensor:
        return self._become(ops.div(self, other), "/=")

    def __ifloordiv__(self, other: Any) -> Tensor:
        return self._become(ops.floor_divide(self, other), "//=")

    def __imod__(self, other: Any) -> Tensor:
        return self._become(ops.remainder(self, other), "%=")

    def __ipow__(self, other: Any) -> Tensor:
        return self._become(ops.pow(self, other), "**=")

    def __iand__(self, other: Any) -> Tensor:
        return self._become(self & other, "&=")

    def __ior__(self, other: Any) -> Tensor:
        return self._become(self | other, "|=")

    def __ixor__(self, other: Any) -> Tensor:
        return self._become(self ^ other, "^=")

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """Add `alpha * other`."""
        return self._become(ops.add(self, other) if alpha == 1 else ops.add(self, other, alpha=alpha), "add_")

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """Subtract `alpha * other`."""
        return self._become(ops.sub(self, other) if alpha == 1 else ops.sub(self, other, alpha=alpha), "sub_")

    def mul_(self, other: Any) -> Tensor:
        """Multiply by `other`."""
        return self._become(ops.mul(self, other), "mul_")

    def div_(self, other: Any) -> Tensor:
        """Divide by `other`."""
        return self._become(ops.div(self, other), "div_")

    def pow_(self, exponent: Any) -> Tensor:
        """Raise to a power."""
        return self._become(ops.pow(self, exponent), "pow_")

    def neg_(self) -> Tensor:
        """Change the sign."""
        return self._become(ops.neg(self), "neg_")

    def abs_(self) -> Tensor:
        """Drop the sign."""
        return self._become(ops.abs(self), "abs_")

    def exp_(self) -> Tensor:
        """Become `e ** x`."""
        return self._become(ops.exp(self), "exp_")

    def log_(self) -> Tensor:
        """Become the natural logarithm."""
        return self._become(ops.log(self), "log_")

    def sqrt_(self) -> Tensor:
        """Become the square root."""
        return self._become(ops.sqrt(self), "sqrt_")

    def relu_(self) -> Tensor:
        """Become `max(x, 0)`."""
        return self._become(ops.relu(self), "relu_")

    def sigmoid_(self) -> Tensor:
        """Become `1 / (1 + exp(-x))`."""
        return self._become(ops.sigmoid(self), "sigmoid_")

    def tanh_(self) -> Tensor:
        """Become the hyperbolic tangent."""
        return self._become(ops.tanh(self), "tanh_")

    def clip_(self, min: Any = None, max: Any = None) -> Tensor:
        """Bring what is outside of `min` and `max` to them."""
        return self._become(ops.clip(self, min=min, max=max), "clip_")

    clamp_ = clip_

    def masked_fill_(self, mask: Any, value: Any) -> Tensor:
        """Put `value`, a number or a 0-d tensor, where the mask is true."""
        return self._become(ops.masked_fill(self, mask, value), "masked_fill_")

    def scatter_(self, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Tensor:
        """Put every `src[i, j]`, or the number `value`, at `self[i, index[i, j]]` for `dim` 1, and so on."""
        return self._become(ops.scatter(self, dim, index, src, value=value), "scatter_")

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Tensor:
        """Add every `src[i, j]` at `self[i, index[i, j]]` for `dim` 1, and so on."""
        return self._become(ops.scatter_add(self, dim, index, src), "scatter_add_")

    def index_add_(self, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
        """Add the entries of `source`, times `alpha`, to those of axis `dim` with the numbers `index`."""
        return self._become(ops.index_add(self, dim, index, source, alpha=alpha), "index_add_")

    def squeeze_(self, dim: Any = None) -> Tensor:
        """Lose the axes of length 1, or those among `dim`."""
        return self._reshape_in_place("squeeze_", lambda x: ops.squeeze(x, dim))

    def unsqueeze_(self, dim: int) -> Tensor:
        """Get a new axis of length 1 at `dim`."""
        return self._reshape_in_place("unsqueeze_", lambda x: ops.unsqueeze(x, dim))

    def copy_(self, source: Any) -> Tensor:
        """Take over the values of `source`, which broadcasts and is cast."""
        if modes.grad and (self.requires_grad or getattr(source, "requires_grad", False)):
            return self._become(ops.index_put(self, source, index=...), "copy_")
        array = np.asarray(getattr(source, "_data", source))
        self._write(lambda data: np.copyto(data, array, casting="unsafe"))
        return self  # pyright: ignore[reportReturnType]

    def fill_(self, value: Any) -> Tensor:
        """Put `value`, a number or a 0-d tensor, everywhere."""
        if getattr(value, "ndim", 0):
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.shape}")
        if modes.grad and (self.requires_grad or getattr(value, "requires_grad", False)):
            return self._become(ops.masked_fill(self, _EVERYWHERE, value), "fill_")
        number = value.item() if isinstance(value, HasData) else value
        self._write(lambda data: data.fill(element("fill_", number, data.dtype)))
        return self  # pyright: ignore[reportReturnType]

    def zero_(self) -> Tensor:
        """Put 0 everywhere."""
        return self.fill_(0)

    def uniform_(self, from_: float = 0.0, to: float = 1.0, generator: Generator | None = None) -> Tensor:
        """Draw every element evenly from `from_` up to, not including, `to`."""
        self._check_in_place("uniform_", recorded=False)
        drawn = random.uniform(self._data.shape, self._data.dtype, generator) * (to - from_) + from_
        self._write(lambda data: np.copyto(data, drawn, casting="same_kind"))
        return self  # pyright: ignore[reportReturnType]

    def normal_(self, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
        """Draw every element from the normal distribution."""
        self._check_in_place("normal_", recorded=False)
        drawn = random.normal(self._data.shape, self._data.dtype, generator) * std + mean
        self._write(lambda data: np.copyto(data, drawn, casting="same_kind"))
        return self  # pyright: ignore[reportReturnType]
