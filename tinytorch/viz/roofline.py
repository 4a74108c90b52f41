"""The roofline: how many FLOPs of each byte a layer makes, how fast it is, and how fast it could be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.viz import style

Row = Mapping[str, Any]
_LABEL = 7.5  # points, of the layers' names
_LARGEST = 260.0  # area of a point, in square points, of a layer that takes all the time
_BESIDE = 4  # of the places for a name, the first ones touch the point
_COLOURS = {"compute": style.ORANGE, "memory": style.BLUE}


def roofline(rows: Sequence[Row], machine: Row, path: str | Path | None = None, *, title: str = "") -> Any:
    """Layers under the two roofs of a machine, on logarithmic axes.

    Args:
        rows: mappings with `name`, `intensity` (FLOPs a byte), `reached` (GFLOP/s), `bound` ("compute" or
            "memory") and `share` of the time, which gives the size of the point; layers that did nothing
            (no intensity, or nothing reached) are left out. Three or more that differ only in the numbers in
            their names, as the blocks of a transformer do, are one point, where their `seconds` are known.
        machine: `peak_gflops` and `bandwidth_gbs`; where `cache_gbs` is there, the roof for data that is in
            the cache is drawn as well; `threads` and `processor` are named below the title.
        path: where to save the PNG.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    shown = _merged([row for row in rows if row["intensity"] > 0 and row["reached"] > 0])
    if not shown:
        raise ValueError("roofline: expected at least one layer that computes something, got none")
    peak, bandwidth = machine["peak_gflops"], machine["bandwidth_gbs"]
    ridge = peak / bandwidth
    drawing = style.figure(9.4, 5.6)
    drawing.set_dpi(120)  # as it is saved: the width of letters depends on it
    axes = style.clean(
        drawing.add_axes((0.075, 0.095, 0.9, 0.765)), "", "FLOPs for each byte moved", "GFLOP/s"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    intensities = [row["intensity"] for row in shown]
    left, right = min(*intensities, ridge) / 2.2, max(*intensities, ridge) * 3.5
    lowest = min(min(row["reached"] for row in shown), left * bandwidth)
    axes.set_xlim(left, right)
    axes.set_ylim(lowest / 2, peak * 3)
    axes.grid(color=style.GRID, lw=0.8)
    axes.set_axisbelow(True)
    names = _roofs(axes, machine, left, right, ridge)
    for bound, colour in _COLOURS.items():
        chosen = [row for row in shown if row["bound"] == bound]
        axes.scatter(
            [row["intensity"] for row in chosen],
            [row["reached"] for row in chosen],
            s=[(2 * _radius(row)) ** 2 for row in chosen],
            color=colour,
            alpha=0.8,
            linewidths=0,
            zorder=3,
            label=f"limited by {'arithmetic' if bound == 'compute' else 'memory'}",
        )
    legend = axes.legend(loc="lower right", fontsize=8, frameon=False, labelcolor=style.INK)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    _name_points(drawing, axes, shown, [*names, legend])
    about = [machine["processor"]] if machine.get("processor") else []
    about += [f"{machine['threads']} threads"] if machine.get("threads") else []
    about.append("larger points take more of the time")
    drawing.text(
        0.02, 0.975, title or "Roofline", fontsize=11.5, fontweight="bold", color=style.INK, va="top"
    )
    drawing.text(0.02, 0.925, "; ".join(about), fontsize=8.5, color=style.FAINT, va="top")
    return style.save(drawing, path)


def _merged(rows: Sequence[Row]) -> list[Row]:
    """One row for layers that repeat, at the speed that they reach together."""
    alike: dict[tuple, list[Row]] = {}
    for row in rows:
        number = re.sub(r"\d+", "*", row["name"])
        alike.setdefault((number, row.get("kind"), round(row["intensity"], 4)), []).append(row)
    found: list[Row] = []
    for (name, _, intensity), group in alike.items():
        if len(group) < 3 or not all(row.get("seconds") for row in group):
            found += group
            continue
        seconds = sum(row["seconds"] for row in group)
        found.append(
            {
                "name": f"{name} × {len(group)}",
                "intensity": intensity,
                "reached": sum(row["reached"] * row["seconds"] for row in group) / seconds,
                "bound": group[0]["bound"],
                "share": sum(row.get("share", 0.0) for row in group),
            }
        )
    return found


def _roofs(axes: Any, machine: Row, left: float, right: float, ridge: float) -> list[Any]:
    """The roofs, each with its name along it; gives the names."""
    peak, bandwidth = machine["peak_gflops"], machine["bandwidth_gbs"]
    axes.plot([left, ridge, right], [left * bandwidth, peak, peak], color=style.INK, lw=1.8, zorder=2)
    names = [
        axes.annotate(
            f"{peak:,.0f} GFLOP/s: multiplications and additions", (right, peak), (-4, 4), ha="right",
            textcoords="offset points", fontsize=8, color=style.INK,
        ),
        _along(axes, left, ridge, bandwidth, f"{bandwidth:,.1f} GB/s: memory", style.INK, below=True),
    ]  # fmt: skip
    cache = machine.get("cache_gbs", 0.0)
    if cache > bandwidth:
        corner = peak / cache
        start = max(left, axes.get_ylim()[0] / cache)
        if start < corner:
            axes.plot(
                [start, corner], [start * cache, peak], color=style.FAINT, lw=1.2, ls=(0, (5, 3)), zorder=2
            )
            names.append(
                _along(axes, start, corner, cache, f"{cache:,.0f} GB/s: cache", style.FAINT, below=False)
            )
    return names


def _along(axes: Any, left: float, right: float, slope: float, text: str, colour: str, *, below: bool) -> Any:
    """`text` along the line y = slope · x, from the middle between left and right on."""
    x = float(np.sqrt(left * right))
    return axes.annotate(
        text, (x, slope * x), (4, -6) if below else (-2, 5), textcoords="offset points", fontsize=8,
        color=colour, rotation=_angle(axes), rotation_mode="anchor", va="top" if below else "bottom",
    )  # fmt: skip


def _angle(axes: Any) -> float:
    """Degrees at which y = slope · x rises on the screen."""
    (x0, y0), (x1, y1) = axes.transData.transform([(1.0, 1.0), (10.0, 10.0)])
    return float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))


