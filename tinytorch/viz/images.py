"""Pictures of what a convolutional network looks for in an image, and of what its layers find there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.viz import style
from tinytorch.viz.pixels import mosaic, picture

MOST_FILTERS = 64
MOST_MAPS = 16
MARGIN = 0.3  # inches around everything
TOP = 0.4  # inches for the title
HEADING = 0.5  # inches above a panel
PANEL = 2.25  # inches, the side of an image and of a layer's maps


def filters(before: np.ndarray, after: np.ndarray, path: str | Path | None = None, *, title: str = "") -> Any:
    """What a first layer looks for: its windows of weights before training and after.

    Weights for colour images are colours, with grey for zero; those for grey images go from blue (negative)
    over white to orange. Each filter is on a scale of its own, so that weak ones are seen too.

    Args:
        before, after: weights (filters, 1 or 3, kh, kw); the first 64 filters are shown.
        path: where to save the PNG.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    pair = [np.asarray(weights, np.float32) for weights in (before, after)]
    for weights in pair:
        if weights.ndim != 4 or weights.shape[1] not in (1, 3) or not len(weights):
            raise ValueError(f"filters: expected weights (filters, 1 or 3, kh, kw), got {weights.shape}")
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"filters: expected weights of one shape, got {pair[0].shape} before and {pair[1].shape} after"
        )
    count, channels = pair[0].shape[:2]
    columns = 8 if count > 16 else 4
    width = 0.44 * columns if columns == 8 else 0.6 * columns
    panels = [_framed(_colours(weights[:MOST_FILTERS]), columns) for weights in pair]
    height = width * panels[0].shape[0] / panels[0].shape[1]
    drawing = style.figure(2 * width + 3 * MARGIN, TOP + HEADING + height + 0.5)
    _title(drawing, title or "what the first layer looks for")
    for i, (name, weights, panel) in enumerate(zip(("before training", "after"), pair, panels, strict=True)):
        axes = _axes(drawing, MARGIN + i * (width + MARGIN), 0.5, width, height)
        axes.imshow(panel, interpolation="nearest")
        known = np.isfinite(weights).all()
        _heading(
            axes, name, f"weights up to ±{_largest(weights):.2f}" if known else "not all of them numbers"
        )
    colours = "grey is 0" if channels == 3 else "blue is negative, white 0, orange positive"
    shown = f"{count:,} filters" if count <= MOST_FILTERS else f"{MOST_FILTERS} of {count:,} filters"
    _note(drawing, f"{shown}; {colours}; each on a scale of its own")
    return style.save(drawing, path)


def feature_maps(
    image: np.ndarray,
    maps: Sequence[np.ndarray],
    path: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Any:
    """One image, and what each layer makes of it: where its channels find what they look for.

    The darker, the stronger; each channel is on a scale of its own, from zero to its largest value.

    Args:
        image: (h, w), (1, h, w) or (3, h, w), bytes or floats.
        maps: for each layer (channels, h, w); the first 16 channels are shown.
        path: where to save the PNG.
        names: of the layers; by default "layer 1" and so on.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    layers = [np.asarray(layer, np.float32) for layer in maps]
    names = [f"layer {i + 1}" for i in range(len(layers))] if names is None else names
    if not layers or any(layer.ndim != 3 or not layer.size for layer in layers):
        shapes = ", ".join(str(layer.shape) for layer in layers) or "none"
        raise ValueError(f"feature_maps: expected maps (channels, h, w) for each layer, got {shapes}")
    if len(names) != len(layers):
        raise ValueError(
            f"feature_maps: expected a name for each of {len(layers)} layers, got {len(names)} names"
        )
    drawing = style.figure((len(layers) + 1) * (PANEL + MARGIN) + MARGIN, TOP + HEADING + PANEL + 0.5)
    _title(drawing, title or "what the layers make of an image")
    shown = picture(image, "feature_maps")
    axes = _axes(drawing, MARGIN, 0.5, PANEL, PANEL)
    axes.imshow(_framed(_inked(shown)[None], 1, side=256), interpolation="nearest")
    _heading(axes, "the image", "×".join(map(str, np.shape(image))))
    for i, (name, layer) in enumerate(zip(names, layers, strict=True)):
        few = layer[:MOST_MAPS]
        axes = _axes(drawing, MARGIN + (i + 1) * (PANEL + MARGIN), 0.5, PANEL, PANEL)
        columns = int(np.ceil(np.sqrt(len(few))))
        axes.imshow(_framed(_shades(few), columns), interpolation="nearest")
        part = f", {len(few)} shown" if len(layer) > len(few) else ""
        _heading(axes, name, "×".join(map(str, layer.shape)) + part)
    _note(
        drawing, "the darker, the stronger; each channel on a scale of its own, from 0 to its largest value"
    )
    return style.save(drawing, path)


def _colours(weights: np.ndarray) -> np.ndarray:
    """Weights (n, channels, h, w) as tiles (n, h, w, 3), zero in the middle of the scale."""
    largest = np.array([_largest(one) or 1.0 for one in weights]).reshape(-1, 1, 1, 1)
    level = 0.5 + 0.5 * np.nan_to_num(np.clip(weights / largest, -1, 1))
    if weights.shape[1] == 3:
        return level.transpose(0, 2, 3, 1)
    return style.diverging(style.BLUE, style.ORANGE)(level[:, 0])[..., :3]


def _shades(maps: np.ndarray) -> np.ndarray:
    """Maps (n, h, w) as tiles (n, h, w, 3): white at 0 and below."""
    largest = np.array([_largest(np.maximum(one, 0)) or 1.0 for one in maps]).reshape(-1, 1, 1)
    return style.sequential()(np.nan_to_num(np.clip(maps / largest, 0, 1)))[..., :3]


def _largest(values: np.ndarray) -> float:
    """The largest magnitude that is a number."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _inked(shown: np.ndarray) -> np.ndarray:
    """A picture with three channels: grey ones are ink on paper, as in the other pictures."""
    if shown.ndim == 3:
        return shown
    low, high = float(shown.min()), float(shown.max())
    level = 1 - (shown.astype(np.float32) - low) / ((high - low) or 1.0)
    return np.repeat(level[..., None], 3, axis=2)


def _framed(tiles: np.ndarray, columns: int, side: int = 64) -> np.ndarray:
    from matplotlib.colors import to_rgb

    return mosaic(tiles, columns, to_rgb(style.FAINT), side=side)


def _axes(drawing: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes without anything on them, placed in inches."""
    w, h = drawing.get_size_inches()
    axes = drawing.add_axes((left / w, bottom / h, width / w, height / h))
    axes.set_axis_off()
    axes.set_anchor("NW")
    return axes


def _heading(axes: Any, name: str, note: str) -> None:
    for text, up, size, colour in ((name, 17, 10, style.INK), (note, 5, 8.5, style.FAINT)):
        axes.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, up),
            textcoords="offset points",
            fontsize=size,
            color=colour,
        )


def _title(drawing: Any, title: str) -> None:
    w, h = drawing.get_size_inches()
    drawing.suptitle(
        title,
        x=MARGIN / w,
        y=1 - 0.14 / h,
        va="top",
        ha="left",
        fontsize=11.5,
        fontweight="bold",
        color=style.INK,
    )


def _note(drawing: Any, text: str) -> None:
    w, h = drawing.get_size_inches()
    drawing.text(MARGIN / w, 0.18 / h, text, fontsize=8.5, color=style.FAINT)
