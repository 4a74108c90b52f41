"""`Upsample`: images of another size, and its two kinds with names of their own."""

from __future__ import annotations

from typing import Any

from tinytorch import ops
from tinytorch.nn._module import Module


class Upsample(Module):
    """Signals (n, c, length) or images (n, c, h, w) of another size; see `nn.functional.interpolate`.

    size, scale_factor: one of the two; a number, or one for each axis.
    mode: "nearest", "linear" (signals) or "bilinear" (images). align_corners: the corner pixels keep their
    values; not with "nearest".

    >>> import tinytorch as tt
    >>> Upsample(scale_factor=2)(tt.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        self.size, self.mode, self.align_corners = size, mode, align_corners
        several = isinstance(scale_factor, (tuple, list))
        self.scale_factor = (
            tuple(map(float, scale_factor)) if several else scale_factor and float(scale_factor)
        )
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        """(n, c, ...) -> (n, c, *size), or each axis times its factor, rounded down."""
        return ops.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The size or the factor, and the mode."""
        given = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images with mode "nearest".

    >>> import tinytorch as tt
    >>> UpsamplingNearest2d(4)(tt.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 4)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with mode "bilinear" and align_corners=True.

    >>> import tinytorch as tt
    >>> UpsamplingBilinear2d((1, 3))(tt.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1. , 1.5, 2. ]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "bilinear", True)
