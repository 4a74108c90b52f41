"""`Dropout`, `Dropout1d`, `Dropout2d`: zeros at random, in training only."""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._module import Module


class Dropout(Module):
    """Zero each element with probability `p` and scale the others by `1 / (1 - p)`; nothing in evaluation
    mode.

    The mask is drawn from a counter (see `manual_seed`) and is not stored. `inplace` is accepted and changes
    nothing.

    Raises ValueError for p outside of 0 to 1.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> import tinytorch as tt
    >>> Dropout(0.5).eval()(tt.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False):
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}: expected a probability p from 0 to 1, got {p}")
        self.p = p

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Dropout1d(Dropout):
    """`Dropout` of whole channels of signals, (n, c, length) or (c, length).

    >>> import tinytorch as tt
    >>> Dropout1d(1.0)(tt.ones(1, 1, 2))
    tensor([[[0., 0.]]])
    """

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.dropout1d(input, self.p, self.training)


class Dropout2d(Dropout):
    """`Dropout` of whole channels of images (n, c, h, w).

    Neighbouring pixels are alike, so that one of them tells what was dropped of another; a channel is dropped
    as a whole.

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> import tinytorch as tt
    >>> Dropout2d(1.0)(tt.ones(1, 1, 1, 2))
    tensor([[[[0., 0.]]]])
    """

    def forward(self, input: Any) -> Any:
        """Of the input's shape."""
        return ops.dropout2d(input, self.p, self.training)
