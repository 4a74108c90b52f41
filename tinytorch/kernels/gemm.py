"""Matrix products: c = activation(a @ b + bias), their gradients, and batches of them.

The scheme is Goto's (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008), turned so
that one parallel region does everything: each thread has a rectangle of c, walks over blocks of k, packs its own
block of b into panels as wide as the register tile (they fill half the second-level cache), and then takes row panel
after row panel of a, copied into the first-level cache, past all of them.  Nothing is packed that can be
read in place, and packing reads through the strides, so a transpose costs no copy.

The blocks of k depend on k alone and every element is summed in the order of k: the same bits for any number
of threads, for one element or a thousand beside it, for any layout of the operands.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tinytorch.kernels._jit import bind, kernel
from tinytorch.kernels.memory import empty
from tinytorch.kernels.packing import (
    PANEL,
    data_address,
    entries,
    first_length,
    matrix,
    pack_columns,
    pack_rows,
    panel_bytes,
    rounded,
    row_panel_bytes,
)
from tinytorch.kernels.parallel import ASK, address_of, on_all_threads
from tinytorch.kernels.simd import ROWS, VECTOR_BYTES, size_of, tile

DEPTH = 1536  # bytes of k in a block: 384 float32, so that a row panel of a takes 18 of 32 KiB
WIDTH = 2048  # bytes of n in a block, which then takes 3/4 of a second-level cache of 1 MiB
GROUP = 4  # row panels of a packed at a time: fewer pages to look up where a is transposed
DIRECT_ROWS = 48  # with fewer rows of c, packing b costs more than it gains
DIRECT_COLUMNS = 128  # with fewer columns of c, packing a costs more than it gains
PARALLEL_WORK = 200_000  # multiply-adds from which two threads beat one

ACTIVATIONS = (None, "relu")
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


@kernel(inline=True)
def _even(length, most):
    """The longest of the fewest nearly equal pieces of at most `most` that make up `length`."""
    pieces = (length + most - 1) // most
    return (length + pieces - 1) // pieces


@kernel(inline=True)
def _column_parts(rows, columns, batch, parts, lanes):
    """Into how many column ranges to cut c for `parts` threads; the rest of the factor `parts` cuts rows.

    Counts vector multiply-adds a thread, with eight more a vector for packing b and a fifth a row for packing a.
    """
    vectors = (columns + lanes - 1) // lanes
    best, least = 1, -1
    for across in range(1, parts + 1):
        if parts % across == 0:
            down = parts // across
            tall, wide = (rows + down - 1) // down, (vectors + across - 1) // across
            cost = 5 * tall * wide + 40 * wide * ((batch + down - 1) // down) + tall
            if least < 0 or cost < least:
                best, least = across, cost
    return best


@kernel(inline=True)
def _bytes_needed(k, columns, lanes, size):
    """Bytes that one thread needs: a group of row panels of a, and a block of b with slack at the end."""
    kc = rounded(_even(k, DEPTH // size), lanes)
    panels = (min(columns, WIDTH // size) * size + PANEL - 1) // PANEL
    return GROUP * row_panel_bytes(kc, size) + panels * panel_bytes(kc) + lanes * PANEL


def _share(a_id, b_id, c_id, start_id, scratch_id, relu, part, parts):
    """Compute the rectangle of c that is number `part` of `parts`; its columns are whole vectors apart."""
    size = size_of(ZERO)
    lanes = VECTOR_BYTES // size
    a, a_entry, m, k, a_row, a_k = matrix(a_id, size)
    b, b_entry, _, n, b_k, b_col = matrix(b_id, size)
    c, c_entry, _, _, c_row, _ = matrix(c_id, size)
    batch = entries(c_id)
    missing = 64 + PANEL + parts * _bytes_needed(k, n, lanes, size) - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    across = _column_parts(batch * m, n, batch, parts, lanes)
    down = parts // across
    first, last = batch * m * (part // across) // down, batch * m * (part // across + 1) // down
    vectors = (n + lanes - 1) // lanes
    left, right = vectors * (part % across) // across * lanes, vectors * (part % across + 1) // across * lanes
    right = min(right, n)
    if first == last or left == right:
        return 0

    zeros = (data_address(scratch_id) + 63) // 64 * 64
    a_copy = zeros + PANEL + part * _bytes_needed(k, n, lanes, size)
    from_bias = start_id != c_id
    bias, bias_col = zeros, 0
    if start_id != 0 and start_id != c_id:
        bias, bias_col = data_address(start_id), size
    panel = PANEL // size
    kc = rounded(_even(k, DEPTH // size), lanes)
    ar_copy, ak_copy = size, size
    group = 1 if a_k == size else GROUP
    nc = min(WIDTH // size, rounded(_even(right - left, WIDTH // size), panel))
    b_copy = a_copy + GROUP * row_panel_bytes(kc, size)
    for j0 in range(left, right, nc):
        columns = min(nc, right - j0)
        row = first
        while row < last:
            entry = row // m
            i0 = row - entry * m
            height = min(m - i0, last - row)
            row += height
            direct = 0  # columns of b that are read in place: the tile wants whole vectors
            if b_col == size and height < DIRECT_ROWS:
                direct = columns if columns % lanes == 0 else columns // panel * panel
            tall = _even(height, ROWS)
            for k0 in range(0, k, kc):
                depth = min(kc, k - k0)
                b_block = b + entry * b_entry + k0 * b_k + j0 * b_col
                if direct < columns:
                    pack_columns(
                        b_block + direct * b_col, b_k, b_col, depth, columns - direct, b_copy, ZERO, size
                    )
                low = ZERO if relu and k0 + kc >= k else LOWEST
                for i in range(i0, i0 + height, tall):
                    rows = min(tall, i0 + height - i)
                    a_panel, ar, ak = a + entry * a_entry + i * a_row + k0 * a_k, a_row, a_k
                    if columns >= DIRECT_COLUMNS:
                        nth = (i - i0) // tall % group
                        if nth == 0:
                            many = min(group * tall, i0 + height - i)
                            ar_copy, ak_copy = pack_rows(
                                a_panel, a_row, a_k, many, tall, depth, a_copy, ZERO, size
                            )
                        a_panel, ar, ak = a_copy + nth * row_panel_bytes(depth, size), ar_copy, ak_copy
                    c_panel = c + entry * c_entry + i * c_row + j0 * size
                    for j in range(0, columns, panel):
                        width = min(panel, columns - j)
                        b_panel, bk = b_block + j * size, b_k
                        if j >= direct:
                            b_panel = b_copy + (j - direct) // panel * panel_bytes(depth)
                            bk = rounded(width, lanes) * size
                        c_at = c_panel + j * size
                        start, start_row = c_at, c_row
                        if from_bias and k0 == 0:
                            start, start_row = bias + (j0 + j) * bias_col, 0
                        tile(
                            rows, width, a_panel, ar, ak, b_panel, bk,
                            start, start_row, c_at, c_row, depth, low,
                        )  # fmt: skip
    return 0


_gemm = {
    _F32: kernel(bind(_share, "gemm_float32", ZERO=np.float32(0), LOWEST=np.float32(-np.inf))),
    _F64: kernel(bind(_share, "gemm_float64", ZERO=np.float64(0), LOWEST=np.float64(-np.inf))),
}
_gemm_address: dict[np.dtype, Any] = {}


class _Scratch(threading.local):
    """Each Python thread's buffer for packed panels; it begins with zeros that are never written over."""

    def __init__(self) -> None:
        self.buffer = np.zeros(1 << 14, np.uint8)

    def grow(self, missing: int) -> None:
        self.buffer = np.zeros(len(self.buffer) + missing, np.uint8)


