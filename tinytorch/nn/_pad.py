"""Layers that put a border around images: of a constant, or of what is inside."""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._module import Module


class _Pad2d(Module):
    """padding: pixels on every side, or (left, right, top, bottom)."""

    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any):
        sides = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 4
        if len(sides) != 4 or not all(hasattr(n, "__index__") for n in sides):
            raise ValueError(
                f"{type(self).__name__}: expected padding to be a whole number, or four (left, right, top, "
                f"bottom), got {padding!r}"
            )
        self.padding = sides

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, top + h + bottom, left + w + right); the same for (c, h, w)."""
        return ops.extend(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The four sides."""
        return f"{self.padding}"


class ConstantPad2d(_Pad2d):
    """A border of `value`; `padding` is a number of pixels, or (left, right, top, bottom).

    Negative numbers cut off.

    >>> import tinytorch as tt
    >>> ConstantPad2d((1, 0, 0, 0), 7.0)(tt.ones(1, 1, 1, 2))
    tensor([[[[7., 1., 1.]]]])
    """

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The four sides, and what they hold."""
        return f"padding={self.padding}, value={self.value}"


class ZeroPad2d(_Pad2d):
    """A border of zeros; `padding` is a number of pixels, or (left, right, top, bottom).

    >>> import tinytorch as tt
    >>> ZeroPad2d(1)(tt.ones(1, 1, 1, 1))
    tensor([[[[0., 0., 0.],
              [0., 1., 0.],
              [0., 0., 0.]]]])
    """


class ReflectionPad2d(_Pad2d):
    """A border that mirrors the image at its outermost pixels, which are not repeated.

    padding: pixels on every side, or (left, right, top, bottom); fewer than the image has.
    Raises ValueError for more.

    >>> import tinytorch as tt
    >>> ReflectionPad2d((2, 1, 0, 0))(tt.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[3., 2., 1., 2., 3., 2.]]]])
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """A border that repeats the outermost pixels; `padding` is a number, or (left, right, top, bottom).

    >>> import tinytorch as tt
    >>> ReplicationPad2d((2, 1, 0, 0))(tt.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[1., 1., 1., 2., 3., 3.]]]])
    """

    mode = "replicate"
