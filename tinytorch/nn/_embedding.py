"""`Embedding`: a table of vectors, looked up by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch import ops
from tinytorch.kernels.memory import empty
from tinytorch.nn import init
from tinytorch.nn._module import Module
from tinytorch.nn._parameter import Parameter
from tinytorch.tensor import Tensor


class Embedding(Module):
    """Rows of `weight` (num_embeddings, embedding_dim): indices of any shape -> (*shape, embedding_dim).

    weight starts normal with standard deviation 1.

    padding_idx: a row that starts at zero and gets no gradient; negative counts from the end.

    Raises IndexError for an index that is no row.

    >>> import tinytorch as tt
    >>> Embedding(10, 3)(tt.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    (2, 4, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float32,
    ):
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: expected padding_idx to be one of {num_embeddings} rows, got {padding_idx}"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty((num_embeddings, embedding_dim), np.dtype(dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A table with the given vectors, (rows, width); `freeze` keeps them as they are."""
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding: expected vectors of shape (rows, width), got {embeddings.shape}")
        layer = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Any) -> Any:
        """Integers of any shape -> (*shape, embedding_dim)."""
        return ops.embedding(self.weight, input, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
