"""Reading matrices of any layout from inside a kernel, and copying parts of them into cache-friendly panels.

Handing an ndarray to Numba costs about 100 ns and one compilation for every combination of C, Fortran,
strided and read-only arguments.  So the products get `id(array)` instead, an integer: CPython's `id` is the
object's address, and NumPy's array struct (`PyArrayObject_fields`, part of its stable ABI) begins with
data, nd, dimensions, strides.  The caller holds the arrays while the kernel runs.
"""

from __future__ import annotations

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.simd import PANEL, ROWS, VECTOR_BYTES, copy_vector, load, prefetch, store, word
from tinytorch.kernels.tiles import transpose

ROWS_AHEAD = 4  # of b that are fetched early: no processor guesses where the next row of a block begins
_HEAD = object.__basicsize__  # of the struct's fields: data, nd, dimensions, strides, eight bytes each
_DATA, _NDIM, _DIMENSIONS, _STRIDES = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 24


@kernel(inline=True)
def data_address(array):
    """Address of the first element of the array with this id."""
    return word(array + _DATA)


@kernel(inline=True)
def matrix(array, size):
    """(address, entry stride, rows, columns, row stride, column stride) of an array of two or three axes.

    Strides in bytes.  NumPy lets the stride of an axis of length 1 be anything: here a row or column that
    is alone counts as contiguous, and a lone entry has stride 0, so that it is repeated over a batch.
    """
    last = ((word(array + _NDIM) & 0xFF) - 1) * 8
    dimensions, strides = word(array + _DIMENSIONS), word(array + _STRIDES)
    rows, columns = word(dimensions + last - 8), word(dimensions + last)
    row, column = word(strides + last - 8), word(strides + last)
    entry = 0
    if last == 16 and word(dimensions) > 1:
        entry = word(strides)
    if columns == 1:
        column = size
    if rows == 1 and column != size:
        row = size
    return word(array + _DATA), entry, rows, columns, row, column


@kernel(inline=True)
def entries(array):
    """How many matrices there are in an array of two or three dimensions."""
    if word(array + _NDIM) & 0xFF == 2:
        return 1
    return word(word(array + _DIMENSIONS))


@kernel(inline=True)
def first_length(array):
    """Length of the first axis."""
    return word(word(array + _DIMENSIONS))


@kernel(inline=True)
def rounded(count, lanes):
    """`count` rounded up to whole vectors."""
    return (count + lanes - 1) // lanes * lanes


@kernel(inline=True)
def even(length, most):
    """The longest of the fewest nearly equal pieces of at most `most` that make up `length`."""
    pieces = (length + most - 1) // most
    return (length + pieces - 1) // pieces


@kernel(inline=True)
def _copy_row(count, source, target, ahead, like, size):
    """Copy `count` neighbours by whole vectors, and fetch what lies `ahead` bytes further."""
    lanes = VECTOR_BYTES // size
    for i in range(0, count, lanes):
        copy_vector(count - i, source + i * size, target + i * size, like)
        prefetch(source + i * size + ahead)


@kernel(inline=True)
def panel_bytes(k):
    """Distance of packed panels of b; the row more keeps them off each other's cache sets."""
    return (k + 1) * PANEL


@kernel(inline=True)
def pack_columns(b, b_k, b_col, k, columns, target, like, size):
    """Lay out b (k, columns) in panels as wide as the tile, row after row; the last may be narrower.

    What pads the last vector is never used.  Up to a vector's worth of rows is written past the last.
    """
    lanes = VECTOR_BYTES // size
    wide = PANEL // size
    if b_col == size:
        for step in range(k):  # a whole row before the next: few pages, whatever the stride
            there = target
            for j in range(0, columns, wide):
                count = min(wide, columns - j)
                row = there + step * rounded(count, lanes) * size
                _copy_row(count, b + step * b_k + j * size, row, ROWS_AHEAD * b_k, like, size)
                there += panel_bytes(k)
        return
    for j in range(0, columns, wide):
        panel = target + j // wide * panel_bytes(k)
        width = rounded(min(wide, columns - j), lanes) * size
        for first in range(j, min(j + wide, columns), lanes):
            count = min(lanes, columns - first)
            here, there = b + first * b_col, panel + (first - j) * size
            if b_k == size:
                for step in range(0, k, lanes):
                    deep = min(lanes, k - step)
                    transpose(count, deep, here + step * size, b_col, there + step * width, width, like)
            else:
                for step in range(k):
                    for i in range(count):
                        store(there + step * width + i * size, load(here + step * b_k + i * b_col, like))


@kernel(inline=True)
def pack_rows(a, a_row, a_k, rows, tall, k, target, like, size):
    """Copy a (rows, k) into panels of `tall` rows; returns the (row stride, k stride) in a panel.

    A panel takes `row_panel_bytes`.
    """
    lanes = VECTOR_BYTES // size
    stride = rounded(ROWS, lanes) * size
    panel = row_panel_bytes(k, size)
    if a_k == size:
        stride = (rounded(k, lanes) + lanes) * size  # the vector more keeps rows off each other's cache sets
        for first in range(0, rows, tall):
            for i in range(first, min(first + tall, rows)):
                _copy_row(k, a + i * a_row, target + (i - first) * stride, rows * a_row, like, size)
            target += panel
        return stride, size
    for step in range(k):
        here, there = a + step * a_k, target + step * stride
        for first in range(0, rows, tall):
            count = min(tall, rows - first)
            if a_row == size:
                prefetch(here + rows * size)
                for i in range(0, ROWS, lanes):
                    copy_vector(count - i, here + i * size, there + i * size, like)
            else:
                for i in range(count):
                    store(there + i * size, load(here + i * a_row, like))
            here += tall * a_row
            there += panel
    return size, stride


@kernel(inline=True)
def row_panel_bytes(k, size):
    """Room for a row panel of a in either of its layouts."""
    lanes = VECTOR_BYTES // size
    return (rounded(k, lanes) + lanes) * rounded(ROWS, lanes) * size
