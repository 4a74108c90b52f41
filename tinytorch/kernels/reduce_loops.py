"""The loops behind reductions.

Every reduction is brought to one of two forms: `rows` (outer, n), running along memory, or `columns`
(outer, n, inner), running across it.  float32 is added up in float64, so a sum is right to its last digit
whatever its length.  What is long is cut into pieces of fixed size, merged in order: the same bits for
any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from tinytorch.kernels import vecmath
from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import both

PIECE = 16384  # elements of a long row, or of a band of columns, that one iteration adds up
BAND = 2048  # columns it takes at a time: 16 KiB of sums
NARROW = 32  # columns below which several rows are added side by side, to fill the vectors


def _sum_rows(x, divisor, out):
    """out[o] = sum of x[o, :] / divisor."""
    outer, n = x.shape
    pieces = (n + PIECE - 1) // PIECE
    block = max(1, PIECE // max(n, 1))
    if pieces <= 1:
        for task in prange((outer + block - 1) // block):  # owns `block` elements of out
            for o in range(task * block, min(outer, (task + 1) * block)):
                row = x[o]
                total = np.float64(0)
                for i in range(row.size):
                    total += row[i]
                out[o] = np.float64(total) / divisor
    else:
        partial = np.empty((outer, pieces))
        for task in prange(outer * pieces):  # owns partial[o, piece]
            o, piece = task // pieces, task % pieces
            row = x[o, piece * PIECE : (piece + 1) * PIECE]
            total = np.float64(0)
            for i in range(row.size):
                total += row[i]
            partial[o, piece] = total
        for o in range(outer):
            total = np.float64(0)
            for piece in range(pieces):
                total += partial[o, piece]
            out[o] = np.float64(total) / divisor


@kernel(inline=True)
def _add_narrow_rows(flat, first, last, sums):
    """sums[j] += flat[i * inner + j] for the rows i from first to last, several of them side by side."""
    inner = sums.size
    group = NARROW // inner
    whole = first + (last - first) // group * group
    side_by_side = np.zeros(group * inner)
    for i in range(first, whole, group):
        rows = flat[i * inner : (i + group) * inner]
        for j in range(side_by_side.size):
            side_by_side[j] += rows[j]
    for i in range(group):
        for j in range(inner):
            sums[j] += side_by_side[i * inner + j]
    for i in range(whole, last):
        for j in range(inner):
            sums[j] += flat[i * inner + j]


def _sum_columns(x, divisor, out):
    """out[o, j] = sum of x[o, :, j] / divisor."""
    outer, n, inner = x.shape
    length = max(16, PIECE // max(inner, 1))
    pieces = max(1, (n + length - 1) // length)
    bands = (inner + BAND - 1) // BAND
    partial = np.zeros((outer, pieces, inner))
    for task in prange(outer * pieces * bands):  # owns partial[o, piece, band]
        o, piece, band = task // (pieces * bands), task // bands % pieces, task % bands
        start, stop = band * BAND, min(inner, (band + 1) * BAND)
        first, last = piece * length, min(n, (piece + 1) * length)
        sums = partial[o, piece, start:stop]
        if 0 < 2 * inner <= NARROW:
            _add_narrow_rows(x[o].reshape(n * inner), first, last, sums)
            continue
        fours = first + (last - first) // 4 * 4
        for i in range(first, fours, 4):  # four rows for each time the sums are loaded and stored
            a, b = x[o, i, start:stop], x[o, i + 1, start:stop]
            c, d = x[o, i + 2, start:stop], x[o, i + 3, start:stop]
            for j in range(sums.size):
                sums[j] += (np.float64(a[j]) + np.float64(b[j])) + (np.float64(c[j]) + np.float64(d[j]))
        for i in range(fours, last):
            a = x[o, i, start:stop]
            for j in range(sums.size):
                sums[j] += a[j]
    for o in range(outer):
        sums = partial[o, 0]
        for piece in range(1, pieces):
            more = partial[o, piece]
            for j in range(inner):
                sums[j] += more[j]
        for j in range(inner):
            out[o, j] = sums[j] / divisor


def _extreme_rows(x, sign, values, places):
    """values[o] = the largest of sign * x[o, :], times sign; places[o] = where it is first."""
    outer, n = x.shape
    sign = x.dtype.type(sign)
    block = max(1, PIECE // n)
    for task in prange((outer + block - 1) // block):  # owns `block` elements of values and places
        for o in range(task * block, min(outer, (task + 1) * block)):
            row = x[o]
            top = sign * row[0]
            for i in range(row.size):
                top = vecmath.maximum(top, sign * row[i])
            values[o] = sign * top
            place = n
            for i in range(row.size):  # a search that stops early would not be vectorised
                found = (sign * row[i] == top) | (row[i] != row[i])
                place = min(place, i if found else n)
            places[o] = place


def _extreme_columns(x, sign, values, places):
    """The same for x (outer, n, inner), along the middle."""
    outer, n, inner = x.shape
    sign = x.dtype.type(sign)
    bands = (inner + BAND - 1) // BAND
    for task in prange(outer * bands):  # owns values[o, start:stop] and places[o, start:stop]
        o, start = task // bands, task % bands * BAND
        stop = min(inner, start + BAND)
        top, place = values[o, start:stop], places[o, start:stop]
        for j in range(top.size):
            top[j] = x[o, 0, start + j]
            place[j] = 0
        for i in range(1, n):
            row = x[o, i, start:stop]
            for j in range(top.size):
                beats = (sign * row[j] > sign * top[j]) | ((row[j] != row[j]) & (top[j] == top[j]))
                top[j] = row[j] if beats else top[j]
                place[j] = i if beats else place[j]


def _variance_rows(x, correction, out):
    """out[o] = sum of (x[o, :] - mean)**2 / (n - correction); pieces merge as in Chan et al. (1979)."""
    outer, n = x.shape
    pieces = max(1, (n + PIECE - 1) // PIECE)
    means, squares = np.empty((outer, pieces)), np.empty((outer, pieces))
    block = max(1, PIECE // max(n, 1))
    # owns means and squares of `block` rows, or of one piece of a row
    for task in prange((outer + block - 1) // block * pieces):
        first, piece = task // pieces * block, task % pieces
        for o in range(first, min(outer, first + block)):
            row = x[o, piece * PIECE : (piece + 1) * PIECE]
            total = np.float64(0)
            for i in range(row.size):
                total += row[i]
            mean, square = total / row.size, np.float64(0)
            for i in range(row.size):
                square += (row[i] - mean) * (row[i] - mean)
            means[o, piece], squares[o, piece] = mean, square
    for o in range(outer):
        mean, square, count = means[o, 0], squares[o, 0], min(n, PIECE)
        for piece in range(1, pieces):
            more = min(n, (piece + 1) * PIECE) - piece * PIECE
            difference = means[o, piece] - mean
            square += squares[o, piece] + difference * difference * (count * more / (count + more))
            mean += difference * (more / (count + more))
            count += more
        out[o] = square / np.float64(max(0.0, n - correction))


sum_rows = both(_sum_rows, "sum_rows")
sum_columns = both(_sum_columns, "sum_columns")
extreme_rows = both(_extreme_rows, "extreme_rows")
extreme_columns = both(_extreme_columns, "extreme_columns")
variance_rows = both(_variance_rows, "variance_rows")
