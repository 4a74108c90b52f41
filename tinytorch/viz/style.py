"""One look for every picture: colours, a bare figure, and saving it.

matplotlib is optional (`pip install 'tinytorch[plots]'`) and slow to import, so it is imported when the first
figure is made. Figures are made without pyplot: no global state, no window, the Agg renderer.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

INK = "#22303c"
FAINT = "#8a97a3"
GRID = "#e6eaee"
GREYS = ("#b3bac2", "#98a2ac", "#7b8894", "#5d6c7a", "#41515f")  # from long ago to just now
BLUE = "#2f6fb2"  # class 0
ORANGE = "#e07b39"  # class 1
GREEN = "#3d9970"
RED = "#c8434b"
CLASSES = (BLUE, ORANGE)


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def figure(width: float, height: float) -> Any:
    """An empty figure of `width` × `height` inches that renders with Agg.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; the text says how to get it.
    """
    if not available():
        raise ModuleNotFoundError(
            "viz: expected matplotlib, which is not installed. Get it with: pip install 'tinytorch[plots]'"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(drawing)
    return drawing


def diverging(low: str = "#7fa9d6", high: str = "#f2b48c") -> Any:
    """Blue over white to orange: the probability of class 1, or what may be negative."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("probability", [low, "#ffffff", high])


def sequential(colour: str = BLUE) -> Any:
    """White to `colour`: counts and activations."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("amount", ["#ffffff", colour])


def clean(axes: Any, title: str = "", x: str = "", y: str = "") -> Any:
    """Take the box away, set the texts, and give the axes back."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, length=3)
    axes.set_title(title, loc="left", fontsize=10, color=INK, pad=6)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    return axes


def save(drawing: Any, path: str | Path | None) -> Any:
    """Write the figure as PNG where a path was given, and give it back."""
    if path is not None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, dpi=120)
    return drawing
