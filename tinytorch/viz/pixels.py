"""Images as they are drawn: channels last, brightness between 0 and 1, many of them in one grid."""

from __future__ import annotations

import numpy as np


def picture(image: np.ndarray, what: str) -> np.ndarray:
    """An image as networks take it, to one that can be drawn: (h, w) unchanged, or (h, w, 3) from 0 to 1.

    Colours are divided by 255 where they are bytes; floats outside 0 to 1 are stretched to fill it.

    Args:
        image: (h, w), (1, h, w) or (3, h, w).
        what: the name of the caller, for the message.

    Raises:
        ValueError: `image` has another shape.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(
            f"{what}: expected an image of shape (h, w), (1, h, w) or (3, h, w), got {image.shape}"
        )
    if image.shape[0] == 1:
        return image[0]
    colours = image.transpose(1, 2, 0)
    if image.dtype == np.uint8:
        return colours / np.float32(255)
    low, high = min(0.0, float(colours.min())), max(1.0, float(colours.max()))
    return (colours - low) / (high - low)


def luminance(picture: np.ndarray) -> np.ndarray:
    """How bright a picture is to the eye, (h, w): `0.299 r + 0.587 g + 0.114 b` (ITU-R BT.601)."""
    return picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114], np.float32)


def mosaic(
    tiles: np.ndarray, columns: int, frame: tuple[float, float, float], *, side: int = 64
) -> np.ndarray:
    """Pictures (n, h, w, 3) in rows of `columns`, each enlarged to about `side` pixels, as one picture.

    A line of the colour `frame` goes around each; places that are left over are white.
    """
    times = max(1, side // max(tiles.shape[1:3]))
    tiles = np.repeat(np.repeat(tiles, times, axis=1), times, axis=2)
    n, h, w, _ = tiles.shape
    rows = -(-n // columns)
    gap = 4
    whole = np.ones((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), np.float32)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        whole[top : top + h, left : left + w] = tile
        whole[top : top + h, [left, left + w - 1]] = frame
        whole[[top, top + h - 1], left : left + w] = frame
    return whole
