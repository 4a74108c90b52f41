"""The way back through a small linear layer in one launch: relu, both products and the sums for the bias.

A layer of a few thousand numbers takes less time to compute than to start four kernels for.  Here the calling
thread masks the gradient and adds up its columns, then all threads do their shares of both products: the
loops of `activations`, `reduce_loops` and `gemm`, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.kernels import gemm, reduce_loops
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import READY, SERIAL
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import data_address, first_length
from tinytorch.kernels.parallel import ASK, call, jobs_of
from tinytorch.kernels.simd import elements, word

INPUT, WEIGHT, BIAS, RELU = 1, 2, 4, 8  # what is wanted, and whether the gradient passes a relu first
_ITEMS = tuple.__basicsize__  # where the pointers to the items of a tuple begin
_sum_rows, _sum_columns = reduce_loops.sum_rows[0], reduce_loops.sum_columns[0]
ZERO = np.float32(0)  # bound anew for each type


@kernel(inline=True)
def _item(items, i):
    """Id of item `i` of the tuple with this id."""
    return word(items + _ITEMS + 8 * i)


def _share(arrays_id, product, wanted, unused, unused_too, unused_as_well, part, parts):
    """Share `part` of `parts` of the products; before the first of them, what both depend on.

    `arrays_id` is the id of a tuple of arrays, in the order of `linear_grad`; `product` is the address of
    gemm's share.  The products have scratch of their own: a thread may be at one while another is at the
    other.
    """
    g, y, masked, masked_t, x, weight = (
        _item(arrays_id, 0), _item(arrays_id, 1), _item(arrays_id, 2), _item(arrays_id, 3),
        _item(arrays_id, 4), _item(arrays_id, 5),
    )  # fmt: skip
    g_x, g_weight, g_bias = _item(arrays_id, 6), _item(arrays_id, 7), _item(arrays_id, 8)
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
        scratch = _item(arrays_id, 9)
        missing = call(product, masked_t, x, g_weight, 0, scratch, 0, part, parts)
    if wanted & INPUT:
        scratch = _item(arrays_id, 10)
        missing = max(missing, call(product, masked, weight, g_x, 0, scratch, 0, part, parts))
    return missing


_jobs = jobs_of(_share, "linear_grad")
_scratch = gemm.Scratch(), gemm.Scratch()


def linear_grad(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray, y: np.ndarray | None, needs: Sequence[bool]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None] | None:
    """Gradients of `x @ weight.T + bias` to x, weight and bias, those that `needs` says.

    g (n, out): the gradient of the result.  x (n, in), weight (out, in): of any strides.
    y (n, out): the result, C-contiguous, where it passed a relu; None where it did not.

    None where this is not the way: for more than 32,768 numbers in g or none at all, for a g that is not
    contiguous, or for several types.

    >>> g, x, weight = np.ones((2, 1)), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])
    >>> linear_grad(g, x, weight, None, (True, True, True))
    (array([[5., 6.],
           [5., 6.]]), array([[4., 6.]]), array([2.]))
    """
    dtype, numbers, inputs = g.dtype, g.size, x.shape[1]
    if not (0 < numbers <= SERIAL and inputs and g.flags.num & READY == READY and dtype in _jobs):
        return None
    if dtype is not x.dtype or dtype is not weight.dtype:
        return None
    needs_x, needs_weight, needs_bias = needs
    wanted, masked = 0, g
    if y is not None:
        wanted, masked = RELU, empty(g.shape, dtype)
    g_x = g_weight = g_bias = None
    if needs_x:
        wanted, g_x = wanted | INPUT, empty(x.shape, dtype)
    if needs_weight:
        wanted, g_weight = wanted | WEIGHT, empty(weight.shape, dtype)
    if needs_bias:
        wanted, g_bias = wanted | BIAS, np.empty(len(weight), dtype)
    job, product = _jobs[dtype], gemm.jobs[dtype]
    first, second = _scratch
    parallel = numbers * inputs * (needs_x + needs_weight) >= gemm.PARALLEL_WORK
    while True:
        arrays = (
            g, y, masked, masked.T, x, weight, g_x, g_weight, g_bias, first.buffer, second.buffer
        )  # fmt: skip
        if parallel:
            missing = job.together(id(arrays), product.address, wanted, 0, 0, 0)
        else:
            missing = job.alone(id(arrays), product.address, wanted, 0, 0, 0, 0, 1)
        if not missing:
            return g_x, g_weight, g_bias
        first.grow(missing)
        second.grow(missing)
