"""Pooling layers: `MaxPool1d`, `MaxPool2d`, `AvgPool2d`, and those that give a size."""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._module import Module


class _Pool(Module):
    """What sliding windows share."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode

    def extra_repr(self) -> str:
        """The window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool2d(_Pool):
    """The largest element of each window; see `nn.functional.max_pool2d`.

    kernel_size, stride (default: the window), padding, dilation: a number, or one for each axis.

    >>> import tinytorch as tt
    >>> tt.nn.MaxPool2d(2)(tt.zeros(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation, self.return_indices = dilation, return_indices

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, h', w')."""
        return ops.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool1d(_Pool):
    """`MaxPool2d` of signals (n, c, length).

    >>> import tinytorch as tt
    >>> tt.nn.MaxPool1d(2)(tt.zeros(1, 3, 8)).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        dilation: int = 1,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation = dilation

    def forward(self, input: Any) -> Any:
        """(n, c, length) -> (n, c, length')."""
        return ops.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class AvgPool2d(_Pool):
    """The mean of each window; see `nn.functional.avg_pool2d`.

    >>> import tinytorch as tt
    >>> tt.nn.AvgPool2d(2)(tt.ones(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, h', w')."""
        return ops.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class _Adaptive(Module):
    def __init__(self, output_size: Any):
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_Adaptive):
    """Means of windows that cover each image evenly, `output_size` of them; 1 is the mean of all pixels.

    >>> import tinytorch as tt
    >>> tt.nn.AdaptiveAvgPool2d(1)(tt.ones(2, 3, 7, 5)).shape
    (2, 3, 1, 1)
    """

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, *output_size)."""
        return ops.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest elements of windows that cover each image evenly, `output_size` of them.

    >>> import tinytorch as tt
    >>> tt.nn.AdaptiveMaxPool2d((2, 1))(tt.ones(2, 3, 7, 5)).shape
    (2, 3, 2, 1)
    """

    def forward(self, input: Any) -> Any:
        """(n, c, h, w) -> (n, c, *output_size)."""
        return ops.adaptive_max_pool2d(input, self.output_size)
