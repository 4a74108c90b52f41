"""What convolutions read: images with a border around them, and blocks of pixels as matrices.

A convolution is a matrix product of the weights (channels out, channels in x taps) with a matrix that has a
row for every channel and tap, and a column for every pixel of the result.  That matrix is never made.  A
thread copies one image into a border of zeros, and from it the few rows and columns that the register tile
needs next: they fit into the second-level cache.

With a horizontal stride the copy keeps the columns sorted by their remainder: those that one tap meets lie
side by side.
"""

from __future__ import annotations

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.plane_tiles import split_vectors
from tinytorch.kernels.simd import VECTOR_BYTES, copy_vector, copy_whole, load, store, word


@kernel(inline=True)
def copy_pixels(count, source, target, like, size):
    """Copy `count` neighbours; a last vector that is not whole is filled up with zeros."""
    lanes = VECTOR_BYTES // size
    whole = count // lanes * lanes
    for i in range(0, whole, lanes):
        copy_whole(source + i * size, target + i * size, like)
    if whole < count:
        copy_vector(count - whole, source + whole * size, target + whole * size, like)


@kernel(inline=True)
def clear(target, count, like, size):
    """Zeros in `count` elements, and up to a vector's worth behind them."""
    for i in range(0, count, VECTOR_BYTES // size):
        copy_vector(0, target, target + i * size, like)


@kernel(inline=True)
def with_border(source, planes, height, width, rows, columns, top, left, stride, target, like, size):
    """Copy `planes` images (height, width) into ones of (rows, columns), so that (top, left) is their corner.

    Around them the target was cleared, and is left so; a negative corner crops.  Up to a vector of zeros is
    written past the end of a row, in the order of the rows.  Columns are sorted by their remainder by
    `stride`: of each row first those with remainder 0, and so on; `columns` is a multiple of the stride.
    """
    first, last = max(0, left), min(columns, left + width)  # the columns that the image fills
    each, lanes = columns // stride, VECTOR_BYTES // size
    if last <= first:
        return
    for plane in range(planes):
        for row in range(max(0, top), min(rows, top + height)):
            there = target + (plane * rows + row) * columns * size
            here = source + ((plane * height + row - top) * width - left) * size
            if stride == 1:
                copy_pixels(last - first, here + first * size, there + first * size, like, size)
            elif stride == 2:
                one, other = first % 2 * each + first // 2, (first + 1) % 2 * each + (first + 1) // 2
                for i in range(0, last - first, 2 * lanes):
                    split_vectors(
                        last - first - i, here + (first + i) * size, there + (one + i // 2) * size,
                        there + (other + i // 2) * size, like,
                    )  # fmt: skip
            else:
                for column in range(first, last):
                    value = load(here + column * size, like)
                    store(there + (column % stride * each + column // stride) * size, value)


@kernel(inline=True)
def spread_out(source, height, width, rows, columns, top, left, down, across, target, like, size):
    """Put pixel (i, j) of an image at (top + i down, left + j across) of a cleared one of (rows, columns)."""
    for i in range(height):
        row = top + i * down
        if 0 <= row < rows:
            for j in range(width):
                column = left + j * across
                if 0 <= column < columns:
                    store(
                        target + (row * columns + column) * size, load(source + (i * width + j) * size, like)
                    )


@kernel(inline=True)
def pack_pixels(
    image, planes, plane_bytes, taps, tap_count, row_bytes, wide, first, last, target, target_row, like, size
):
    """Rows of the matrix: for each plane and tap the pixels `first` to `last` of the result, contiguous.

    Pixel p of the result, at (p // wide, p % wide), meets tap t at image + taps[t] * size +
    p // wide * row_bytes + p % wide * size.  Up to a vector is written past the end of each row, in the order
    of the rows.
    """
    start = first % wide
    corner = image + first // wide * row_bytes + start * size
    for plane in range(planes):
        for tap in range(tap_count):
            here = corner + plane * plane_bytes + word(taps + 8 * tap) * size
            there = target + (plane * tap_count + tap) * target_row
            count, rest = min(wide - start, last - first), last - first
            row = here - start * size
            while rest > 0:
                copy_pixels(count, here, there, like, size)
                rest -= count
                there += count * size
                row += row_bytes
                here, count = row, min(wide, rest)
