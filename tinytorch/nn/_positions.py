"""Where in a sequence something stands: sines, learned vectors, or rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.autograd.registry import new_tensor
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor


class _AddedPositions(Module):
    """What adds a vector of length `dim` for each of `max_len` positions."""

    def __init__(self, dim: int, max_len: int):
        for name, size in (("dim", dim), ("max_len", max_len)):
            if isinstance(size, bool) or not hasattr(size, "__index__") or size <= 0:
                raise ValueError(
                    f"{type(self).__name__}: expected {name} to be a whole number above 0, got {size!r}"
                )
        self.dim, self.max_len = dim, max_len

    def _add(self, x: Any, table: Any, offset: int) -> Any:
        name = type(self).__name__
        if x.ndim < 2 or x.shape[-1] != self.dim:
            raise ValueError(f"{name}: expected an input (..., t, {self.dim}), got {x.shape}")
        end = offset + x.shape[-2]
        if offset < 0 or end > self.max_len:
            raise ValueError(
                f"{name}: expected a context of at most max_len={self.max_len} positions, got {offset} to "
                f"{end - 1} (input {x.shape}). Cut it off, or make the module with a larger max_len."
            )
        return x + table[offset:end]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.dim}, max_len={self.max_len}"


class SinusoidalPositionalEncoding(_AddedPositions):
    """Add to each position sines and cosines of its number, at wavelengths from 2π to 10000 · 2π.

    `table[t, 2i] = sin(t / 10000 ** (2i / dim))` and `table[t, 2i + 1] = cos(...)` of the same; nothing is
    learned, and the table is not part of the state dict.

    Shapes: x (..., t, dim) -> the same.
    max_len: positions there are. Raises ValueError for a context that is longer.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.

    >>> import tinytorch as tt
    >>> tt.nn.SinusoidalPositionalEncoding(2, max_len=2)(tt.zeros(2, 2))
    tensor([[0.    , 1.    ],
            [0.8415, 0.5403]])
    """

    table: Tensor

    def __init__(self, dim: int, max_len: int = 5000, *, dtype: Any = np.float32):
        super().__init__(dim, max_len)
        angles = np.arange(max_len)[:, None] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
        table = np.empty((max_len, dim), dtype)
        table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles[:, : dim // 2])
        self.register_buffer("table", new_tensor(table), persistent=False)

    def forward(self, input: Any, offset: int = 0) -> Any:
        """Of the input's shape; offset: the position of its first row."""
        return self._add(input, self.table, offset)


class LearnedPositionalEmbedding(_AddedPositions):
    """Add to each position a vector that is learned, a row of `weight` (max_len, dim).

    weight starts normal with standard deviation 0.02, as in GPT-2.

    Shapes: x (..., t, dim) -> the same.
    max_len: positions there are. Raises ValueError for a context that is longer.

    >>> import tinytorch as tt
    >>> tt.nn.LearnedPositionalEmbedding(8, max_len=16)(tt.zeros(2, 5, 8)).shape
    (2, 5, 8)
    """

    weight: Parameter

    def __init__(self, dim: int, max_len: int, *, dtype: Any = np.float32):
        super().__init__(dim, max_len)
        self.weight = Parameter(empty((max_len, dim), np.dtype(dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight, 0.0, 0.02)

    def forward(self, input: Any, offset: int = 0) -> Any:
        """Of the input's shape; offset: the position of its first row."""
        return self._add(input, self.weight, offset)


class RotaryEmbedding(Module):
    """Turn queries or keys by angles that grow with their positions, so that products of the two depend on
    how far apart they are, and on no position by itself; see `nn.functional.rotary_embedding`.

    Shapes: x (..., t, dim), say (batch, heads, t, dim) -> the same.
    dim: the columns of a head, an even number. base: 2π · base is the longest wavelength, almost.

    Raises ValueError for an odd dim, and in the call for another width.
    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> import tinytorch as tt
    >>> rotary = tt.nn.RotaryEmbedding(4)
    >>> q, k = tt.randn(1, 4), tt.randn(1, 4)
    >>> near, far = ((rotary(q, offset=n + 3) * rotary(k, offset=n)).sum().item() for n in (0, 100))
    >>> abs(near - far) < 1e-4
    True
    """

    def __init__(self, dim: int, base: float = 10000.0):
        if dim <= 0 or dim % 2:
            raise ValueError(f"RotaryEmbedding: expected an even dim above 0, to turn pairs in, got {dim}")
        if not base > 0:
            raise ValueError(f"RotaryEmbedding: expected a base above 0, got {base}")
        self.dim, self.base = dim, base

    def forward(self, input: Any, offset: Any = 0) -> Any:
        """Of the input's shape; offset: the position of its first row, or those of all rows, (t,)."""
        if input.shape[-1:] != (self.dim,):
            raise ValueError(
                f"RotaryEmbedding: expected an input (..., t, {self.dim}), got {input.shape}. Split it into "
                "heads first."
            )
        return ops.rotary_embedding(input, offset=offset, base=self.base)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.dim}, base={self.base}"
