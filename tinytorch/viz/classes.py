"""Pictures of a classifier of images: the confusion matrix, and the mistakes it was surest of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.viz import style
from tinytorch.viz.pixels import picture

SHORT = 3  # characters up to which a class's name fits beside another one, upright


def confusion_matrix(
    counts: np.ndarray, names: Sequence[str], path: str | Path | None = None, *, title: str = ""
) -> Any:
    """Which class is read as which: rows are the truth, columns the answer.

    The diagonal is shaded by the share that was right, everything else by the share of its row on a scale of
    its own: a few mistakes would be invisible beside a thousand right answers.

    Args:
        counts: (classes, classes) whole numbers.
        names: of the classes.
        path: where to save the PNG.
        title: heading of the figure.
    """
    counts = np.asarray(counts)
    classes = len(names)
    if counts.shape != (classes, classes):
        raise ValueError(
            f"confusion_matrix: expected counts of shape {(classes, classes)}, got {counts.shape}"
        )
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    wrong = np.where(np.eye(classes, dtype=bool), np.nan, share)
    right = np.where(np.eye(classes, dtype=bool), share, np.nan)
    longest = max(map(len, names), default=0)
    more = max(0.065 * longest - 0.25, 0.0)  # inches that long names need at the left and below
    width, height = 6.4 + more, 6.1 + more
    drawing = style.figure(width, height)
    left = 0.64 / width
    axes = drawing.add_axes((left + more / width, (0.55 + more) / height, 5.5 / width, 4.88 / height))
    worst = np.nanmax(wrong) if classes > 1 else 0.0
    axes.imshow(wrong, cmap=style.sequential(style.RED), vmin=0, vmax=max(worst * 1.25, 1e-9))
    axes.imshow(right, cmap=style.sequential(style.GREEN), vmin=0, vmax=1.2)
    for truth in range(classes):
        for answer in range(classes):
            if counts[truth, answer]:
                strong = truth == answer
                axes.text(
                    answer,
                    truth,
                    f"{counts[truth, answer]:,}",
                    ha="center",
                    va="center",
                    fontsize=9 if strong else 8,
                    fontweight="bold" if strong else "normal",
                    color="white" if strong else style.INK,
                )
    style.clean(axes, "", "the answer", "the truth")
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if longest > SHORT else {}
    axes.set_xticks(range(classes), names, **slanted)
    axes.set_yticks(range(classes), names)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xticks(np.arange(-0.5, classes), minor=True)
    axes.set_yticks(np.arange(-0.5, classes), minor=True)
    axes.grid(which="minor", color="white", lw=1.5)
    axes.tick_params(which="minor", length=0)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    drawing.suptitle(
        title or "who is taken for whom", x=left, ha="left", fontsize=11.5, fontweight="bold", color=style.INK
    )
    drawing.text(
        left,
        1 - 0.55 / height,
        f"{np.trace(counts):,} of {counts.sum():,} right, {100 * accuracy:.2f} %",
        fontsize=9.5,
        color=style.FAINT,
    )
    return style.save(drawing, path)


def worst_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    path: str | Path | None = None,
    *,
    columns: int = 8,
    rows: int = 3,
    title: str = "",
) -> Any:
    """The images that a model got wrong and was surest about, the surest first.

    Above each stands what it shows and what was read: truth → answer, "?" where the output is not a number.

    Args:
        images: (n, h, w), (n, 1, h, w) or (n, 3, h, w), bytes or floats.
        labels: the truth, (n,).
        probabilities: what the model gave each class, (n, classes).
        names: of the classes.
        path: where to save the PNG.
        columns, rows: how many to show at most.
        title: heading of the figure.
    """
    order = mistakes(labels, probabilities)
    rows = max(1, min(rows, -(-len(order) // columns)))
    height = 1.55 * rows + 0.55
    short = max(map(len, names), default=0) <= SHORT
    drawing = style.figure(1.25 * columns, height)
    drawing.suptitle(
        title or "the mistakes it was surest of",
        x=0.02,
        y=1 - 0.1 / height,
        va="top",
        ha="left",
        fontsize=11.5,
        fontweight="bold",
        color=style.INK,
    )
    if len(order):
        drawing.text(
            0.98,
            1 - 0.13 / height,
            "what it is → what was read",
            va="top",
            ha="right",
            fontsize=9.5,
            color=style.FAINT,
        )
    else:
        drawing.text(
            0.5, 0.45, "none: every image was read correctly", ha="center", fontsize=12, color=style.GREEN
        )
    for place, i in enumerate(order[: columns * rows]):
        axes = drawing.add_subplot(rows, columns, place + 1)
        axes.imshow(picture(images[i], "worst_mistakes"), cmap="gray_r", interpolation="nearest")
        truth, sure = names[int(labels[i])], float(probabilities[i].max())
        answer, told = names[int(probabilities[i].argmax())], f"{100 * sure:.1f} % sure"
        if sure != sure:
            answer, told = "?", "not a number"
        axes.set_title(f"{truth} → {answer}", fontsize=10 if short else 7, color=style.INK, pad=2)
        axes.set_xlabel(told, fontsize=7.5, color=style.RED, labelpad=2)
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_color(style.GRID)
    drawing.subplots_adjust(
        left=0.02, right=0.98, bottom=0.22 / height, top=1 - 0.72 / height, wspace=0.12, hspace=0.42
    )
    return style.save(drawing, path)


def mistakes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Indices of what was answered wrongly, the surest answer first; last, what is not a number at all.

    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.05, 0.95]])
    >>> mistakes(np.array([1, 1, 0]), p)
    array([2, 0])
    """
    sure = probabilities.max(1)
    wrong = np.flatnonzero((probabilities.argmax(1) != labels) | np.isnan(sure))
    return wrong[np.argsort(-sure[wrong], kind="stable")]
