"""Reading matrices of any layout from inside a kernel, and copying parts of them into cache-friendly panels.

Handing an ndarray to Numba costs about 100 ns and one compilation for every combination of C, Fortran, strided and
read-only arguments.  So the products get `id(array)` instead, an integer: CPython's `id` is the object's address,
and NumPy's array struct (`PyArrayObject_fields`, part of its stable ABI) begins with data, nd, dimensions, strides.
The caller holds the arrays while the kernel runs.
"""

from __future__ import annotations

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.simd import VECTOR_BYTES, copy_element, copy_vector, transpose, word

_HEAD = object.__basicsize__  # of the struct's fields: data, nd, dimensions, strides, eight bytes each
_DATA, _NDIM, _DIMENSIONS, _STRIDES = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 24


@kernel(inline=True)
def data_address(array):
    """Address of the first element of the array with this id."""
    return word(array + _DATA)


@kernel(inline=True)
def matrix(array, size):
    """(address, entry stride, rows, columns, row stride, column stride) of a (rows, columns) or batched array.

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
def pack_columns(b, b_k, b_col, k, columns, target, like, size):
    """Lay out b (k, columns) as rows of whole vectors; what pads the last vector is never used.

    Up to a vector's worth of rows is written past the last.
    """
    lanes = VECTOR_BYTES // size
    width = rounded(columns, lanes) * size
    if b_col == size:
        for step in range(k):
            for j in range(0, columns, lanes):
                copy_vector(columns - j, b + step * b_k + j * size, target + step * width + j * size, like)
    elif b_k == size:
        for j in range(0, columns, lanes):
            count = min(lanes, columns - j)
            for step in range(0, k, lanes):
                source = b + j * b_col + step * size
                transpose(
                    count, min(lanes, k - step), source, b_col, target + step * width + j * size, width, like
                )
    else:
        for step in range(k):
            for j in range(rounded(columns, lanes)):
                source = b + step * b_k + min(j, columns - 1) * b_col
                copy_element(source, target + step * width + j * size, like)


@kernel(inline=True)
def pack_rows(a, a_row, a_k, rows, k, target, like, size):
    """Copy a (rows, k) so that it stays in the first cache; returns the copy's (row stride, k stride)."""
    lanes = VECTOR_BYTES // size
    if a_k == size:
        stride = (rounded(k, lanes) + lanes) * size  # the vector more keeps rows off each other's cache sets
        for i in range(rows):
            for step in range(0, k, lanes):
                copy_vector(k - step, a + i * a_row + step * size, target + i * stride + step * size, like)
        return stride, size
    stride = rounded(rows, lanes) * size
    if a_row == size:
        for step in range(k):
            for i in range(0, rows, lanes):
                copy_vector(rows - i, a + step * a_k + i * size, target + step * stride + i * size, like)
    else:
        for step in range(k):
            for i in range(rows):
                copy_element(a + i * a_row + step * a_k, target + step * stride + i * size, like)
    return size, stride
