"""Matrix products and the linear layer, each gradient a kernel of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, op
from tinytorch.kernels import gemm as kernels
from tinytorch.ops.activation import relu_grad
from tinytorch.ops.common import Array, promote




def _flops(a: Array, b: Array, out: Array) -> float:
    return 2.0 * out.size * a.shape[-1]


def _batches(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4), s(4, 5)),
        Sample(s(2, 3, 4), s(2, 4, 5)),
        Sample(s(2, 3, 4), s(4, 5)),
        Sample(s(3, 4), s(2, 4, 5)),
        Sample(s(2, 1, 3, 4), s(5, 4, 2)),
        Sample(s(3, 0), s(0, 2)),
        Sample(s(0, 3), s(3, 2)),
    ]


@op(
    name="matmul",
    saves=(0, 1),
    cost=_flops,
    samples=_batches,
    refuses=lambda s: [
        Refusal((s(3, 4), s(5, 2)), {}, ValueError, r"matmul: .* \(3, 4\) and \(5, 2\).*4 columns.*5 rows"),
    ],
    reference=np.matmul,
    oracle=lambda t, a, b: a @ b,
)
def matrix_product(a: Array, b: Array, /) -> Array:
    """`a @ b` for tensors of two or more dimensions: (..., m, k) @ (..., k, n) -> (..., m, n); batches broadcast."""
    a, b = promote(a, b)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the first has {a.shape[-1]} columns, "
            f"the second {b.shape[-2]} rows. Expected them to be equal; is a transpose missing?"
        )
    if a.dtype.kind != "f":
        return a @ b
    return kernels.gemm(a, b) if a.ndim == b.ndim == 2 else kernels.bmm(a, b)


@matrix_product.gradient
def _(ctx: Node, g: Any) -> Any:
    return (
        matmul_grad_a(g, ctx[1]) if ctx.needs[0] else None,
        matmul_grad_b(ctx[0], g) if ctx.needs[1] else None,
    )


@op(
    saves=(0, 1),
    cost=lambda g, b, out: 2.0 * out.size * b.shape[-1],
    samples=lambda s: [Sample(s(3, 5), s(4, 5)), Sample(s(2, 3, 5), s(2, 4, 5)), Sample(s(2, 3, 5), s(4, 5))],
    reference=lambda g, b: g @ np.swapaxes(b, -1, -2),
    oracle=lambda t, g, b: g @ b.transpose(-1, -2),
)
def matmul_grad_a(g: Array, b: Array, /) -> Array:
    """`g @ b^T`: the gradient of `a @ b` to `a`. The transpose is read through strides."""
    g, b = promote(g, b)
    return kernels.gemm_grad_a(g, b) if g.ndim == b.ndim == 2 else kernels.bmm_grad_a(g, b)


@matmul_grad_a.gradient
def _(ctx: Node, h: Any) -> Any:
    return (
        matrix_product(h, ctx[1]) if ctx.needs[0] else None,
        matmul_grad_b(h, ctx[0]) if ctx.needs[1] else None,
    )


@op(
    saves=(0, 1),
    cost=lambda a, g, out: 2.0 * out.size * g.shape[-2],
    samples=lambda s: [Sample(s(3, 4), s(3, 5)), Sample(s(2, 3, 4), s(2, 3, 5)), Sample(s(3, 4), s(2, 3, 5))],
    reference=lambda a, g: np.swapaxes(a, -1, -2) @ g,
    oracle=lambda t, a, g: a.transpose(-1, -2) @ g,
)
def matmul_grad_b(a: Array, g: Array, /) -> Array:
    """`a^T @ g`: the gradient of `a @ b` to `b`. The transpose is read through strides."""
    a, g = promote(a, g)
    return kernels.gemm_grad_b(a, g) if a.ndim == g.ndim == 2 else kernels.bmm_grad_b(a, g)


@matmul_grad_b.gradient
def _(ctx: Node, h: Any) -> Any:
    return (
        matmul_grad_a(ctx[1], h) if ctx.needs[0] else None,
        matrix_product(ctx[0], h) if ctx.needs[1] else None,
    )


@op(
    saves=("output", 0, 1),
    cost=lambda x, weight, bias=None, out=None, activation=None: 2.0 * out.size * weight.shape[1]
    + (out.size if bias is not None else 0)
    + (out.size if activation else 0),
    samples=lambda s: [
        Sample(s(3, 4), s(5, 4), s(5)),
        Sample(s(3, 4), s(5, 4), None),
        Sample(s(2, 3, 4), s(5, 4), s(5)),
        Sample(s(4), s(5, 4), s(5)),
        Sample(s(0, 4), s(5, 4), s(5)),
        Sample(s(3, 4), s(5, 4), s(5) + np.array(6.0), activation="relu"),
    ],
    refuses=lambda s: [
        Refusal((s(3, 6), s(5, 4), s(5)), {}, ValueError, r"linear: expected an input with 4 features .* got 6"),
        Refusal((s(3, 4), s(5, 4), s(3)), {}, ValueError, r"linear: expected a bias of shape \(5,\), got \(3,\)"),
    ],
    reference=lambda x, w, b, activation=None: np.maximum(
        x @ w.T + (0 if b is None else b), 0 if activation == "relu" else -np.inf
    ),
    oracle=lambda t, x, w, b, activation=None: (t.relu if activation else lambda y: y)(
        t.nn.functional.linear(x, w, b)
    ),
)
def linear(x: Array, weight: Array, bias: Array | None, /, activation: str | None = None) -> Array:
    """`activation(x @ weight^T + bias)`: x (..., in), weight (out, in), bias (out,) -> (..., out).

    Bias and activation (None or "relu") are applied while the product is still in registers.
    """
    x, weight = promote(x, weight)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: expected an input with {weight.shape[1]} features in its last dimension, "
            f"got {x.shape[-1] if x.ndim else 'none'} (input {x.shape}, weight {weight.shape})."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if bias is not None and bias.dtype != weight.dtype:
        bias = bias.astype(weight.dtype)
    if x.ndim == 2:
        return kernels.gemm(x, weight.T, bias, activation)
    rows = x.reshape(-1, x.shape[-1]) if x.size else np.empty((int(np.prod(x.shape[:-1])), x.shape[-1]), x.dtype)
    return kernels.gemm(rows, weight.T, bias, activation).reshape(*x.shape[:-1], weight.shape[0])


@linear.gradient
def _(ctx: Node, g: Any) -> Any:
    x, weight = ctx[0], ctx[1]
    if ctx.params.get("activation") == "relu":
        g = relu_grad(g, ctx.output)
    if g.ndim != 2:
        g_rows, x_rows = g.reshape((-1, weight.shape[0])), x.reshape((-1, weight.shape[1]))
    else:
        g_rows, x_rows = g, x
    return (
        matrix_product(g_rows, weight).reshape(x.shape) if ctx.needs[0] else None,
        matmul_grad_b(g_rows, x_rows) if ctx.needs[1] else None,
        g_rows.sum(0) if ctx.needs[2] else None,
    )


def matmul(a: Any, b: Any) -> Any:
    """Matrix product with PyTorch's rules: vectors are treated as a row on the left and as a column on the right.

    (n) @ (n) -> (); (m, k) @ (k) -> (m); (k) @ (k, n) -> (n); (..., m, k) @ (..., k, n) -> (..., m, n).
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: expected at least one dimension each, got shapes {a.shape} and {b.shape}; use *")
    if a.ndim >= 2 and b.ndim >= 2:
        return apply(matrix_product, (a, b), {})
    row, column = a.ndim == 1, b.ndim == 1
    if a.shape[-1] != b.shape[0 if column else -2]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit: expected {a.shape[-1]} rows on the right")
    product = matrix_product(a.reshape(1, -1) if row else a, b.reshape(-1, 1) if column else b)
    shape = product.shape[: -2 if row else -1] + (() if column else product.shape[-1:])
    return product.reshape(shape)