_scratch = _Scratch()


def _refuse(name: str, a: np.ndarray, b: np.ndarray) -> None:
    raise TypeError(
        f"{name}: expected two float32 or two float64 arrays, got {a.dtype} and {b.dtype}. "
        "Convert one with .astype() first."
    )


def _multiply(a: np.ndarray, b: np.ndarray, c: np.ndarray, start: int, relu: int, work: int) -> None:
    """c = start + a @ b, where `start` is 0, the id of a bias, or the id of c; then the activation."""
    a_id, b_id, c_id = id(a), id(b), id(c)
    if work < PARALLEL_WORK:
        run = _gemm[c.dtype]
        while missing := run(a_id, b_id, c_id, start, id(_scratch.buffer), relu, 0, 1):
            _scratch.grow(missing)
    else:
        address = _gemm_address.get(c.dtype) or _address(c.dtype)
        while missing := on_all_threads(address, a_id, b_id, c_id, start, id(_scratch.buffer), relu):
            _scratch.grow(missing)


def _address(dtype: np.dtype) -> Any:
    return _gemm_address.setdefault(dtype, address_of(_gemm[dtype]))


def gemm(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    activation: str | None = None,
    out: np.ndarray | None = None,
    accumulate: bool = False,
) -> np.ndarray:
    """C = activation(a @ b + bias), with a (m, k), b (k, n), bias (n,) and c (m, n).

    a, b: float32 or float64, any strides: a transpose is read in place.
    bias: same type; added to every row.  Not together with `accumulate`.
    activation: None or "relu".
    out: where to put c: same type, columns contiguous, not overlapping a or b.  A new array otherwise.
    accumulate: add the product to what `out` holds.

    k = 0 gives the bias (or zeros).  Cost 2mnk FLOP.  TypeError for other types, ValueError for shapes that do
    not match.

    >>> gemm(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), bias=np.array([10.0, 20.0]))
    array([[11., 22.],
           [13., 24.]])
    """
    m, k = a.shape
    depth, n = b.shape
    dtype = a.dtype
    if activation not in ACTIVATIONS:
        raise ValueError(f"gemm: expected an activation of {ACTIVATIONS}, got {activation!r}.")
    if (dtype is not b.dtype and dtype != b.dtype) or dtype not in _gemm:
        _refuse("gemm", a, b)
    if k != depth:
        raise ValueError(
            f"gemm: expected a (m, k) and b (k, n) with the same k, got {a.shape} and {b.shape}."
        )
    if out is None:
        out = empty((m, n), dtype)
    start = 0
    if accumulate:
        start = id(out)
    elif bias is not None:
        if bias.strides[0] != dtype.itemsize:
            bias = bias.copy()
        start = id(bias)
    if k == 0 or m == 0 or n == 0:
        return _without_product(out, bias, accumulate, activation)
    _multiply(a, b, out, start, 1 if activation else 0, m * n * k)
    return out


