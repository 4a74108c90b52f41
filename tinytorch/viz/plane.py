"""Pictures of problems in the plane: where a model draws its line, and how it came to draw it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.viz import style

Score = Callable[[np.ndarray], np.ndarray]
"""Points (n, 2) to the probability of class 1, (n,)."""

GRID = 90  # points along each side of the field
KEY = 0.3  # inches below the picture for the names of the classes


def decision_boundary(
    score: Score,
    points: np.ndarray,
    labels: np.ndarray,
    path: str | Path | None = None,
    *,
    names: Sequence[str] = ("0", "1"),
    earlier: Sequence[tuple[int, Score]] = (),
    axes: Any = None,
    title: str = "",
) -> Any:
    """The probability that a model gives every point of the plane, the data, and the line at one half.

    Args:
        score: points (n, 2) to the probability of class 1, (n,).
        points, labels: the data, (n, 2) and 0 or 1, (n,) or (n, 1).
        path: where to save the PNG.
        names: of the two classes, for the key below the picture.
        earlier: (epoch, score) pairs from training: their lines are drawn, older ones fainter.
        axes: draw there, instead of on a figure of its own, and without a key.
        title: heading.

    Returns the figure.
    """
    drawing = style.figure(5.2, 5.0 + KEY) if axes is None else axes.figure
    if axes is None:
        axes = drawing.add_axes((0.09, (0.4 + KEY) / (5.0 + KEY), 0.87, 4.2 / (5.0 + KEY)))
        _key(drawing, names, left=0.07)
    style.clean(axes, title)
    x, y, grid = _field(points)
    field = score(grid).reshape(GRID, GRID)
    axes.imshow(
        field,
        origin="lower",
        extent=(x[0], x[-1], y[0], y[-1]),
        cmap=style.diverging(),
        vmin=0,
        vmax=1,
        interpolation="bilinear",
        aspect="auto",
    )
    _scatter(axes, points, labels)
    for i, (epoch, earlier_score) in enumerate(earlier):
        grey = style.GREYS[i * len(style.GREYS) // len(earlier)]
        drawn = _line(
            axes, x, y, earlier_score(grid).reshape(GRID, GRID), colour=grey, width=1.4, dashed=True
        )
        if drawn:
            name = "before training" if epoch == 0 else f"after epoch {epoch}"
            axes.plot([], [], color=grey, lw=1.4, ls="--", label=name)
    _line(axes, x, y, field, colour=style.INK, width=2.4)
    if len(earlier):
        axes.plot([], [], color=style.INK, lw=2.4, label="at the end")
        axes.legend(loc="upper left", fontsize=8, framealpha=0.9, edgecolor=style.GRID, labelcolor=style.INK)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    return style.save(drawing, path)


def boundary_over_time(
    moments: Sequence[tuple[str, Score]],
    points: np.ndarray,
    labels: np.ndarray,
    path: str | Path | None = None,
    *,
    names: Sequence[str] = ("0", "1"),
    title: str = "",
) -> Any:
    """The plane as the model saw it at several moments, side by side in rows of up to three.

    Args:
        moments: (caption, score) pairs; a single one is drawn larger, so that the title has room.
        points, labels: the data.
        path: where to save the PNG.
        names: of the two classes, for the key below the pictures.
        title: heading of the figure.
    """
    if not moments:
        raise ValueError("boundary_over_time: expected at least one moment, got none")
    columns = min(3, len(moments))
    rows = -(-len(moments) // columns)
    side = 5.0 if len(moments) == 1 else 3.0
    height = side * rows + (0.5 if title else 0.1) + KEY
    drawing = style.figure(side * columns, height)
    for i, (caption, score) in enumerate(moments):
        axes = drawing.add_subplot(rows, columns, i + 1)
        decision_boundary(score, points, labels, axes=axes, title=caption)
        axes.set_xticks([])
        axes.set_yticks([])
    _key(drawing, names)
    drawing.subplots_adjust(
        left=0.02,
        right=0.98,
        bottom=(0.1 + KEY) / height,
        top=1 - (0.75 if title else 0.35) / height,
        wspace=0.06,
        hspace=0.14,
    )
    if title:
        drawing.suptitle(
            title,
            x=0.02,
            y=1 - 0.12 / height,
            va="top",
            ha="left",
            fontsize=11.5,
            fontweight="bold",
            color=style.INK,
        )
    return style.save(drawing, path)


def hidden_space(
    hidden: Callable[[np.ndarray], np.ndarray],
    weight: np.ndarray,
    bias: float,
    points: np.ndarray,
    labels: np.ndarray,
    path: str | Path | None = None,
    *,
    names: Sequence[str] = ("0", "1"),
    title: str = "",
) -> Any:
    """Why a hidden layer helps: what each unit sees of the plane, and the data in the space the units span.

    The last layer decides by the sign of `weight · h + bias`. The right picture shows the hidden values h
    along that direction and along the direction, at a right angle to it, in which they vary most: there a
    straight line separates what no line in the plane could.

    Args:
        hidden: points (n, 2) to hidden values (n, units).
        weight, bias: of the last layer, (units,) and a number.
        points, labels: the data.
        path: where to save the PNG.
        names: of the two classes.
        title: heading of the figure.
    """
    units = len(weight)
    rows = -(-units // 2)
    drawing = style.figure(10.4, 4.9)
    x, y, grid = _field(points)
    values = hidden(grid)
    left = drawing.add_gridspec(
        rows, 2, left=0.02, right=0.44, bottom=0.11, top=0.83, wspace=0.06, hspace=0.22
    )
    for unit in range(units):
        axes = drawing.add_subplot(left[unit // 2, unit % 2])
        speaks_for = names[int(weight[unit] > 0)]
        style.clean(axes, f"unit {unit + 1}, for “{speaks_for}”").title.set_fontsize(9)
        colour = style.CLASSES[int(weight[unit] > 0)]
        axes.imshow(
            values[:, unit].reshape(GRID, GRID),
            origin="lower",
            extent=(x[0], x[-1], y[0], y[-1]),
            cmap=style.sequential(colour),
            vmin=0,
            aspect="auto",
            interpolation="bilinear",
        )
        _scatter(axes, points[:250], labels[:250], size=4)
        axes.set_xticks([])
        axes.set_yticks([])
    _key(drawing, names)
    right = drawing.add_axes((0.52, 0.11, 0.455, 0.72))
    style.clean(right, "the same points in the hidden space", "what the last layer sees: w · h + b", "")
    seen = hidden(points)
    direction, across = _axes_of(seen, weight)
    with np.errstate(invalid="ignore"):  # of a network that diverged
        positions = np.stack([seen @ direction * np.linalg.norm(weight) + bias, seen @ across], 1)
    _scatter(right, positions, labels, size=14)
    right.axvline(0.0, color=style.INK, lw=2.0)
    right.set_ylabel("the direction, across it, of most spread", fontsize=9, color=style.INK)
    right.annotate(
        "one straight cut",
        (0.0, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(6, 8),
        textcoords="offset points",
        fontsize=9,
        color=style.INK,
    )
    if title:
        drawing.suptitle(title, x=0.02, ha="left", fontsize=11.5, fontweight="bold", color=style.INK)
    return style.save(drawing, path)


def _axes_of(hidden: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit vector along `weight`, and the one across it in which the hidden values spread most.

    A network that diverged has directions too, so that its picture, without points, can be drawn.
    """
    hidden, weight = (np.nan_to_num(values, posinf=0.0, neginf=0.0) for values in (hidden, weight))
    direction = weight / max(float(np.linalg.norm(weight)), 1e-12)
    rest = hidden - hidden.mean(0)
    rest = rest - np.outer(rest @ direction, direction)
    return direction, np.linalg.svd(rest, full_matrices=False)[2][0]


