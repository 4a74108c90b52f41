"""`Parameter`: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.tensor import Tensor


class Parameter(Tensor):
    """A tensor that becomes part of `module.parameters()` when it is assigned to a module's attribute.

    data: a tensor or an array, whose memory is shared, or numbers.
    requires_grad: False for a parameter that is kept but not trained.

    Raises RuntimeError for integers or booleans with requires_grad=True.

    >>> import tinytorch as tt
    >>> tt.nn.Parameter(tt.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Any = None, requires_grad: bool = True):
        super().__init__(np.empty(0, np.float32) if data is None else data)
        self._cut = None  # a parameter is where graphs begin
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
