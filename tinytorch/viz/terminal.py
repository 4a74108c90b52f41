"""Pictures made of characters, for the terminal: a map of the plane, a row of images, a map of attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinytorch.viz.pixels import luminance, picture

SHADES = " .:-=+*#%@"
BLOCKS = " ░▒▓█"
SIGNS = str.maketrans({"\n": "⏎", " ": "␣", "\t": "⇥", "\r": "␍"})  # of what is not seen when it is printed
HEADING = 8  # characters of a token that are shown at most


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
    """Images in grey side by side, two characters to a pixel; those wider than 20 pixels are halved first.

    The more ink a character has, the larger the number (the brighter the colour); each image is on a scale of
    its own.

    Args:
        images: (h, w), (1, h, w) or (3, h, w) each, all of one shape.
        gap: characters between two images.
    """
    return _side_by_side([_characters(luminance(picture(image, "grey_images"))) for image in images], gap)


def colour_images(images: Sequence[np.ndarray], *, gap: int = 3) -> list[str]:
    """Images in colour side by side, for terminals that know 24-bit colour (with ANSI's escape sequences).

    A character is two pixels: an upper half block in the colour of one, on the colour of the one below it.

    Args:
        images: (3, h, w) each, all of one shape, bytes or floats.
        gap: characters between two images.
    """
    return _side_by_side([_half_blocks(image) for image in images], gap)


def attention_in_terminal(weights: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    r"""Where each row looks: the more of its attention a column has, the darker the block.

    The scale goes from zero to the largest weight; what is no number is left blank.

    Args:
        weights: (t, s), each row of them sums to 1.
        rows: the tokens that look, t of them.
        columns: the tokens that are looked at, s; those of more than one character are written downward.

    >>> print(*attention_in_terminal(np.array([[0.1, 0.9], [0.8, 0.2]]), "ba", "ab"), sep="\n")
      a b
    b   ██
    a ██░░
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(rows), len(columns)):
        raise ValueError(
            f"attention_in_terminal: expected weights of shape {(len(rows), len(columns))}, a row for each "
            f"token that looks and a column for each that is looked at, got {weights.shape}"
        )
    share = np.nan_to_num(weights, nan=0.0, posinf=0.0, neginf=0.0)
    level = np.rint(share / max(float(share.max(initial=0.0)), 1e-12) * (len(BLOCKS) - 1)).astype(int)
    names, heads = [token_name(token) for token in rows], [token_name(token) for token in columns]
    wide, high = max(map(len, names), default=0), max(map(len, heads), default=0)
    above = [" ".join(letters) for letters in zip(*(head.rjust(high) for head in heads), strict=True)]
    return [f"{' ' * wide} {line}".rstrip() for line in above] + [
        f"{name:>{wide}} {''.join(BLOCKS[v] * 2 for v in line)}".rstrip()
        for name, line in zip(names, level, strict=True)
    ]


def token_name(token: str) -> str:
    r"""A token as it can be printed: signs for blanks and line breaks, and not too much of a long one.

    >>> token_name("\n"), token_name(" unfortunately")
    ('⏎', '␣unfort…')
    """
    name = token.translate(SIGNS)
    return name if len(name) <= HEADING else name[: HEADING - 1] + "…"


def _side_by_side(blocks: Sequence[Sequence[str]], gap: int) -> list[str]:
    return [(" " * gap).join(lines) for lines in zip(*blocks, strict=True)]


def _characters(image: np.ndarray) -> list[str]:
    image = np.asarray(image, np.float32)
    if image.shape[1] > 20:
        h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        image = image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))
    low, top = float(image.min()), max(float(image.max()), 1e-12)
    if low >= top:  # one shade all over: ink, unless it is black
        low = 0.0
    level = np.rint((image - low) / (top - low) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[v] * 2 for v in line) for line in level]


def _half_blocks(image: np.ndarray) -> list[str]:
    colours = picture(image, "colour_images")
    if colours.ndim != 3:
        raise ValueError(f"colour_images: expected images of shape (3, h, w), got {np.shape(image)}")
    level = np.rint(255 * colours).astype(int)
    if len(level) % 2:
        level = np.concatenate([level, level[-1:]])
    return [
        "".join(
            f"\x1b[38;2;{r};{g};{b};48;2;{under[0]};{under[1]};{under[2]}m▀"
            for (r, g, b), under in zip(upper, lower, strict=True)
        )
        + "\x1b[0m"
        for upper, lower in zip(level[::2].tolist(), level[1::2].tolist(), strict=True)
    ]
