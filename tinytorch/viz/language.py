"""Pictures of language models: how the loss falls, what attention costs, how fast text is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytorch.viz import style
from tinytorch.viz.curves import apart, framed

Row = Mapping[str, Any]
LINE = 1.35  # from one line of text to the next, in heights of its letters
MARKERS = 40  # points of a line, up to which each is marked


@dataclass(frozen=True)
class Name:
    """A text at the right of the axes for what ends at (x, y); x None: at their edge."""

    text: str
    y: float
    colour: str
    x: float | None = None


def language_curve(
    history: Sequence[Row],
    baselines: Mapping[str, float],
    marks: Mapping[str, float],
    path: str | Path | None = None,
    *,
    metric: str = "loss per character",
    training: str | None = "loss",
    title: str = "",
) -> Any:
    """How surprised a language model is by text that it was not trained on, beside models that only count.

    Args:
        history: one mapping for each epoch with `epoch`, the metric and the training loss, in nats; None is
            left out. Where all have `tokens`, how many the model has read, these are the x axis.
        baselines: losses of simpler models by name, dashed lines.
        marks: losses to reach by name, thin lines.
        path: where to save the PNG.
        metric: its key in the history.
        training: key of the training loss; None where it is not in the same unit, and not to be drawn.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if not history:
        raise ValueError("language_curve: expected at least one epoch in the history, got none")
    counted = all(entry.get("tokens") is not None for entry in history)
    drawing = style.figure(8.6, 4.3)
    label = metric.replace("_", " ")
    axes = style.clean(drawing.subplots(), f"{label}, nats", "tokens read" if counted else "epoch")
    names, shape = [], _shape(history)
    for key, name, colour in ((metric, "validation", style.BLUE), (training, "training", style.ORANGE)):
        points = _points(history, "tokens" if counted else "epoch", key) if key else []
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, lw=1.8, **shape)
            names.append(Name(f"{name} {points[-1][1]:.3f}", points[-1][1], colour, points[-1][0]))
    for lines, colour, look in (
        (baselines, style.GREYS[3], {"ls": (0, (5, 3)), "lw": 1.1}),
        (marks, style.GREYS[1], {"lw": 0.7}),
    ):
        for name, value in lines.items():
            axes.axhline(value, color=colour, zorder=0, **look)
            names.append(Name(f"{name} {value:.4g}", value, colour))
    axes.locator_params(axis="x", integer=not counted, min_n_ticks=1)
    if counted:
        axes.xaxis.set_major_formatter(lambda tokens, _: _short(tokens))
    axes.margins(x=0.02)
    framed(drawing, title, None, bottom=0.125, left=0.055, right=0.8)
    _name_ends(axes, names)
    return style.save(drawing, path)


