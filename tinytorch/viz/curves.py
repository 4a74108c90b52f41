"""Learning curves, and what a study over sizes found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinytorch.viz import style

LABEL_HEIGHT = 0.075  # of a mark's name, in heights of the axes


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    marks: Mapping[str, float] | None = None,
    title: str = "",
) -> Any:
    """Loss on the left, accuracy on the right, over epochs.

    Args:
        history: one mapping for each epoch with `epoch`, `loss` and `accuracy` (0 to 1); None leaves a gap.
        path: where to save the PNG.
        marks: accuracies to draw as lines, by name.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if not history:
        raise ValueError("learning_curves: expected at least one epoch in the history, got none")
    epochs = [entry["epoch"] for entry in history]
    losses = [_or_nan(entry.get("loss")) for entry in history]
    accuracies = [100 * _or_nan(entry.get("accuracy")) for entry in history]
    shape = {"marker": "o", "markersize": 4} if len(epochs) <= 40 else {}
    drawing = style.figure(8.6, 3.3)
    left, right = drawing.subplots(1, 2)
    style.clean(left, "loss on the training data", "epoch")
    left.plot(epochs, losses, color=style.BLUE, lw=1.8, **shape)
    left.set_ylim(0.0, 1.06 * max((loss for loss in losses if math.isfinite(loss)), default=0.0) or 1.0)
    last = f": {accuracies[-1]:.2f} % at the end" if accuracies[-1] == accuracies[-1] else ", %"
    style.clean(right, f"accuracy on the test data{last}", "epoch")
    right.plot(epochs, accuracies, color=style.ORANGE, lw=1.8, **shape)
    known = [a for a in accuracies if a == a]
    lowest = min([*known, *(100 * m for m in (marks or {}).values())], default=0.0)
    top = 100.0 + 0.04 * (100 - lowest + 1)
    bottom = max(0.0, lowest - 0.06 * (100 - lowest) - 0.5)
    right.set_ylim(bottom, top)
    lines = sorted((100 * mark, name) for name, mark in (marks or {}).items())
    places = _apart([mark for mark, _ in lines], LABEL_HEIGHT * (top - bottom), top)
    for (mark, name), place in zip(lines, places, strict=True):
        right.axhline(mark, color=style.FAINT, lw=0.9, ls=(0, (4, 3)), zorder=0)
        right.annotate(
            f"{name} {mark:g}",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=style.FAINT,
        )
    for axes in (left, right):
        axes.grid(axis="y", color=style.GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", integer=True)
    return _framed(drawing, title, path, bottom=0.17, right=0.895 if marks else 0.975)


def scaling(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    label: str = "hidden units",
    title: str = "",
) -> Any:
    """What growing a model costs and brings: seconds an epoch, parameters, and accuracy after the same
    epochs.

    Costs are bars, from zero; accuracies, which are close together, are points on an axis of their own.

    Args:
        rows: mappings with `size`, `params`, `seconds_per_epoch` and `accuracy`.
        path: where to save the PNG.
        label: what `size` counts.
        title: heading of the figure.
    """
    sizes = [str(row["size"]) for row in rows]
    drawing = style.figure(9.6, 3.1)
    *costs, right = drawing.subplots(1, 3)
    panels = (
        ("parameters", [row["params"] for row in rows], style.FAINT, "{:,.0f}"),
        ("seconds an epoch", [row["seconds_per_epoch"] for row in rows], style.BLUE, "{:.3g}"),
    )
    for axes, (name, values, colour, form) in zip(costs, panels, strict=True):
        style.clean(axes, name, label)
        bars = axes.bar(sizes, values, color=colour, width=0.62)
        axes.bar_label(bars, [form.format(v) for v in values], fontsize=8, color=style.INK, padding=2)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(0, 1.14 * max(values))
    style.clean(right, "accuracy on the test data, %", label)
    accuracies = [100 * row["accuracy"] for row in rows]
    right.plot(sizes, accuracies, "o", color=style.ORANGE, markersize=7)
    for size, accuracy in zip(sizes, accuracies, strict=True):
        right.annotate(
            f"{accuracy:.2f}",
            (size, accuracy),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.INK,
        )
    margin = 0.25 * max(max(accuracies) - min(accuracies), 2.0)
    bottom, top = min(accuracies) - margin, max(accuracies) + margin
    right.set_ylim(bottom, top)
    right.set_yticks([tick for tick in right.get_yticks() if bottom <= tick <= min(top, 100.0)])
    right.set_xlim(-0.6, len(sizes) - 0.4)
    right.grid(axis="y", color=style.GRID, lw=0.8)
    right.set_axisbelow(True)
    return _framed(drawing, title, path, bottom=0.2)


def _apart(places: Sequence[float], gap: float, top: float) -> list[float]:
    """Ascending `places`, moved as little as gives each `gap` to its neighbour and keeps all below `top`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], top)
        top = moved[i] - gap
    return moved


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _framed(drawing: Any, title: str, path: str | Path | None, *, bottom: float, right: float = 0.975) -> Any:
    drawing.subplots_adjust(left=0.06, right=right, bottom=bottom, top=0.82 if title else 0.9, wspace=0.18)
    if title:
        drawing.suptitle(title, x=0.06, ha="left", fontsize=11.5, fontweight="bold", color=style.INK)
    return style.save(drawing, path)
