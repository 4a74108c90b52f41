"""Matrix products and the linear layer, each gradient a kernel of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.modes import modes
from tinytorch.autograd.registry import Node, Refusal, Sample, apply, as_tensors, new_tensor, op
from tinytorch.kernels import gemm as kernels
from tinytorch.kernels.epilogue import linear_activation
from tinytorch.kernels.linear import linear_grad
from tinytorch.ops.activation import gelu_grad, naive_gelu
from tinytorch.ops.common import Array, promote
from tinytorch.ops.rectifier import relu_grad
from tinytorch.ops.reduce import sum_to

_GELU = {"gelu": "none", "gelu_tanh": "tanh"}  # activation of a linear layer -> `approximate` of `gelu`
_ACTIVATION_COST = {None: 0, "relu": 1, "gelu": 8, "gelu_tanh": 8}


def _flops(a: Array, b: Array, out: Array) -> float:
    return 2.0 * out.size * a.shape[-1]


def _batches(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4), s(4, 5)),
        Sample(s(2, 3, 4), s(2, 4, 5)),
        Sample(s(2, 3, 4), s(4, 5)),
        Sample(s(3, 4), s(2, 4, 5)),
        Sample(s(2, 1, 3, 4), s(5, 4, 2)),
        Sample(s(1, 3, 4), s(2, 4, 5)),
        Sample(s(2, 2, 3, 4), s(2, 2, 4, 5)),
        Sample(s(0, 3, 4), s(4, 5)),
        Sample(s(3, 0), s(0, 2)),
        Sample(s(0, 3), s(3, 2)),
    ]


def _product(a: Array, b: Array) -> Array:
    """`a @ b` of matrices or batches of them, which broadcast; transposes are read through strides."""
    if a.dtype.kind != "f":
        return a @ b
    if b.ndim == 2:
        if a.ndim == 2:
            return kernels.gemm(a, b)
        return kernels.gemm(_as_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
    lead = a.shape[:-2]
    if lead != b.shape[:-2]:
        lead = _common_batches(a, b)
    batches = math.prod(lead)
    a, b = (x if x.ndim == 3 and len(lead) == 1 else _as_batch(x, lead, batches) for x in (a, b))
    return kernels.bmm(a, b).reshape(*lead, a.shape[1], b.shape[2])


def _common_batches(a: Array, b: Array) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: batches {a.shape[:-2]} and {b.shape[:-2]} do not broadcast, of {a.shape} and {b.shape}"
        ) from None


def _as_rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _as_batch(x: Array, lead: tuple[int, ...], batches: int) -> Array:
    """The matrices of `x`, repeated to the batch shape `lead`, as one batch; one matrix is not copied."""
    if x.ndim == 2 or x.shape[:-2] == (1,) * (x.ndim - 2):
        return x.reshape(1, *x.shape[-2:]) if batches else np.empty((0, *x.shape[-2:]), x.dtype)
    if x.shape[:-2] != lead:
        x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    return x.reshape(batches, *x.shape[-2:])


@op(
    name="matmul",
    saves=(0, 1),
    cost=_flops,
    samples=_batches,
    refuses=lambda s: [
        Refusal((s(3, 4), s(5, 2)), {}, ValueError, r"matmul: .* \(3, 4\) and \(5, 2\).*4 columns.*5 rows"),
        Refusal(
            (s(2, 3, 4), s(3, 4, 2)), {}, ValueError, r"matmul: batches \(2,\) and \(3,\) do not broadcast"
        ),
    ],
    reference=np.matmul,
    oracle=lambda t, a, b: a @ b,
)
def matrix_product(a: Array, b: Array, /) -> Array:
    """`a @ b` for two or more dimensions: (..., m, k) @ (..., k, n) -> (..., m, n); batches broadcast."""
    a, b = promote(a, b)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the first has {a.shape[-1]} columns, "
            f"the second {b.shape[-2]} rows. Expected them to be equal; is a transpose missing?"
        )
    return _product(a, b)


@matrix_product.gradient
def _(ctx: Node, g: Any) -> Any:
    a, b = ctx[0], ctx[1]
    if b.ndim == 2 < a.ndim:  # one matrix for all rows: one product, not a batch of them to be added up
        a, rows = a.reshape((-1, a.shape[-1])) if ctx.needs[1] else a, g.reshape((-1, g.shape[-1]))
    else:
        rows = g
    return matmul_grad_a(g, b) if ctx.needs[0] else None, matmul_grad_b(a, rows) if ctx.needs[1] else None


@op(
    saves=(0, 1),
    cost=lambda g, b, out: 2.0 * out.size * b.shape[-1],
    samples=lambda s: [Sample(s(3, 5), s(4, 5)), Sample(s(2, 3, 5), s(2, 4, 5)), Sample(s(2, 3, 5), s(4, 5))],
    reference=lambda g, b: g @ np.swapaxes(b, -1, -2),
    oracle=lambda t, g, b: g @ b.transpose(-1, -2),
)
def matmul_grad_a(g: Array, b: Array, /) -> Array:
    """`g @ b^T`: the gradient of `a @ b` to `a`. The transpose is read through strides."""
    return _product(*promote(g, np.swapaxes(b, -1, -2)))


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
    return _product(*promote(np.swapaxes(a, -1, -2), g))


@matmul_grad_b.gradient
def _(ctx: Node, h: Any) -> Any:
    return (
        matmul_grad_a(ctx[1], h) if ctx.needs[0] else None,
        matrix_product(ctx[0], h) if ctx.needs[1] else None,
    )


def _naive_linear(x: Array, w: Array, b: Array | None, activation: str | None = None) -> Array:
    out = x @ w.T + (0 if b is None else b)
    if activation == "relu":
        return np.maximum(out, 0)
    return out if activation is None else naive_gelu(out, _GELU[activation])


def _linear_oracle(t: Any, x: Any, w: Any, b: Any, activation: str | None = None) -> Any:
    out = t.nn.functional.linear(x, w, b)
    if activation == "relu":
        return t.relu(out)
    return out if activation is None else t.nn.functional.gelu(out, approximate=_GELU[activation])


@op(
    extras=True,
    saves=("output", 0, 1, 2),
    output_if="activation",
    cost=lambda x, weight, bias, *, out, activation=None: (
        out.size * (2.0 * weight.shape[1] + (bias is not None) + _ACTIVATION_COST[activation])
    ),
    samples=lambda s: [
        Sample(s(3, 4), s(5, 4), s(5)),
        Sample(s(3, 4), s(5, 4), None),
        Sample(s(2, 3, 4), s(5, 4), s(5)),
        Sample(s(4), s(5, 4), s(5)),
        Sample(s(0, 4), s(5, 4), s(5)),
        Sample(s(3, 4), s(5, 4), s(5) + np.array(6.0), activation="relu"),
        Sample(s(3, 4), s(5, 4), s(5), activation="gelu"),
        Sample(s(2, 9, 4), s(5, 4), None, activation="gelu_tanh"),
        Sample(s(0, 4), s(5, 4), s(5), activation="gelu_tanh"),
    ],
    refuses=lambda s: [
        Refusal(
            (s(3, 6), s(5, 4), s(5)), {}, ValueError, r"linear: expected an input with 4 features .* got 6"
        ),
        Refusal(
            (s(3, 4), s(5, 4), s(3)), {}, ValueError, r"linear: expected a bias of shape \(5,\), got \(3,\)"
        ),
        Refusal(
            (s(3, 4), s(5, 4), s(5)),
            {"activation": "tanh"},
            ValueError,
            "linear: expected activation None, 'relu', 'gelu' or 'gelu_tanh', got 'tanh'",
        ),
    ],
    reference=_naive_linear,
    oracle=_linear_oracle,
)
def linear(
    x: Array, weight: Array, bias: Array | None, /, activation: str | None = None
) -> tuple[Array, Array | None]:
    """`activation(x @ weight^T + bias)`: x (..., in), weight (out, in), bias (out,) -> (..., out).

    activation: None, "relu", "gelu", or "gelu_tanh" for GELU's approximation. It is applied while the product
    is in registers or the first-level cache. For the gradient a GELU keeps what it was given, a ReLU its
    result.
    """
    if x.dtype is not weight.dtype:
        x, weight = promote(x, weight)
    if x.shape[-1:] != weight.shape[1:]:
        raise ValueError(
            f"linear: expected an input with {weight.shape[1]} features in its last dimension, "
            f"got {x.shape[-1] if x.ndim else 'none'} (input {x.shape}, weight {weight.shape})."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if bias is not None and bias.dtype != weight.dtype:
        bias = bias.astype(weight.dtype)
    given = None
    rows = x if x.ndim == 2 else _as_rows(x)
    if activation is None or activation == "relu":
        out = kernels.gemm(rows, weight.T, bias, activation)
    elif activation in _GELU:
        out, given = linear_activation(rows, weight, bias, activation)
    else:
        raise ValueError(
            f"linear: expected activation None, 'relu', 'gelu' or 'gelu_tanh', got {activation!r}"
        )
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], weight.shape[0]), given


@linear.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    x, weight, activation = ctx[0], ctx[1], ctx.params.get("activation")
    shape = x.shape
    if len(shape) != 2:
        g, x = g.reshape((-1, weight.shape[0])), x.reshape((-1, weight.shape[1]))
    if ctx.arrays:
        return _linear_grad_on_arrays(ctx, g, x, weight, activation, shape)
    if activation == "relu":
        g = relu_grad(g, ctx.output.reshape(g.shape))
    elif activation is not None:
        given = linear(x, weight, ctx.get(2)) if modes.grad else new_tensor(ctx.extras)
        g = gelu_grad(g, given, approximate=_GELU[activation])
    needs_x, needs_weight, needs_bias = ctx.needs
    return (
        matrix_product(g, weight).reshape(shape) if needs_x else None,
        matmul_grad_b(g, x) if needs_weight else None,
        sum_to(g, shape=g.shape[1:]) if needs_bias else None,
    )


def _linear_grad_on_arrays(
    ctx: Node, g: Array, x: Array, weight: Array, activation: str | None, shape: tuple[int, ...]
) -> Any:
    kept = ctx.output.reshape(g.shape) if activation == "relu" else ctx.extras
    gradients = linear_grad(g, x, weight, ctx.needs, activation, kept)
    if gradients is None:
        return NotImplemented
    to_x, to_weight, to_bias = gradients
    return to_x if to_x is None else to_x.reshape(shape), to_weight, to_bias


def matmul(a: Any, b: Any) -> Any:
    """Matrix product by PyTorch's rules: a vector is a row on the left and a column on the right.

    (n) @ (n) -> (); (m, k) @ (k) -> (m); (k) @ (k, n) -> (n); (..., m, k) @ (..., k, n) -> (..., m, n).

    >>> import tinytorch as tt
    >>> tt.matmul(tt.tensor([[1.0, 2.0]]), tt.tensor([3.0, 4.0]))
    tensor([11.])
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(
            f"matmul: expected at least one dimension each, got shapes {a.shape} and {b.shape}; use *"
        )
    if a.ndim >= 2 and b.ndim >= 2:
        return apply(matrix_product, (a, b), {})
    row, column = a.ndim == 1, b.ndim == 1
    if a.shape[-1] != b.shape[0 if column else -2]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: expected {a.shape[-1]} rows on the right"
        )
    product = matrix_product(a.reshape(1, -1) if row else a, b.reshape(-1, 1) if column else b)
    shape = product.shape[: -2 if row else -1] + (() if column else product.shape[-1:])
    return product.reshape(shape)