def _name_points(drawing: Any, axes: Any, rows: Sequence[Row], taken: Sequence[Any]) -> None:
    """Write each layer's name beside its point, at the nearest place where nothing is written yet.

    The layers that take most of the time come first; one for which no place is left has no name.
    """
    renderer = drawing.canvas.get_renderer()
    boxes = [np.asarray(artist.get_window_extent(renderer).extents) for artist in taken]
    inside = np.asarray(axes.get_window_extent(renderer).extents)
    scale = drawing.dpi / 72
    points = axes.transData.transform([(row["intensity"], row["reached"]) for row in rows])
    radii = [_radius(row) * scale for row in rows]
    boxes += [np.array([x - r, y - r, x + r, y + r]) for (x, y), r in zip(points, radii, strict=True)]
    for line in axes.lines:
        boxes += _beads(axes, line)
    order = sorted(range(len(rows)), key=lambda i: -rows[i].get("share", 0.0))
    for i in order:
        x, y = points[i]
        text = axes.annotate(
            rows[i]["name"], (rows[i]["intensity"], rows[i]["reached"]), (0, 0), textcoords="offset points",
            fontsize=_LABEL, color=style.INK, ha="left", va="bottom", zorder=4,
        )  # fmt: skip
        extent = text.get_window_extent(renderer)
        width, height = extent.width, extent.height
        for place, (dx, dy) in enumerate(_places(width, height, radii[i])):
            box = np.array([x + dx, y + dy, x + dx + width, y + dy + height])
            if _within(box, inside) and not any(_overlap(box, other) for other in boxes):
                text.set_position((dx / scale, dy / scale))
                boxes.append(box)
                if place >= _BESIDE:
                    _lead(axes, text, rows[i])
                break
        else:
            text.remove()


def _radius(row: Row) -> float:
    """Of a layer's point, in points of print."""
    return float(np.sqrt(max(14.0, _LARGEST * row.get("share", 0.0)))) / 2


def _beads(axes: Any, line: Any) -> list[np.ndarray]:
    """Small boxes along a line, so that no name is written across it."""
    corners = axes.transData.transform(line.get_xydata())
    steps = np.linspace(0, 1, 120)[:, None]
    found = [start + steps * (end - start) for start, end in itertools.pairwise(corners)]
    return [np.array([x - 1, y - 1, x + 1, y + 1]) for x, y in np.concatenate(found)]


def _places(width: float, height: float, radius: float) -> list[tuple[float, float]]:
    """Offsets of a text's lower left corner from its point, the nearest first."""
    near = radius + 2
    places = [
        (near, -height / 2),
        (-near - width, -height / 2),
        (-width / 2, near),
        (-width / 2, -near - height),
    ]
    for step in range(1, 9):
        up = near + step * height * 0.9
        for dy in (up, -up - height):
            places += [(near, dy), (-width / 2, dy), (-near - width, dy)]
    return places


def _lead(axes: Any, text: Any, row: Row) -> None:
    """A thin line from a text that stands far off to its point."""
    axes.annotate(
        "", (row["intensity"], row["reached"]), text.get_position(), textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": style.FAINT, "lw": 0.6},
    )  # fmt: skip


def _within(box: np.ndarray, outer: np.ndarray) -> bool:
    return bool(box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3])


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])
