"""What models cost and how good they are: every point measured, those that another beats in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinytorch.viz import style
from tinytorch.viz.curves import framed

LINE = 0.058  # of a row of the legend, in heights of the figure
TOGETHER = 13  # pixels between two points, from which on both have a number inside
ROOM = 0.06  # of the axis above and below the points


def pareto(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    quality: str = "accuracy on the test data, %",
    falls: bool = False,
    floor: float | None = None,
    latency: str = "milliseconds for one example",
    title: str = "",
) -> Any:
    """Quality against bytes, and against latency, both logarithmic, with 95 % intervals.

    Each point has a number, and its name stands beside the pictures. Up and to the left is better.

    Args:
        rows: mappings with `name`, `bytes`, `seconds` and `quality` (each (value, low, high)), and `front`,
            false where another model is no worse in bytes, seconds and quality, and better in one.
        path: where to save the PNG.
        quality: heading of the vertical axes.
        falls: lower is better, as of a loss; the axis is turned, so that better is up.
        floor: worse values are drawn at the edge, with an arrow and the number: one model that is broken
            must not press all others into a line.
        latency: what is on the second panel's horizontal axis.
        title: heading of the figure.

    Returns the matplotlib figure.
    """
    if not rows:
        raise ValueError("pareto: expected at least one model, got none")
    drawing = style.figure(11.4, max(3.9, 0.24 * len(rows) + 1.2))
    framed(drawing, title, None, bottom=0.13, left=0.055, right=0.78)
    panels = drawing.subplots(1, 2, sharey=True)
    low, high = _span(rows, falls, floor)
    for axes, key, label, scale in zip(
        panels, ("bytes", "seconds"), ("bytes of the file", latency), (1, 1e3), strict=True
    ):
        style.clean(axes, "", label)
        axes.set_xscale("log")
        places = {
            number: place
            for number, row in enumerate(rows, 1)
            if (place := _point(axes, number, row, key, scale, (low, high), falls))
        }
        front = sorted(
            (_values(row[key])[0] * scale, _values(row["quality"])[0]) for row in rows if row["front"]
        )
        axes.plot(*zip(*_stairs(front, falls), strict=True), color=style.BLUE, lw=1, alpha=0.35, zorder=1)
        axes.grid(color=style.GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.set_ylim((high, low) if falls else (low, high))
        _plain_ticks(axes)
        _number(axes, places)
    panels[0].set_title(quality, loc="left", fontsize=10, color=style.INK, pad=6)
    for number, row in enumerate(rows, 1):
        colour = style.INK if row["front"] else style.FAINT
        height = 0.82 - LINE * 3.9 / drawing.get_figheight() * (number - 1)
        drawing.text(0.80, height, f"{number:>2}", ha="right", va="top", fontsize=8.5, color=colour)
        drawing.text(0.81, height, row["name"], va="top", fontsize=8.5, color=colour)
    return style.save(drawing, path)


def _values(entry: Any) -> tuple[float, float, float]:
    """Value, low and high of what may be a plain number."""
    return tuple(entry) if isinstance(entry, Sequence) else (entry, entry, entry)


def _span(rows: Sequence[Mapping[str, Any]], falls: bool, floor: float | None) -> tuple[float, float]:
    """The lowest and highest quality that are on the axis."""
    ends = [end for row in rows for end in _values(row["quality"])]
    low, high = min(ends), max(ends)
    if floor is not None:
        low, high = (low, min(high, floor)) if falls else (max(low, floor), high)
    room = ROOM * (high - low) or 0.01 * abs(high) or 0.01
    return low - room, high + room


def _point(
    axes: Any,
    number: int,
    row: Mapping[str, Any],
    key: str,
    scale: float,
    span: tuple[float, float],
    falls: bool,
) -> tuple[float, float] | None:
    """Draw a point and its intervals; returns where it is, None at the edge."""
    x, x_low, x_high = (scale * v for v in _values(row[key]))
    y, y_low, y_high = _values(row["quality"])
    colour = style.BLUE if row["front"] else style.GREYS[0]
    outside = y > span[1] if falls else y < span[0]
    if outside:
        edge = span[1] if falls else span[0]
        axes.annotate(
            f"{number}: {y:.4g}", (x, edge), xytext=(0, 14), textcoords="offset points", ha="center",
            fontsize=7.5, color=style.FAINT, arrowprops={"arrowstyle": "->", "color": style.FAINT, "lw": 0.8},
        )  # fmt: skip
        return None
    axes.errorbar(
        [x], [y], xerr=[[x - x_low], [x_high - x]], yerr=[[y - y_low], [y_high - y]], fmt="none",
        ecolor=colour, elinewidth=1, alpha=0.8, zorder=2,
    )  # fmt: skip
    axes.plot([x], [y], "o", markersize=11, color=colour, mec="white", mew=1, zorder=3 + bool(row["front"]))
    return x, y


def _number(axes: Any, places: Mapping[int, tuple[float, float]]) -> None:
    """Write each point's number into it; points on one place have theirs beside it, in one line."""
    axes.autoscale_view(scaley=False)
    heaps: list[list[int]] = []
    pixels = {number: axes.transData.transform(place) for number, place in places.items()}
    for number, (x, y) in pixels.items():
        for heap in heaps:
            if abs(x - pixels[heap[0]][0]) + abs(y - pixels[heap[0]][1]) < TOGETHER:
                heap.append(number)
                break
        else:
            heaps.append([number])
    for heap in heaps:
        alone = len(heap) == 1
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white", "fontweight": "bold"}
        beside: dict[str, Any] = {"xytext": (8, 6), "textcoords": "offset points", "color": style.INK}
        axes.annotate(
            " ".join(map(str, heap)), places[heap[0]], fontsize=6.8, zorder=5, **(look if alone else beside)
        )


def _stairs(front: list[tuple[float, float]], falls: bool) -> list[tuple[float, float]]:
    """The corners of the line below which nothing lies: from left to right, the best quality so far."""
    best, corners = None, []
    for x, y in front:
        if best is None or (y < best if falls else y > best):
            if best is not None:
                corners.append((x, best))
            corners.append((x, y))
            best = y
    return corners or [(1.0, 1.0)]


def _plain_ticks(axes: Any) -> None:
    """Numbers such as 200,000 and 0.05 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 10 else f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
