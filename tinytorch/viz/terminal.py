"""Pictures made of characters, for the terminal: a map of the plane, a row of grey images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SHADES = " .:-=+*#%@"


def plane_map(
    score: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    labels: np.ndarray,
    *,
    width: int = 34,
    height: int = 14,
) -> list[str]:
    """The plane as a model divides it: `o` and `#` are points of class 0 and 1, `·` is where it answers 1.

    Args:
        score: points (n, 2) to the probability of class 1, (n,).
        points, labels: the data.
        width, height: in characters.

    Returns `height` lines of `width` characters, the top one first.
    """
    low, high = points.min(0), points.max(0)
    x = np.linspace(low[0], high[0], width, dtype=np.float32)
    y = np.linspace(high[1], low[1], height, dtype=np.float32)
    answer = score(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(height, width) > 0.5
    canvas = np.where(answer, "·", " ")
    scale = np.array([width - 1, height - 1]) / np.maximum(high - low, 1e-12)
    column = np.rint((points[:, 0] - low[0]) * scale[0]).astype(int)
    row = np.rint((high[1] - points[:, 1]) * scale[1]).astype(int)
    canvas[row, column] = np.where(np.asarray(labels).reshape(-1) > 0.5, "#", "o")
    return ["".join(line) for line in canvas]


def grey_images(images: Sequence[np.ndarray], *, gap: int = 3) -> list[str]:
    """Grey images side by side, two characters to a pixel; images wider than 20 pixels are halved first.

    Args:
        images: (height, width) each, all of one shape, dark where small.
        gap: characters between two images.
    """
    if not len(images):
        return []
    blocks = [_characters(np.asarray(image, np.float32)) for image in images]
    return [(" " * gap).join(lines) for lines in zip(*blocks, strict=True)]


def _characters(image: np.ndarray) -> list[str]:
    if image.shape[1] > 20:
        h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        image = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))
    top = max(float(image.max()), 1e-12)
    level = np.rint(image / top * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[v] * 2 for v in line) for line in level]
