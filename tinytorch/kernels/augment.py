"""Batches of images moved, turned around, covered and scaled: what varies training images.

Each kernel runs on the calling thread, which is the loader's: the other cores belong to the training.
"""

from __future__ import annotations

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty

NOWHERE = -1  # the place of a pixel that is taken from no pixel


@kernel
def _crop(images, top, left, rows, columns, before, fill, out):
    """out[n, c, i, j] = images[n, c, rows[top[n] + i], columns[left[n] + j]], or fill[c].

    From place `before` on, columns counts the image's own: most of a row is one copy.
    """
    height, width = out.shape[2:]
    for n in range(out.shape[0]):
        first = min(max(before - left[n], 0), width)
        last = min(max(before + images.shape[3] - left[n], first), width)
        for c in range(out.shape[1]):
            for i in range(height):
                line, row = out[n, c, i], rows[top[n] + i]
                if row == NOWHERE:
                    line[:] = fill[c]
                    continue
                source = images[n, c, row]
                for j in range(first):
                    column = columns[left[n] + j]
                    line[j] = fill[c] if column == NOWHERE else source[column]
                own = source[left[n] + first - before :]
                middle = line[first:last]
                for j in range(middle.size):
                    middle[j] = own[j]
                for j in range(last, width):
                    column = columns[left[n] + j]
                    line[j] = fill[c] if column == NOWHERE else source[column]


@kernel
def _flip(images, chosen, out):
    """out[n] = images[n], with its columns in reverse where chosen[n]."""
    for n in range(out.shape[0]):
        for row in range(out.shape[1]):
            source, line = images[n, row], out[n, row]
            last = line.size - 1
            if chosen[n]:
                for j in range(line.size):
                    line[j] = source[last - j]
            else:
                for j in range(line.size):
                    line[j] = source[j]


@kernel
def _cover(images, top, bottom, left, right, fill):
    """images[n, c, top[n] : bottom[n], left[n] : right[n]] = fill[c], in place."""
    for n in range(images.shape[0]):
        for c in range(images.shape[1]):
            for i in range(top[n], bottom[n]):
                line = images[n, c, i, left[n] : right[n]]
                for j in range(line.size):
                    line[j] = fill[c]


@kernel
def _scale(images, factor, shift, out):
    """out[n, c] = images[n, c] * factor[c] + shift[c]."""
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            source, line = images[n, c], out[n, c]
            a, b = factor[c], shift[c]
            for j in range(line.size):
                line[j] = source[j] * a + b


def crop(
    images: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    before: int,
    size: tuple[int, int],
    fill: np.ndarray,
) -> np.ndarray:
    """From each of images (n, c, h, w) the window of `size` at (top[n], left[n]) -> (n, c, *size).

    rows, columns: where row and column i of the image with its border are in the image itself; NOWHERE is
    filled with fill[c].  before: columns of the border in front of the image.

    >>> image, zero = np.arange(4).reshape(1, 1, 2, 2), np.zeros(1, np.int64)
    >>> crop(image, zero, zero, np.array([0, 1]), np.array([NOWHERE, 0, 1]), 1, (2, 2), zero)
    array([[[[0, 0],
             [0, 2]]]])
    """
    out = empty((*images.shape[:2], *size), images.dtype)
    _crop(ready(images), top, left, rows, columns, before, fill, out)
    return out


def flip(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Images (n, c, h, w), left and right exchanged in those that are chosen, (n,) of bool."""
    out = empty(images.shape, images.dtype)
    n, c, h, w = images.shape
    _flip(ready(images).reshape(n, c * h, w), chosen, out.reshape(n, c * h, w))
    return out


def cover(images: np.ndarray, box: tuple[np.ndarray, ...], fill: np.ndarray) -> np.ndarray:
    """Images (n, c, h, w) with fill[c] from row box[0][n] to box[1][n] and column box[2][n] to box[3][n]."""
    out = empty(images.shape, images.dtype)
    out[...] = images
    _cover(out, *box, fill)
    return out


def scale(images: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """images[n, c] * factor[c] + shift[c], of the dtype of factor and shift."""
    out = empty(images.shape, factor.dtype)
    n, c, h, w = images.shape
    _scale(ready(images).reshape(n, c, h * w), factor, shift, out.reshape(n, c, h * w))
    return out