def bmm(a: Any, b: Any) -> Any:
    """A batch of matrix products: (n, i, k) @ (n, k, j) -> (n, i, j), without broadcasting.

    >>> import tinytorch as tt
    >>> tt.bmm(tt.ones(2, 1, 3), tt.ones(2, 3, 4)).shape
    (2, 1, 4)
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0]:
        raise ValueError(
            f"bmm: expected two batches (n, i, k) and (n, k, j) of one length, got {a.shape} and {b.shape}"
        )
    return matrix_product(a, b)


def mm(a: Any, b: Any) -> Any:
    """The product of two matrices, (i, k) @ (k, j) -> (i, j).

    >>> import tinytorch as tt
    >>> tt.mm(tt.ones(1, 3), tt.ones(3, 2))
    tensor([[3., 3.]])
    """
    a, b = as_tensors(matrix_product, (a, b))
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(
            f"mm: expected two matrices, got shapes {a.shape} and {b.shape}; matmul takes batches"
        )
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
    """`beta * x + alpha * (a @ b)`.

    >>> import tinytorch as tt
    >>> tt.addmm(tt.ones(2, 2), tt.eye(2), tt.eye(2), alpha=2.0)
    tensor([[3., 1.],
            [1., 3.]])
    """
    product = mm(a, b)
    product = product if alpha == 1.0 else product * alpha
    return product + (x if beta == 1.0 else x * beta)
