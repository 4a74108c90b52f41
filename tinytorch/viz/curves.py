"""Learning curves, and what studies over sizes and over shifted images found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinytorch.viz import style

LABEL_HEIGHT = 0.075  # of a mark's name, in heights of the axes
LINES = (style.BLUE, style.ORANGE, style.GREEN, style.RED)


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
        _beside(right, f"{name} {mark:g}", place, style.FAINT, 7.5)
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


def translation(
    shifts: Sequence[int],
    accuracies: Mapping[str, Sequence[float]],
    path: str | Path | None = None,
    *,
    chance: float | None = None,
    title: str = "",
) -> Any:
    """What shifting the test images does to the accuracy, a line for each model.

    Args:
        shifts: by how many pixels.
        accuracies: of each model, by its name, at each shift (0 to 1).
        path: where to save the PNG.
        chance: the accuracy of guessing, a dashed line.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if not accuracies or not len(shifts):
        raise ValueError("translation: expected at least one shift and one model, got none")
    for name, values in accuracies.items():
        if len(values) != len(shifts):
            raise ValueError(
                f"translation: expected {len(shifts)} accuracies of {name}, one for each shift, "
                f"got {len(values)}"
            )
    drawing = style.figure(6.4, 3.6)
    axes = style.clean(
        drawing.subplots(), "accuracy on the test data, %", "pixels that the images were shifted by"
    )
    lines = sorted(
        ((100 * values[-1], name, [100 * value for value in values]) for name, values in accuracies.items())
    )
    places = _apart([last for last, *_ in lines], 6.0, 100.0)
    colours = dict(zip(accuracies, LINES * len(accuracies), strict=False))
    for (last, name, values), place in zip(lines, places, strict=True):
        axes.plot(shifts, values, color=colours[name], lw=1.8, marker="o", markersize=4, clip_on=False)
        _beside(axes, f"{name} {last:.1f}", place, colours[name], 8.5)
    if chance is not None:
        axes.axhline(100 * chance, color=style.FAINT, lw=0.9, ls=(0, (4, 3)), zorder=0)
        axes.annotate(
            f"chance {100 * chance:g}",
            (0.0, 100 * chance),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=style.FAINT,
        )
    axes.set_ylim(0.0, 100.0)
    axes.set_xticks(list(shifts))
    axes.grid(axis="y", color=style.GRID, lw=0.8)
    axes.set_axisbelow(True)
    return _framed(drawing, title, path, bottom=0.15, left=0.07, right=0.74)


def _beside(axes: Any, text: str, place: float, colour: str, size: float) -> None:
    """A text to the right of the axes, at a value on their y axis."""
    axes.annotate(
        text,
        (1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=size,
        color=colour,
    )


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


def _framed(
    drawing: Any,
    title: str,
    path: str | Path | None,
    *,
    bottom: float,
    left: float = 0.06,
    right: float = 0.975,
) -> Any:
    drawing.subplots_adjust(left=left, right=right, bottom=bottom, top=0.82 if title else 0.9, wspace=0.18)
    if title:
        drawing.suptitle(title, x=left, ha="left", fontsize=11.5, fontweight="bold", color=style.INK)
    return style.save(drawing, path)
