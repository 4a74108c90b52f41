"""`QuantizedEmbedding`: a table of int8 rows, which is an output layer too where weights are tied."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.kernels import int8, quantize
from tinytorch.nn import Embedding
from tinytorch.ops.common import check_indices
from tinytorch.systems.quantization._codes import result
from tinytorch.systems.quantization._layers import QuantizedLayer
from tinytorch.systems.quantization._scheme import weight_qparams
from tinytorch.tensor import Tensor


class QuantizedEmbedding(QuantizedLayer):
    """Rows of int8 `codes` (rows, width), each with a `scale`: indices of any shape -> (*shape, width).

    Raises IndexError for an index that is no row.

    >>> import tinytorch as tt
    >>> table = QuantizedEmbedding.from_float(tt.nn.Embedding(10, 3))
    >>> table(tt.tensor([[1, 9]])).shape, table.as_output(tt.zeros(2, 3)).shape
    ((1, 2, 3), (2, 10))
    """

    @classmethod
    def from_float(cls, layer: Embedding) -> QuantizedEmbedding:
        """The codes of an `Embedding`, which stays as it is."""
        p = weight_qparams(layer.weight._data)
        return cls(p.quantize(layer.weight._data), p.scale)

    def forward(self, input: Any) -> Any:
        """Integers of any shape -> (*shape, width), float32."""
        indices = input._data if isinstance(input, Tensor) else np.asarray(input)
        check_indices("QuantizedEmbedding", indices, len(self.codes._data))
        rows = self.codes._data[indices].astype(np.float32)
        rows *= self.scale._data[indices][..., None]
        return Tensor(rows)

    def as_output(self, hidden: Any) -> Any:
        """`hidden @ table^T`: (..., width) -> (..., rows), in integers, each row of hidden with its scale."""
        floats = np.ascontiguousarray(hidden._data, np.float32)
        rows, scale, zero = quantize.quantize_rows(floats.reshape(-1, floats.shape[-1]))
        plan = self._plan()
        packed = plan.packed.get(None)
        if packed is None:
            packed = plan.packed[None] = int8.pack_weight(self.codes._data)
        out = int8.int8_linear(rows, scale, zero, packed, plan.scale)
        return result(out.reshape(*floats.shape[:-1], -1), hidden)

    def extra_repr(self) -> str:
        """The sizes."""
        return "{}, {}, int8 per row".format(*self.codes._data.shape)
