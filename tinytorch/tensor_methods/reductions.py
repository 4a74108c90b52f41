"""Sums, extremes, products. NumPy's `axis` and `keepdims` are taken for `dim` and `keepdim`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinytorch import ops
from tinytorch.ops.common import Axes
from tinytorch.tensor_methods.base import HasData

if TYPE_CHECKING:
    from tinytorch.tensor import Tensor


class Reductions(HasData):
    """From many elements to few."""

    # --- reductions -----------------------------------------------------------------------------------------

    def sum(self, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("sum", dim, keepdim, numpy)
        x = self if dtype is None else self.to(dtype)
        return ops.sum(x, dim=dim, keepdim=keepdim)

    def sum_to(self, shape: tuple[int, ...]) -> Tensor:
        """Sum over the axes along which a tensor of `shape` would be broadcast to this one."""
        return ops.sum_to(self, shape=shape)

    def mean(self, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("mean", dim, keepdim, numpy)
        x = self if dtype is None else self.to(dtype)
        return ops.mean(x, dim=dim, keepdim=keepdim)

    def var(
        self,
        dim: Axes = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        **numpy: Any,
    ) -> Tensor:
        if numpy:
            correction = numpy.pop("ddof", correction)
            dim, keepdim = _numpy_names("var", dim, keepdim, numpy)
        return ops.var(self, dim=dim, correction=_correction(unbiased, correction), keepdim=keepdim)

    def std(
        self,
        dim: Axes = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        **numpy: Any,
    ) -> Tensor:
        if numpy:
            correction = numpy.pop("ddof", correction)
            dim, keepdim = _numpy_names("std", dim, keepdim, numpy)
        return ops.std(self, dim=dim, correction=_correction(unbiased, correction), keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("prod", dim, keepdim, numpy)
        return ops.prod(self, dim=dim, keepdim=keepdim)

    def max(self, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Any:
        if numpy:
            dim, keepdim = _numpy_names("max", dim, keepdim, numpy)
        return ops.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Any:
        if numpy:
            dim, keepdim = _numpy_names("min", dim, keepdim, numpy)
        return ops.min(self, dim, keepdim)

    def amax(self, dim: Axes = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("amax", dim, keepdim, numpy)
        return ops.amax(self, dim=dim, keepdim=keepdim)

    def amin(self, dim: Axes = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("amin", dim, keepdim, numpy)
        return ops.amin(self, dim=dim, keepdim=keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("argmax", dim, keepdim, numpy)
        return ops.argmax(self, dim=dim, keepdim=keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("argmin", dim, keepdim, numpy)
        return ops.argmin(self, dim=dim, keepdim=keepdim)

    def any(self, dim: Axes = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("any", dim, keepdim, numpy)
        return ops.any(self, dim=dim, keepdim=keepdim)

    def all(self, dim: Axes = None, keepdim: bool = False, **numpy: Any) -> Tensor:
        if numpy:
            dim, keepdim = _numpy_names("all", dim, keepdim, numpy)
        return ops.all(self, dim=dim, keepdim=keepdim)

    def logsumexp(self, dim: Axes, keepdim: bool = False) -> Tensor:
        return ops.logsumexp(self, dim=dim, keepdim=keepdim)

    def norm(self, p: float | str = 2, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return ops.norm(self, p, dim, keepdim)

    def median(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return ops.median(self, dim, keepdim)

    def cumsum(self, dim: Any = None, **numpy: Any) -> Tensor:
        if numpy:
            dim, _ = _numpy_names("cumsum", dim, None, numpy)
        return ops.cumsum(self, dim=dim)

    def sort(self, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Any:
        return ops.sort(self, dim, descending)

    def argsort(self, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
        return ops.argsort(self, dim=dim, descending=descending)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        return ops.topk(self, k, dim, largest)

    # --- products -------------------------------------------------------------------------------------------

    def matmul(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def mm(self, other: Any) -> Tensor:
        return ops.mm(self, other)

    def bmm(self, other: Any) -> Tensor:
        return ops.bmm(self, other)

    def dot(self, other: Any) -> Tensor:
        return ops.dot(self, other)

    def outer(self, other: Any) -> Tensor:
        return ops.outer(self, other)


def _numpy_names(name: str, dim: Any, keepdim: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """NumPy's `axis` and `keepdims` for PyTorch's `dim` and `keepdim`.

    `np.mean(tensor)` calls `tensor.mean(axis=None, dtype=None, out=None)`.
    """
    for key, value in given.items():
        if key not in ("axis", "keepdims") and not (key in ("dtype", "out") and value is None):
            raise TypeError(
                f"{name}: unexpected argument {key!r}; expected dim (or axis) and keepdim (or keepdims)"
            )
    return given.get("axis", dim), given.get("keepdims", keepdim)


def _correction(unbiased: Any, correction: Any) -> Any:
    return correction if correction is not None else 1 if unbiased else 0
