"""The way back through a linear layer: activation and sums for the bias in one pass, then both products.

A small layer, of a few thousand numbers, takes less time to compute than to start four kernels for.  There
one launch does it all: the calling thread masks the gradient of a relu and adds up its columns, then all
threads do their shares of both products: the loops of `activations`, `reduce_loops` and `gemm`, with the same
bits.

In a large one a launch before that of the products takes the gradient through the activation, and adds up
the columns of what it has just written, in the pieces and with the bits of `reduce_loops`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange

from tinytorch.kernels import activations, gemm, reduce, reduce_loops
from tinytorch.kernels._jit import bind, kernel
from tinytorch.kernels.maps import READY, SERIAL, f, ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, first_length
from tinytorch.kernels.parallel import ASK, call, jobs_of
from tinytorch.kernels.reduce_loops import NARROW, PIECE
from tinytorch.kernels.simd import elements, word

INPUT, WEIGHT, BIAS, RELU = 1, 2, 4, 8  # what is wanted, and whether the gradient passes a relu first
_ITEMS = tuple.__basicsize__  # where the pointers to the items of a tuple begin
_sum_rows, _sum_columns = reduce_loops.sum_rows[0], reduce_loops.sum_columns[0]
ZERO = np.float32(0)  # bound anew for each type


@kernel(inline=True)
def tuple_item(items, i):
    """Id of item `i` of the tuple with this id."""
    return word(items + _ITEMS + 8 * i)


def _share(arrays_id, product, wanted, unused, unused_too, unused_as_well, part, parts):
    """Share `part` of `parts` of the products; before the first of them, what both depend on.

    `arrays_id` is the id of a tuple of arrays, in the order of `linear_grad`; `product` is the address of
    gemm's share.  The products have scratch of their own: a thread may be at one while another is at the
    other.
    """
    g, y, masked, masked_t, x, weight = (
        tuple_item(arrays_id, 0), tuple_item(arrays_id, 1), tuple_item(arrays_id, 2),
        tuple_item(arrays_id, 3), tuple_item(arrays_id, 4), tuple_item(arrays_id, 5),
    )  # fmt: skip
    g_x, g_weight, g_bias = tuple_item(arrays_id, 6), tuple_item(arrays_id, 7), tuple_item(arrays_id, 8)
    if part == ASK or parts == 1:
        rows, columns = first_length(masked), first_length(masked_t)
        through = elements(data_address(masked), rows * columns, ZERO)
        if wanted & RELU:
            incoming = elements(data_address(g), rows * columns, ZERO)
            output = elements(data_address(y), rows * columns, ZERO)
            for i in range(through.size):
                through[i] = ZERO if output[i] <= 0 else incoming[i]
        if wanted & BIAS:
            sums = elements(data_address(g_bias), columns, ZERO)
            if columns == 1:
                _sum_rows(through.reshape((1, rows)), 1.0, sums)
            else:
                _sum_columns(through.reshape((1, rows, columns)), 1.0, sums.reshape((1, columns)))
    missing = 0
    if wanted & WEIGHT:
        scratch = tuple_item(arrays_id, 9)
        missing = call(product, masked_t, x, g_weight, 0, scratch, 0, part, parts)
    if wanted & INPUT:
        scratch = tuple_item(arrays_id, 10)
        missing = max(missing, call(product, masked, weight, g_x, 0, scratch, 0, part, parts))
    return missing


def _through_activation(g, kept, out, sums):
    """out = f(g, kept), both (n, m); sums = the sums of its columns."""
    n, m = g.shape
    length = max(16, PIECE // m)
    partial = np.zeros(((n + length - 1) // length, m))
    for piece in prange(partial.shape[0]):  # owns partial[piece] and `length` rows of out
        first, last = piece * length, min(n, (piece + 1) * length)
        total = partial[piece]
        for i in range(first, last):
            g_row, kept_row, row = g[i], kept[i], out[i]
            for j in range(m):
                row[j] = f(g_row[j], kept_row[j])
            done = i + 1 - first
            if done % 4 == 0:  # four rows for each time the sums are loaded and stored
                a, b, c, d = out[i - 3], out[i - 2], out[i - 1], out[i]
                for j in range(m):
                    total[j] += (np.float64(a[j]) + np.float64(b[j])) + (np.float64(c[j]) + np.float64(d[j]))
        for i in range(first + (last - first) // 4 * 4, last):
            row = out[i]
            for j in range(m):
                total[j] += row[j]
    for j in range(m):
        total_of_all = 0.0
        for piece in range(partial.shape[0]):
            total_of_all += partial[piece, j]
        sums[j] = total_of_all


_jobs = jobs_of(_share, "linear_grad")
_scratch = gemm.Scratch(), gemm.Scratch()
_ALONE = {
    "relu": activations.relu_grad,
    "gelu": activations.gelu_grad,
    "gelu_tanh": lambda g, x: activations.gelu_grad(g, x, tanh=True),
}
_passes = {
    name: kernel(bind(_through_activation, f"linear_{name}_grad", f=of), parallel=True)
    for name, of in (
        ("relu", activations.relu_grad_of),
        ("gelu", activations.gelu_grad_of),
        ("gelu_tanh", activations.gelu_tanh_grad_of),
    )
}


def linear_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    needs: Sequence[bool],
    activation: str | None = None,
    kept: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None] | None:
    """Gradients of `activation(x @ weight.T + bias)` to x, weight and bias, those that `needs` says.

    g (n, out): the gradient of the result.  x (n, in), weight (out, in): of any strides.
    activation: None, "relu", "gelu" or "gelu_tanh"; kept (n, out): the result of a relu, or what a gelu was
    given.

    None where this is not the way: where there are no numbers, or of several types.

    >>> g, x, weight = np.ones((2, 1)), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])
    >>> linear_grad(g, x, weight, (True, True, True))
    (array([[5., 6.],
           [5., 6.]]), array([[4., 6.]]), array([2.]))
    """
    dtype, numbers, inputs = g.dtype, g.size, x.shape[1]
    if not (numbers and inputs and dtype in _jobs) or dtype is not x.dtype or dtype is not weight.dtype:
        return None
    needs_x, needs_weight, needs_bias = needs
    if g.flags.num & READY != READY:
        g = ready(g)
    wanted, masked = 0, g
    g_x = g_weight = g_bias = None
    if activation is not None:
        assert kept is not None
        kept = ready(kept)
        if numbers > SERIAL and 2 * len(weight) > NARROW:
            masked, g_bias = empty(g.shape, dtype), np.empty(len(weight), dtype)
            _passes[activation](g, kept, masked, g_bias)
        elif numbers > SERIAL or activation != "relu":
            masked = _ALONE[activation](g, kept)
        else:
            wanted, masked = RELU, empty(g.shape, dtype)
    if needs_bias and g_bias is None:
        if numbers > SERIAL:
            g_bias = reduce.sum(masked, 0)
        else:
            wanted, g_bias = wanted | BIAS, np.empty(len(weight), dtype)
    if needs_x:
        wanted, g_x = wanted | INPUT, empty(x.shape, dtype)
    if needs_weight:
        wanted, g_weight = wanted | WEIGHT, empty(weight.shape, dtype)
    job, product = _jobs[dtype], gemm.jobs[dtype]
    first, second = _scratch
    parallel = numbers * inputs * (needs_x + needs_weight) >= gemm.PARALLEL_WORK
    while True:
        arrays = (
            g, kept, masked, masked.T, x, weight, g_x, g_weight, g_bias, first.buffer, second.buffer
        )  # fmt: skip
        if parallel:
            missing = job.together(id(arrays), product.address, wanted, 0, 0, 0)
        else:
            missing = job.alone(id(arrays), product.address, wanted, 0, 0, 0, 0, 1)
        if not missing:
            return g_x, g_weight, g_bias if needs_bias else None
        first.grow(missing)
        second.grow(missing)