def _without_product(
    out: np.ndarray, bias: np.ndarray | None, accumulate: bool, activation: str | None
) -> np.ndarray:
    """What is left of a product whose sums or whose result are empty."""
    if not accumulate:
        out[...] = 0 if bias is None else bias
    if activation == "relu":
        np.maximum(out, 0, out=out)
    return out


def bmm(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """c[i] = a[i] @ b[i], with a (batch, m, k), b (batch, k, n) and c (batch, m, n).

    A batch of length 1, or of stride 0 as `np.broadcast_to` makes it, is repeated without a copy.
    Types, strides, `out` and errors as in `gemm`.  Cost 2 batch mnk FLOP.
    """
    batch, m, k = a.shape
    others, depth, n = b.shape
    dtype = a.dtype
    if (dtype is not b.dtype and dtype != b.dtype) or dtype not in _gemm:
        _refuse("bmm", a, b)
    if k != depth or (batch != others and 1 not in (batch, others)):
        raise ValueError(
            "bmm: expected a (batch, m, k) and b (batch, k, n) with the same batch and k, "
            f"got {a.shape} and {b.shape}."
        )
    if batch == 1:
        batch = others
    if out is None:
        out = empty((batch, m, n), dtype)
    if k == 0 or out.size == 0:
        return _without_product(out, None, False, None)
    _multiply(a, b, out, 0, 0, batch * m * n * k)
    return out


def gemm_grad_a(g: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `gemm` to a: g @ b.T, with g (m, n), b (k, n) transposed in place, result (m, k)."""
    return gemm(g, b.T, out=out)


def gemm_grad_b(a: np.ndarray, g: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `gemm` to b: a.T @ g, with a (m, k), g (m, n), result (k, n)."""
    return gemm(a.T, g, out=out)


def bmm_grad_a(g: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `bmm` to a: g[i] @ b[i].T; the sum over a repeated batch is the caller's."""
    return bmm(g, b.transpose(0, 2, 1), out=out)


def bmm_grad_b(a: np.ndarray, g: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `bmm` to b: a[i].T @ g[i]; the sum over a repeated batch is the caller's."""
    return bmm(a.transpose(0, 2, 1), g, out=out)
