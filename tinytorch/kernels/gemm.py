"""Matrix products: c = activation(a @ b + bias), their gradients, and batches of them.

The scheme is Goto's (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008),
turned so that one parallel region does everything: each thread has a rectangle of c, walks over blocks of
k, and in each over blocks of columns, packs its own block of b into panels as wide as the register tile
(together they stay in the second-level cache), and takes row panel after row panel of a, which stays in the
first-level cache, past all of them.  What is small enough is read where it lies, and packing reads through
the strides, so a transpose costs no copy.

What a thread does to an element depends on the sizes and strides of the whole product only: the blocks of
k, and whether the sums run along lanes (`dots`) or not (`tile`).  So the bits are the same for any number
of threads.
"""

from __future__ import annotations

import threading

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.memory import SMALLEST, empty
from tinytorch.kernels.packing import (
    data_address,
    entries,
    even,
    first_length,
    matrix,
    pack_columns,
    pack_rows,
    panel_bytes,
    rounded,
    row_panel_bytes,
)
from tinytorch.kernels.parallel import ASK, jobs_of
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, first_level_ways, load, size_of, store
from tinytorch.kernels.tiles import DOT_COLUMNS, DOT_COLUMNS_ALONE, DOT_ROWS, MASKED, dots, tiles

DEPTH = 1024  # bytes of k in a block: 256 float32, so that a row panel of a takes 12 of 32 KiB
WIDTH = 2048  # bytes of n in a block, which then takes half of a second-level cache of 1 MiB
GROUP = 8  # row panels packed at a time: where a is transposed, so many share the lookup of a page
PACKED_ROWS = 128 * ROWS  # of a, packed once for all blocks of columns: about 2 MiB a thread at most
DIRECT_ROWS = 48  # with fewer rows of c, packing b costs more than it gains
DIRECT_COLUMNS = 128  # with fewer columns of c, packing a costs more than it gains;
TURNED_COLUMNS = 320  # where a is transposed, and so packed element by element: 10 to 25 % at 128 columns
IN_PLACE_A = 1 << 18  # bytes from the first to the last row of a transposed block of a that is not packed
IN_PLACE_B = 5 << 17  # the same of b
CROWDED = first_level_ways() < ROWS  # a set cannot hold a line of each row of a panel
FLAT_ROWS = 32  # up to so many rows of c, dot products along k cost less than transposing b,
FLAT_DEPTH = 16  # if they have so many times more elements than there are rows
PARALLEL_WORK = 250_000  # multiply-adds from which two threads beat one

_SMALL = SMALLEST // 4  # elements that `empty` would not take from the pool either

ZERO, LOWEST = np.float32(0), np.float32(-np.inf)  # bound anew for each type


