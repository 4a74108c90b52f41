"""Learning curves, and what studies over sizes and over shifted images found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
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
    metric: str = "accuracy",
    metric_label: str = "accuracy on the test data",
    percent: bool = True,
) -> Any:
    """Loss on the left, accuracy or another metric on the right, over epochs.

    Args:
        history: one mapping for each epoch with `epoch`, `loss` and the metric; None leaves a gap.
        path: where to save the PNG.
        marks: values of the metric to draw as lines, by name.
        title: heading of the figure.
        metric: its key in the history.
        metric_label: what it is, for the heading of its panel.
        percent: it is a share, 0 to 1; otherwise it is shown as it is, and has no upper end.

    Returns the matplotlib figure.
    """
    if not history:
        raise ValueError("learning_curves: expected at least one epoch in the history, got none")
    epochs = [entry["epoch"] for entry in history]
    losses = [_or_nan(entry.get("loss")) for entry in history]
    scale = 100 if percent else 1
    values = [scale * _or_nan(entry.get(metric)) for entry in history]
    shape = {"marker": "o", "markersize": 4} if len(epochs) <= 40 else {}
    drawing = style.figure(8.6, 3.3)
    left, right = drawing.subplots(1, 2)
    style.clean(left, "loss on the training data", "epoch")
    left.plot(epochs, losses, color=style.BLUE, lw=1.8, **shape)
    left.set_ylim(0.0, 1.06 * max((loss for loss in losses if math.isfinite(loss)), default=0.0) or 1.0)
    unit, end = (", %", f"{values[-1]:.2f} %") if percent else ("", f"{values[-1]:.4f}")
    last = f": {end} at the end" if math.isfinite(values[-1]) else unit
    style.clean(right, f"{metric_label}{last}", "epoch")
    right.plot(epochs, values, color=style.ORANGE, lw=1.8, **shape)
    lines = sorted((scale * mark, name) for name, mark in (marks or {}).items())
    bottom, top = _span([*filter(math.isfinite, values), *(mark for mark, _ in lines)], percent)
    right.set_ylim(bottom, top)
    places = apart([mark for mark, _ in lines], LABEL_HEIGHT * (top - bottom), top)
    for (mark, name), place in zip(lines, places, strict=True):
        right.axhline(mark, color=style.FAINT, lw=0.9, ls=(0, (4, 3)), zorder=0)
        beside(right, f"{name} {mark:g}", place, style.FAINT, 7.5)
    for axes in (left, right):
        axes.grid(axis="y", color=style.GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", integer=True)
    return framed(drawing, title, path, bottom=0.17, right=0.88 if marks else 0.975)


def scaling(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    label: str = "hidden units",
    title: str = "",
    metric: str = "accuracy",
    metric_label: str = "accuracy on the test data",
    percent: bool = True,
) -> Any:
    """What growing a model costs and brings: seconds an epoch, parameters, and accuracy or another metric
    after the same epochs.

    Costs are bars, from zero; accuracies, which are close together, are points on an axis of their own.

    Args:
        rows: mappings with `size`, `params`, `seconds_per_epoch` and the metric.
        path: where to save the PNG.
        label: what `size` counts.
        title: heading of the figure.
        metric, metric_label, percent: as in `learning_curves`.
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
    style.clean(right, f"{metric_label}, %" if percent else metric_label, label)
    values = [row[metric] * (100 if percent else 1) for row in rows]
    right.plot(sizes, values, "o", color=style.ORANGE, markersize=7)
    for size, value in zip(sizes, values, strict=True):
        right.annotate(
            f"{value:.2f}",
            (size, value),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.INK,
        )
    margin = 0.25 * max(max(values) - min(values), 2.0 if percent else 0.02 * max(values))
    bottom, top = min(values) - margin, max(values) + margin
    right.set_ylim(bottom, top)
    highest = min(top, 100.0) if percent else top
    right.set_yticks([tick for tick in right.get_yticks() if bottom <= tick <= highest])
    right.set_xlim(-0.6, len(sizes) - 0.4)
    right.grid(axis="y", color=style.GRID, lw=0.8)
    right.set_axisbelow(True)
    return framed(drawing, title, path, bottom=0.2)


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
    places = apart([last for last, *_ in lines], 6.0, 100.0)
    colours = dict(zip(accuracies, LINES * len(accuracies), strict=False))
    for (last, name, values), place in zip(lines, places, strict=True):
        axes.plot(shifts, values, color=colours[name], lw=1.8, marker="o", markersize=4, clip_on=False)
        beside(axes, f"{name} {last:.1f}", place, colours[name], 8.5)
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
    return framed(drawing, title, path, bottom=0.15, left=0.07, right=0.74)


def beside(axes: Any, text: str, place: float, colour: str, size: float) -> None:
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


def apart(places: Sequence[float], gap: float, top: float) -> list[float]:
    """Ascending `places`, moved as little as gives each `gap` to its neighbour, and keeps all below `top`.

    Neighbours that would touch are one block, around the middle of where they belong.

    >>> apart([1.0, 1.5, 9.0], gap=1.5, top=10.0)
    [0.5, 2.0, 9.0]
    """
    blocks: list[list[float]] = []  # of each the places, less the gaps below them
    for i, place in enumerate(places):
        block = [place - i * gap]
        while blocks and fmean(blocks[-1]) > fmean(block):
            block = blocks.pop() + block
        blocks.append(block)
    moved = [fmean(block) for block in blocks for _ in block]
    return [min(place, top - (len(moved) - 1) * gap) + i * gap for i, place in enumerate(moved)]


def _span(values: Sequence[float], percent: bool) -> tuple[float, float]:
    """The ends of an axis that shows all of `values`; shares of one have 100 % at its top."""
    lowest = min(values, default=0.0)
    if percent:
        return max(0.0, lowest - 0.06 * (100 - lowest) - 0.5), 100.0 + 0.04 * (100 - lowest + 1)
    highest = max(values, default=1.0)
    margin = 0.06 * (highest - lowest) or 0.5
    return lowest - margin, highest + margin


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def framed(
    drawing: Any,
    title: str,
    path: str | Path | None,
    *,
    bottom: float,
    left: float = 0.06,
    right: float = 0.975,
) -> Any:
    """The figure with its margins, as shares of its width and height, and its title; saved to `path`."""
    drawing.subplots_adjust(left=left, right=right, bottom=bottom, top=0.82 if title else 0.9, wspace=0.18)
    if title:
        drawing.suptitle(title, x=left, ha="left", fontsize=11.5, fontweight="bold", color=style.INK)
    return style.save(drawing, path)