def _field(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = points.min(0), points.max(0)
    margin = 0.08 * (high - low)
    x = np.linspace(low[0] - margin[0], high[0] + margin[0], GRID, dtype=np.float32)
    y = np.linspace(low[1] - margin[1], high[1] + margin[1], GRID, dtype=np.float32)
    return x, y, np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _scatter(axes: Any, points: np.ndarray, labels: np.ndarray, size: float = 9) -> None:
    flat = np.asarray(labels).reshape(-1) > 0.5
    for label, colour in enumerate(style.CLASSES):
        chosen = points[flat == bool(label)]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, color=colour, alpha=0.75, linewidths=0)


def _key(drawing: Any, names: Sequence[str], left: float = 0.01) -> None:
    """Which colour is which class, at the lower edge of the figure."""
    from matplotlib.lines import Line2D

    dots = [Line2D([], [], marker="o", ls="", markersize=6, color=colour) for colour in style.CLASSES]
    drawing.legend(
        dots,
        list(names),
        loc="lower left",
        bbox_to_anchor=(left, 0.0),
        ncols=2,
        fontsize=9,
        frameon=False,
        labelcolor=style.INK,
        handletextpad=0.1,
        borderaxespad=0.2,
    )


def _line(
    axes: Any,
    x: np.ndarray,
    y: np.ndarray,
    field: np.ndarray,
    *,
    colour: str,
    width: float,
    dashed: bool = False,
) -> bool:
    """Draw where the field is one half; False where the whole plane is one class and there is no line."""
    if not field.min() < 0.5 < field.max():
        return False
    axes.contour(
        x, y, field, levels=[0.5], colors=[colour], linewidths=width, linestyles="--" if dashed else "-"
    )
    return True