def attention_cost(rows: Sequence[Row], path: str | Path | None = None, *, title: str = "") -> Any:
    """Time and memory of attention over the length of the context: computed tile by tile, and with all scores
    stored. Both axes are logarithmic, so that a power of t is a straight line; two of them are drawn.

    Args:
        rows: mappings with `t`, `seconds` and `mib`, and `naive_seconds` and `naive_mib` where all scores
            were stored; what is missing, None or zero is left out.
        path: where to save the PNG.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if len(rows) < 2:
        raise ValueError(f"attention_cost: expected at least two lengths, got {len(rows)}")
    drawing = style.figure(10.4, 4.0)
    framed(drawing, title, None, bottom=0.135, left=0.055, right=0.87)
    panels = drawing.subplots(1, 2, gridspec_kw={"wspace": 0.42})
    for axes, heading, key in zip(panels, ("seconds", "MiB at most"), ("seconds", "mib"), strict=True):
        style.clean(axes, heading, "tokens of context, t")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        lines = {"tile by tile": key, "scores stored": f"naive_{key}"}
        curves = {name: _positive(_points(rows, "t", which)) for name, which in lines.items()}
        names = []
        for (name, points), colour in zip(curves.items(), (style.BLUE, style.ORANGE), strict=True):
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, lw=1.8, **_shape(points))
                names.append(Name(name, points[-1][1], colour, points[-1][0]))
        names += _powers(axes, [point for points in curves.values() for point in points])
        ticks = [row["t"] for row in rows]
        axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
        axes.minorticks_off()
        axes.grid(color=style.GRID, lw=0.8)
        axes.set_axisbelow(True)
        _name_ends(axes, names)
    return style.save(drawing, path)


def generation_speed(rows: Sequence[Row], path: str | Path | None = None, *, title: str = "") -> Any:
    """Milliseconds for each token over its position: with a cache of keys and values, and without one.

    Args:
        rows: mappings with `position`, `cached_ms` and `full_ms`; what is missing or None is left out.
        path: where to save the PNG.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if not rows:
        raise ValueError("generation_speed: expected at least one position, got none")
    drawing = style.figure(7.6, 3.6)
    axes = style.clean(drawing.subplots(), "milliseconds per token", "position of the token")
    names, most = [], 0.0
    for key, name, colour in (
        ("full_ms", "without the cache", style.ORANGE),
        ("cached_ms", "with the cache", style.BLUE),
    ):
        points = _points(rows, "position", key)
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, lw=1.8, **_shape(points))
            names.append(Name(f"{name} {points[-1][1]:.3g} ms", points[-1][1], colour, points[-1][0]))
            most = max(most, *(value for _, value in points))
    axes.set_ylim(0.0, 1.06 * most or 1.0)
    axes.margins(x=0.02)
    axes.grid(axis="y", color=style.GRID, lw=0.8)
    axes.set_axisbelow(True)
    framed(drawing, title, None, bottom=0.15, left=0.065, right=0.73)
    _name_ends(axes, names)
    return style.save(drawing, path)


def _points(rows: Sequence[Row], x: str, y: str) -> list[tuple[float, float]]:
    """What of `y` is there and a number."""
    pairs = ((row[x], row.get(y)) for row in rows)
    return [(place, value) for place, value in pairs if value is not None and math.isfinite(value)]


def _positive(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(place, value) for place, value in points if value > 0]


def _shape(points: Sequence[Any]) -> dict[str, Any]:
    return {"marker": "o", "markersize": 4} if len(points) <= MARKERS else {}


def _short(count: float) -> str:
    """A large number as it is said: 2.5 M, 300 k."""
    for power, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(count) >= power:
            return f"{count / power:g}{unit}"
    return f"{count:g}"


def _powers(axes: Any, points: Sequence[tuple[float, float]]) -> list[Name]:
    """Draw t and t² from a point below the first of `points`, as far as these reach; give them names."""
    if not points:
        return []
    (first, least), last = min(points), max(t for t, _ in points)
    start, top = least / 2, max(value for _, value in points)
    names = []
    for power, name in ((1, "∝ t"), (2, "∝ t²")):
        end = min(last, first * (top / start) ** (1 / power))
        value = start * (end / first) ** power
        axes.plot([first, end], [start, value], color=style.FAINT, lw=0.9, ls=(0, (4, 3)), zorder=1)
        names.append(Name(name, value, style.FAINT, end))
    return names


def _name_ends(axes: Any, names: Sequence[Name], size: float = 8.5) -> None:
    """Write the names at the right of the axes, none over another, with a line to what each one ends."""
    across = axes.get_position().height * axes.figure.get_figheight()  # inches
    edge, (low, high) = axes.get_xlim()[1], axes.get_ylim()
    axes.set_ylim(low, high)
    to_fraction = axes.transData + axes.transAxes.inverted()
    ends = [(edge if name.x is None else name.x, name.y) for name in names]
    heights = [float(to_fraction.transform(end)[1]) for end in ends]
    order = sorted(range(len(names)), key=heights.__getitem__)
    places = apart([heights[i] for i in order], LINE * size / 72 / across, 1.02)
    for i, place in zip(order, places, strict=True):
        axes.annotate(
            names[i].text,
            ends[i],
            xytext=(1.045, place),
            textcoords="axes fraction",
            va="center",
            fontsize=size,
            color=names[i].colour,
            arrowprops={
                "arrowstyle": "-",
                "color": names[i].colour,
                "lw": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )
