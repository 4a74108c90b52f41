"""A linear layer and the activation behind it in one launch, each row panel while it is in the first cache.

`gemm` applies a ReLU in registers, which costs nothing.  A GELU takes a polynomial for each number, so it
comes after the tiles: as soon as a panel of a few rows of the product is complete, it is read again from the
first-level cache, and what the activation makes of it goes to an array of its own, because the gradient needs
the product itself.

The loops are those of `gemm` for rows that are contiguous, so the product has the same bits.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels import activations
from tinytorch.kernels._jit import bind
from tinytorch.kernels.gemm import DEPTH, PARALLEL_WORK, WIDTH, Scratch, _column_parts, gemm
from tinytorch.kernels.linear import tuple_item
from tinytorch.kernels.maps import f
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import (
    data_address,
    even,
    first_length,
    matrix,
    pack_columns,
    panel_bytes,
    rounded,
)
from tinytorch.kernels.parallel import ASK, call, jobs_of
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, elements, size_of, store
from tinytorch.kernels.tiles import tiles

ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


def _rows_share(source, target, row_step, rows, columns, unused, part, parts):
    """f of every number of `rows` rows at `source`, to `target`; both lie `row_step` bytes apart."""
    for i in range(rows):
        x = elements(source + i * row_step, columns, ZERO)
        y = elements(target + i * row_step, columns, ZERO)
        for j in range(columns):
            y[j] = f(x[j])
    return 0


def _share(arrays_id, bias_id, activation, unused, unused_too, unused_as_well, part, parts):
    """Compute the rectangle that is number `part` of `parts`, or say how much scratch is missing.

    `arrays_id` is the id of a tuple: x, weight, where the product goes, where the result goes, scratch.
    `bias_id` is 0 where there is none; `activation` is the address of `_rows_share`.
    """
    size = size_of(ZERO)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    x, _, m, k, x_row, _ = matrix(tuple_item(arrays_id, 0), size)
    weight, _, n, _, w_row, w_k = matrix(tuple_item(arrays_id, 1), size)
    product, result = data_address(tuple_item(arrays_id, 2)), data_address(tuple_item(arrays_id, 3))
    scratch, c_row = tuple_item(arrays_id, 4), n * size

    kc = rounded(even(k, DEPTH // size), lanes)
    vectors = (n + lanes - 1) // lanes
    across = _column_parts(m, vectors, 1, parts, 0, 32)
    down = parts // across
    nc = min((vectors + across - 1) // across, WIDTH // VECTOR_BYTES) * lanes
    bytes_a_part = PANEL + (nc + panel - 1) // panel * panel_bytes(kc) + lanes * PANEL
    missing = 64 + parts * bytes_a_part - first_length(scratch)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    first, last = m * (part // across) // down, m * (part // across + 1) // down
    left = vectors * (part % across) // across * lanes
    right = min(n, vectors * (part % across + 1) // across * lanes)
    bias, bias_col = (data_address(scratch) + 63) // 64 * 64 + part * bytes_a_part, 0
    packed = bias + PANEL
    for j in range(panel):
        store(bias + j * size, ZERO)
    if bias_id != 0:
        bias, bias_col = data_address(bias_id), size

    tall = even(last - first, ROWS) if first < last else 1
    for k0 in range(0, k, kc):
        depth = min(kc, k - k0)
        for j0 in range(left, right, nc):
            columns = min(nc, right - j0)
            pack_columns(weight + j0 * w_row + k0 * w_k, w_k, w_row, depth, columns, packed, ZERO, size)
            for i in range(first, last, tall):
                rows = min(tall, last - i)
                a, z = x + i * x_row + k0 * size, product + i * c_row + j0 * size
                start, start_row, start_col = z, c_row, size
                if k0 == 0:
                    start, start_row, start_col = bias + j0 * bias_col, 0, bias_col
                whole = columns // panel
                if whole:
                    tiles(
                        rows, panel, whole, a, x_row, size, packed, PANEL, panel_bytes(depth),
                        start, start_row, panel * start_col, z, c_row, depth, LOWEST,
                    )  # fmt: skip
                last_panel = packed + whole * panel_bytes(depth)
                for j in range(whole * panel, columns, lanes):  # a whole vector, and a part of one
                    tiles(
                        rows, min(lanes, columns - j), 1, a, x_row, size,
                        last_panel + j % panel * size, rounded(columns % panel, lanes) * size, 0,
                        start + j * start_col, start_row, 0, z + j * size, c_row, depth, LOWEST,
                    )  # fmt: skip
                if k0 + kc >= k:
                    there = result + i * c_row + j0 * size
                    call(activation, z, there, c_row, rows, columns, 0, 0, 0)
    return 0


_jobs = jobs_of(_share, "linear_epilogue")
_ACTIVATIONS = {
    "gelu": (activations.gelu_of, activations.gelu),
    "gelu_tanh": (activations.gelu_tanh_of, lambda x: activations.gelu(x, tanh=True)),
}
_rows_jobs = {
    name: jobs_of(bind(_rows_share, f"{name}_rows", f=of), f"{name}_rows")
    for name, (of, _) in _ACTIVATIONS.items()
}
_scratch = Scratch()


def linear_activation(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, activation: str
) -> tuple[np.ndarray, np.ndarray]:
    """y = activation(h) with h = x @ weight.T + bias; returns (y, h).

    x (m, k), weight (n, k) of any strides, bias (n,) or None, all of one type; y and h (m, n).
    activation: "gelu", or "gelu_tanh" for its approximation.

    Where there are few rows, or x has rows that are not contiguous, it is `gemm` and then the activation.

    >>> y, h = linear_activation(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]]), None, "gelu_tanh")
    >>> y.round(3), h
    (array([[2.996]]), array([[3.]]))
    """
    (m, k), n, dtype = x.shape, len(weight), x.dtype
    in_panels = m >= ROWS and n > 1 and k and x.strides[1] == dtype.itemsize and dtype in _jobs
    if not in_panels or dtype is not weight.dtype or (bias is not None and bias.dtype is not dtype):
        h = gemm(x, weight.T, bias)
        return _ACTIVATIONS[activation][1](h), h
    if bias is not None:
        bias = np.ascontiguousarray(bias)
    h, y = empty((m, n), dtype), empty((m, n), dtype)
    job, address = _jobs[dtype], _rows_jobs[activation][dtype].address
    while True:
        arrays = x, weight, h, y, _scratch.buffer
        start = 0 if bias is None else id(bias)
        if m * n * k < PARALLEL_WORK:
            missing = job.alone(id(arrays), start, address, 0, 0, 0, 0, 1)
        else:
            missing = job.together(id(arrays), start, address, 0, 0, 0)
        if not missing:
            return y, h
        _scratch.grow(missing)