def bmm(a: Any, b: Any) -> Any:
    """A batch of matrix products: (n, i, k) @ (n, k, j) -> (n, i, j), without broadcasting."""
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0]:
        raise ValueError(f"bmm: expected two batches (n, i, k) and (n, k, j) of one length, got {a.shape} and {b.shape}")
    return matrix_product(a, b)


def mm(a: Any, b: Any) -> Any:
    """The product of two matrices, (i, k) @ (k, j) -> (i, j)."""
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"mm: expected two matrices, got shapes {a.shape} and {b.shape}; matmul takes batches")
    return matrix_product(a, b)


def dot(a: Any, b: Any) -> Any:
    """The inner product of two vectors of one length.

    >>> import tinytorch as tt
    >>> tt.dot(tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0]))
    tensor(11.)
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: expected two vectors of one length, got shapes {a.shape} and {b.shape}")
    return matmul(a, b)


def outer(a: Any, b: Any) -> Any:
    """All products of the elements of two vectors: (i,), (j,) -> (i, j).

    >>> import tinytorch as tt
    >>> tt.outer(tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {a.shape} and {b.shape}")
    return a.reshape(-1, 1) * b


def addmm(x: Any, a: Any, b: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """`beta * x + alpha * (a @ b)`."""
    product = mm(a, b)
    product = product if alpha == 1.0 else product * alpha
    return product + (x if beta == 1.0 else x * beta)
