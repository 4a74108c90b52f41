"""Pictures of where the heads of a transformer look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.viz import style
from tinytorch.viz.terminal import token_name

# Inches of a token; at least and at most of a map; points of its labels at most: in a grid, and alone.
GRID = (0.095, 1.5, 3.1, 8.0)
ALONE = (0.21, 4.2, 6.4, 9.5)
SMALLEST = 4.5  # points, below which labels are left out
TOP = 0.42  # inches for the title
HEADING = 0.3  # inches above a map
GAP = 0.18
BAR = 0.75  # inches for the colour bar
NOTE = 0.42  # inches for the line at the bottom
NARROWEST = 5.3


def attention_maps(
    maps: np.ndarray, labels: Sequence[str], path: str | Path | None = None, *, title: str = ""
) -> Any:
    """Where each head of each layer looks: a token's row shows how much it takes from each column's.

    All maps share one scale of colours, on which small weights are told apart more finely. Where no map has a
    weight above the diagonal, no token sees a later one, and that half is left blank.

    Args:
        maps: (layers, heads, t, t), rows that sum to 1; what is no number is left blank.
        labels: the t tokens; ⏎ and ␣ stand for a line break and a blank. They are left out where t is so
            large that nobody could read them: from 43 on in a grid, from 88 in a map alone.
        path: where to save the PNG.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    maps = np.asarray(maps, np.float64)
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3] or not maps.size:
        raise ValueError(f"attention_maps: expected maps of shape (layers, heads, t, t), got {maps.shape}")
    layers, heads, t, _ = maps.shape
    if len(labels) != t:
        raise ValueError(f"attention_maps: expected a label for each of {t} tokens, got {len(labels)}")
    alone = layers == heads == 1
    cell, least, most, largest = ALONE if alone else GRID
    side = float(np.clip(cell * t, least, most))
    size = min(largest, 0.85 * 72 * side / t)
    names = [token_name(label) for label in labels] if size >= SMALLEST else []
    room = 0.3 + 0.7 / 72 * size * max(map(len, names), default=0)  # inches that names take
    width = max(room + heads * (side + GAP) + BAR, NARROWEST)
    drawing = style.figure(width, TOP + layers * (HEADING + side + GAP) - GAP + room + NOTE)
    causal = t > 1 and not np.triu(maps, 1).any()
    seen = np.tri(t, dtype=np.bool_) if causal else True
    shown = np.ma.masked_invalid(np.where(seen, maps, np.nan))
    look = _look(shown)
    for layer in range(layers):
        down = TOP + HEADING + layer * (side + HEADING + GAP)
        for head in range(heads):
            axes = _axes(drawing, room + head * (side + GAP), down, side, side)
            axes.imshow(shown[layer, head], interpolation="nearest", **look)
            style.clean(axes, "" if alone else f"layer {layer + 1}, head {head + 1}")
            _name(axes, names, size, beside=head == 0, below=layer == layers - 1)
    _bar(drawing, _axes(drawing, room + heads * (side + GAP), TOP + HEADING, 0.13, side), look)
    unseen = "; blank: later ones, which it never sees" if causal else ""
    _write(drawing, title or "where the heads look", f"each row looks at the tokens of its columns{unseen}")
    return style.save(drawing, path)


def _look(shown: np.ma.MaskedArray) -> dict[str, Any]:
    """Colours from nearly white to dark blue, by the square root of the weight."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("weight", ["#f1f5fa", "#a9c9e8", style.BLUE, "#10294a"])
    return {"cmap": colours, "norm": PowerNorm(0.5, 0.0, float(shown.filled(0.0).max()) or 1.0)}


def _axes(drawing: Any, left: float, down: float, width: float, height: float) -> Any:
    """Axes placed in inches from the upper left corner."""
    w, h = drawing.get_size_inches()
    return drawing.add_axes((left / w, 1 - (down + height) / h, width / w, height / h))


def _name(axes: Any, names: list[str], size: float, *, beside: bool, below: bool) -> None:
    """The tokens at the left of a map and below it; those of more than a character run upward there."""
    places, text = range(len(names)), {"fontsize": size, "color": style.INK, "parse_math": False}
    upright = 90 if max(map(len, names), default=0) > 1 else 0
    axes.set_yticks(places if beside else [], names if beside else [], **text)
    axes.set_xticks(places if below else [], names if below else [], rotation=upright, **text)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bar(drawing: Any, axes: Any, look: dict[str, Any]) -> None:
    from matplotlib.cm import ScalarMappable

    bar = drawing.colorbar(ScalarMappable(look["norm"], look["cmap"]), cax=axes)
    most = look["norm"].vmax
    ticks = [tick for tick in (0.0, 0.01, 0.05, 0.2, 0.5, 1.0) if tick <= most]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.outline.set_visible(False)
    axes.tick_params(colors=style.FAINT, labelcolor=style.INK, labelsize=8, length=2)
    axes.set_title("weight", loc="left", fontsize=8.5, color=style.INK, pad=6)


def _write(drawing: Any, title: str, note: str) -> None:
    w, h = drawing.get_size_inches()
    heading = {"fontsize": 11.5, "fontweight": "bold", "color": style.INK}
    drawing.suptitle(title, x=0.15 / w, y=1 - 0.14 / h, va="top", ha="left", **heading)
    drawing.text(0.15 / w, 0.16 / h, note, fontsize=8.5, color=style.FAINT)