@kernel(inline=True)
def _column_parts(rows, vectors, batch, parts, a_cost, b_cost):
    """Into how many column ranges to cut c for `parts` threads; the rest of the factor `parts` cuts rows.

    Counts fifths of a vector multiply-add for one k: with `a_cost` for packing an element of a, which threads
    side by side do twice, and `b_cost` for packing a vector of b, which threads above each other do twice.
    """
    best, least = 1, -1
    for across in range(1, parts + 1):
        if parts % across == 0:
            down = parts // across
            tall, wide = (rows + down - 1) // down, (vectors + across - 1) // across
            cost = 5 * tall * wide + a_cost * tall + b_cost * wide * ((batch + down - 1) // down)
            if least < 0 or cost < least:
                best, least = across, cost
    return best


def _share(a_id, b_id, c_id, start_id, scratch_id, relu, part, parts):
    """Compute the rectangle of c that is number `part` of `parts`, or say how much scratch is missing.

    The arguments are ids of arrays; `start_id` is that of the bias, that of c to add to it, or 0.
    """
    size = size_of(ZERO)
    lanes, panel = VECTOR_BYTES // size, PANEL // size
    a, a_entry, m, k, a_row, a_k = matrix(a_id, size)
    b, b_entry, _, n, b_k, b_col = matrix(b_id, size)
    c, c_entry, _, _, c_row, _ = matrix(c_id, size)
    batch = entries(c_id)
    column = n == 1 and m > 1 and c_row == size
    if column:  # a contiguous column is a row, and c.T = b.T @ a.T
        a, a_entry, a_k, b, b_entry, b_k, b_col = b, b_entry, b_k, a, a_entry, a_k, a_row
        m, n = 1, m

    # How: along k where both operands lie along it and c is flat, else by tiles of packed or unpacked panels.
    flat = a_k == size and b_k == size and (b_col != size or n == 1)
    flat = flat and (m == 1 or (m <= FLAT_ROWS and k >= FLAT_DEPTH * m))
    kc = rounded(even(k, DEPTH // size), lanes)
    if a_k == size:  # rows a page apart all fall on the same few sets of the first-level cache
        pack_a = CROWDED and a_row % 4096 == 0 and n >= DIRECT_COLUMNS
    else:
        pack_a = kc * a_k > IN_PLACE_A and n >= TURNED_COLUMNS
    b_in_place = b_col == size and kc * b_k <= IN_PLACE_B and k * b_k <= 4 * IN_PLACE_B

    # Where: the rows and columns of this share, and its part of the scratch.
    vectors = (n + lanes - 1) // lanes
    a_cost = (2 if a_k == size else 5) if pack_a else 0
    across = _column_parts(batch * m, vectors, batch, parts, a_cost, 0 if b_in_place or flat else 32)
    down = parts // across
    nc = min((vectors + across - 1) // across, WIDTH // VECTOR_BYTES) * lanes
    a_bytes = 0
    if pack_a:
        most = min(PACKED_ROWS, m, (batch * m + down - 1) // down)
        a_bytes = (most + ROWS - 1) // ROWS * row_panel_bytes(kc, size)
    b_bytes = 0
    if not flat and not (b_in_place and (MASKED or n % lanes == 0)):
        b_bytes = (nc + panel - 1) // panel * panel_bytes(kc) + lanes * PANEL
    missing = 64 + parts * (PANEL + a_bytes + b_bytes) - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    row, last = batch * m * (part // across) // down, batch * m * (part // across + 1) // down
    left = vectors * (part % across) // across * lanes
    right = min(n, vectors * (part % across + 1) // across * lanes)
    constant = (data_address(scratch_id) + 63) // 64 * 64 + part * (PANEL + a_bytes + b_bytes)
    a_copy = constant + PANEL
    b_copy = a_copy + a_bytes

    # From what: c itself, the bias, or a row of one number.
    bias, bias_col, value = constant, 0, ZERO
    if start_id != 0 and start_id != c_id:
        bias, bias_col = data_address(start_id), size
        if column:
            bias, bias_col, value = constant, 0, load(bias, ZERO)
    for i in range(panel):
        store(constant + i * size, value)

    while row < last and left < right:
        entry = row // m
        i0 = row - entry * m
        i1 = min(m, i0 + last - row)
        if pack_a:
            i1 = min(i1, i0 + PACKED_ROWS)
        row += i1 - i0
        a_here, b_here, c_here = a + entry * a_entry, b + entry * b_entry, c + entry * c_entry
        if flat:
            low = ZERO if relu else LOWEST
            wide = DOT_COLUMNS_ALONE if i1 - i0 == 1 else DOT_COLUMNS
            if m == 1 and k < lanes:
                wide = 1
            for i in range(i0, i1, DOT_ROWS):
                rows = min(DOT_ROWS, i1 - i)
                if rows == 1 and wide > 1:
                    wide = DOT_COLUMNS_ALONE
                for j in range(left, right, wide):
                    x, y, z = a_here + i * a_row, b_here + j * b_col, c_here + i * c_row + j * size
                    start, start_row = z, c_row
                    if start_id != c_id:
                        start, start_row = bias + j * bias_col, 0
                    if wide > 1:
                        columns = min(wide, right - j)
                        dots(rows, columns, x, a_row, y, b_col, start, start_row, z, c_row, k, low)
                    else:
                        total = load(start, ZERO)
                        for step in range(k):
                            total += load(x + step * size, ZERO) * load(y + step * size, ZERO)
                        store(z, low if total < low else total)
            continue
        tall = even(i1 - i0, ROWS)
        for k0 in range(0, k, kc):
            depth = min(kc, k - k0)
            low = ZERO if relu and k0 + kc >= k else LOWEST
            row_step, k_step = a_row, a_k
            if pack_a:
                panel_step = row_panel_bytes(depth, size)
                for i in range(i0, i1, GROUP * tall):
                    many, there = min(GROUP * tall, i1 - i), a_copy + (i - i0) // tall * panel_step
                    row_step, k_step = pack_rows(
                        a_here + i * a_row + k0 * a_k, a_row, a_k, many, tall, depth, there, ZERO, size
                    )
            for j0 in range(left, right, nc):
                columns = min(nc, right - j0)
                direct = 0  # columns of b that are read in place
                if b_in_place or (b_col == size and i1 - i0 < DIRECT_ROWS):
                    direct = columns if MASKED or columns % lanes == 0 else columns // panel * panel
                b_block = b_here + k0 * b_k + j0 * b_col
                if direct < columns:
                    b_rest = b_block + direct * b_col
                    pack_columns(b_rest, b_k, b_col, depth, columns - direct, b_copy, ZERO, size)
                for i in range(i0, i1, tall):
                    rows = min(tall, i1 - i)
                    a_panel = a_here + i * a_row + k0 * a_k
                    if pack_a:
                        a_panel = a_copy + (i - i0) // tall * panel_step
                    z = c_here + i * c_row + j0 * size
                    start, start_row, start_col = z, c_row, size
                    if k0 == 0 and start_id != c_id:
                        start, start_row, start_col = bias + j0 * bias_col, 0, bias_col
                    whole = columns // panel
                    if whole:
                        b_panel, b_step, b_next = b_block, b_k, PANEL
                        if not direct:
                            b_panel, b_step, b_next = b_copy, PANEL, panel_bytes(depth)
                        tiles(
                            rows, panel, whole, a_panel, row_step, k_step, b_panel, b_step, b_next,
                            start, start_row, panel * start_col, z, c_row, depth, low,
                        )  # fmt: skip
                    j = whole * panel
                    while j < columns:  # a whole vector, and the part of one that is left
                        width = min(lanes, columns - j)
                        b_panel, b_step = b_block + j * size, b_k
                        if j >= direct:
                            b_panel = b_copy + (whole - direct // panel) * panel_bytes(depth)
                            b_panel, b_step = (
                                b_panel + j % panel * size,
                                rounded(columns % panel, lanes) * size,
                            )
                        tiles(
                            rows, width, 1, a_panel, row_step, k_step, b_panel, b_step, 0,
                            start + j * start_col, start_row, 0, z + j * size, c_row, depth, low,
                        )  # fmt: skip
                        j += width
    return 0


jobs = jobs_of(_share, "gemm")


class Scratch(threading.local):
    """Each Python thread's buffer for packed panels."""

    def __init__(self) -> None:
        self.buffer = np.empty(1 << 12, np.uint8)

    def grow(self, missing: int) -> None:
        """Make it longer by so many bytes; its contents are lost."""
        self.buffer = np.empty(len(self.buffer) + missing, np.uint8)


_scratch = Scratch()


def _multiply(a: np.ndarray, b: np.ndarray, c: np.ndarray, start: int, relu: int, work: int) -> None:
    """c = start + a @ b, where `start` is 0, the id of a bias, or the id of c; then the activation."""
    job, scratch = jobs[c.dtype], _scratch.buffer
    if work < PARALLEL_WORK:
        missing = job.alone(id(a), id(b), id(c), start, id(scratch), relu, 0, 1)
    else:
        missing = job.together(id(a), id(b), id(c), start, id(scratch), relu)
    if missing:
        _scratch.grow(missing)
        _multiply(a, b, c, start, relu, work)


def gemm(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    activation: str | None = None,
    out: np.ndarray | None = None,
    accumulate: bool = False,
) -> np.ndarray:
    """c = activation(a @ b + bias), with a (m, k), b (k, n), bias (n,) and c (m, n).

    a, b: float32 or float64, any strides: a transpose is read where it lies.
    bias: of the same type, added to every row.
    activation: None or "relu".
    out: where to put c, or None: of the same type, with contiguous rows, overlapping neither a nor b.
    accumulate: add a @ b to what `out` holds, instead of to a bias.

    k = 0 gives the bias, or zeros.  Cost 2mnk FLOP.
    TypeError for other types, ValueError for shapes that do not fit.

    >>> gemm(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), bias=np.array([10.0, 20.0]))
    array([[11., 22.],
           [13., 24.]])
    """
    m, k = a.shape
    depth, n = b.shape
    dtype = a.dtype
    if k != depth or dtype is not b.dtype or dtype not in jobs:
        _check("gemm", "a (m, k) and b (k, n)", a, b)
    if out is None:
        out = np.empty((m, n), dtype) if m * n < _SMALL else empty((m, n), dtype)
    else:
        _check_out("gemm", out, (m, n), dtype)
    start = 0
    if accumulate:
        start = id(out)
    elif bias is not None:
        if bias.dtype is not dtype or bias.shape != (n,) or bias.strides[0] != dtype.itemsize:
            bias = _contiguous_bias(bias, n, dtype)
        start = id(bias)
    relu = 0
    if activation is not None:
        if activation != "relu":
            raise ValueError(f"gemm: expected activation None or 'relu', got {activation!r}.")
        relu = 1
    if work := m * n * k:
        _multiply(a, b, out, start, relu, work)
        return out
    if not accumulate:
        out[...] = 0 if bias is None else bias
    return np.maximum(out, 0, out=out) if relu else out


def bmm(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """c[i] = a[i] @ b[i], with a (batch, m, k), b (batch, k, n) and c (batch, m, n).

    A batch of length 1, or of stride 0 as `np.broadcast_to` makes it, is repeated without a copy.
    Types, strides, `out` and errors as in `gemm`.  Cost 2 batch mnk FLOP.
    """
    batch, m, k = a.shape
    others, depth, n = b.shape
    dtype = a.dtype
    if (
        k != depth
        or dtype is not b.dtype
        or dtype not in jobs
        or (batch != others and 1 not in (batch, others))
    ):
        _check("bmm", "a (batch, m, k) and b (batch, k, n)", a, b)
    if batch == 1:
        batch = others
    if out is None:
        out = empty((batch, m, n), dtype)
    else:
        _check_out("bmm", out, (batch, m, n), dtype)
    if work := batch * m * n * k:
        _multiply(a, b, out, 0, 0, work)
    else:
        out[...] = 0
    return out


def gemm_grad_a(g: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `gemm` to a: g @ b.T, with g (m, n), b (k, n) read transposed, result (m, k)."""
    return gemm(g, b.T, out=out)


def gemm_grad_b(a: np.ndarray, g: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `gemm` to b: a.T @ g, with a (m, k) read transposed, g (m, n), result (k, n)."""
    return gemm(a.T, g, out=out)


def bmm_grad_a(g: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `bmm` to a: g[i] @ b[i].T; the sum over a repeated batch is the caller's."""
    return bmm(g, b.transpose(0, 2, 1), out=out)


def bmm_grad_b(a: np.ndarray, g: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient of `bmm` to b: a[i].T @ g[i]; the sum over a repeated batch is the caller's."""
    return bmm(a.transpose(0, 2, 1), g, out=out)


def _check(name: str, wanted: str, a: np.ndarray, b: np.ndarray) -> None:
    """Raise what is wrong with the operands, if anything is: the callers' tests are quick and strict."""
    if a.dtype != b.dtype or a.dtype not in jobs:
        raise TypeError(
            f"{name}: expected two float32 or two float64 arrays, got {a.dtype} and {b.dtype}. "
            "Convert with .astype() first."
        )
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"{name}: expected {wanted} with the same k, got {a.shape} and {b.shape}.")
    if a.shape[0] != b.shape[0] and name == "bmm" and 1 not in (a.shape[0], b.shape[0]):
        raise ValueError(f"{name}: expected {wanted} with the same batch or 1, got {a.shape} and {b.shape}.")


def _check_out(name: str, out: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """The kernel writes to addresses: refuse an `out` that these would miss."""
    rows_contiguous = shape[-1] == 1 or out.strides[-1] == dtype.itemsize
    if out.dtype != dtype or out.shape != shape or not rows_contiguous or not out.flags.writeable:
        raise ValueError(
            f"{name}: expected out writeable, {dtype}, {shape}, with contiguous rows, "
            f"got {out.dtype}, {out.shape}, strides {out.strides}."
        )


def _contiguous_bias(bias: np.ndarray, n: int, dtype: np.dtype) -> np.ndarray:
    """A bias that the kernel can read."""
    if bias.dtype != dtype or bias.shape != (n,):
        raise ValueError(f"gemm: expected bias {dtype}, {(n,)}, got {bias.dtype}, {bias.shape}.")
    return np.ascontiguousarray(bias)
