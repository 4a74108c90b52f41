"""Pictures of language models: what they show, that nothing is printed over anything, what they refuse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz
from tinytorch.viz.curves import apart

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

METRIC = "loss per character"
HISTORY = [
    {"epoch": i + 1, "loss": 1.4 + 2 * 0.6**i, "seconds": 4.0 * i, METRIC: 1.62 + 1.3 * 0.6**i}
    for i in range(8)
]
BASELINES = {"unigram": 3.347, "bigram": 2.488}
MARKS = {"pass": 1.88, "merit": 1.75, "distinction": 1.65}
COSTS = [
    {"t": t, "seconds": 1e-9 * t * t + 1e-4, "mib": t / 256}
    | ({"naive_seconds": 3e-9 * t * t + 2e-4, "naive_mib": t * t / 2**15} if t <= 1024 else {})
    for t in (64, 256, 1024, 4096)
]
SPEED = [{"position": p, "cached_ms": 0.3, "full_ms": 0.4 + p / 100} for p in range(1, 257, 16)]

DRAWINGS = {
    "language_curve": lambda path: viz.language_curve(HISTORY, BASELINES, MARKS, path, title="t"),
    "attention_cost": lambda path: viz.attention_cost(COSTS, path, title="t"),
    "generation_speed": lambda path: viz.generation_speed(SPEED, path, title="t"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_saved(name, tmp_path):
    path = tmp_path / "folder" / f"{name}.png"
    drawing = DRAWINGS[name](path)
    assert is_drawn(path)
    assert "t" in words(drawing)


@pytest.mark.parametrize("name", DRAWINGS)
def test_names_are_not_printed_over_each_other(name):
    drawing = DRAWINGS[name](None)
    drawing.canvas.draw()
    panels = drawing.get_axes()
    edges = [axes.get_tightbbox().x0 for axes in panels[1:]] + [drawing.bbox.width]
    for axes, edge in zip(panels, edges, strict=True):
        boxes = sorted((words_of(text) for text in axes.texts), key=lambda box: box.y0)
        assert len(boxes) >= 2
        assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))
        assert all(box.x0 > axes.bbox.x1 and box.x1 < edge for box in boxes)
        assert boxes[0].y0 > 0
        assert boxes[-1].y1 < drawing._suptitle.get_window_extent().y0


def words_of(annotation):
    """The box of an annotation without its line."""
    from matplotlib.text import Text

    return Text.get_window_extent(annotation)


def test_the_loss_falls_beside_baselines_and_marks():
    (axes,) = viz.language_curve(HISTORY, BASELINES, MARKS, metric=METRIC).get_axes()
    assert axes.get_title(loc="left") == "loss per character, nats"
    assert axes.get_xlabel() == "epoch"
    assert [text.get_text() for text in axes.texts] == [
        "training 1.456",
        "distinction 1.65",
        "validation 1.656",
        "merit 1.75",
        "pass 1.88",
        "bigram 2.488",
        "unigram 3.347",
    ]
    validation, training, *others = axes.lines
    np.testing.assert_array_equal(validation.get_ydata(), [entry[METRIC] for entry in HISTORY])
    np.testing.assert_array_equal(training.get_ydata(), [entry["loss"] for entry in HISTORY])
    assert [line.get_ydata()[0] for line in others] == [*BASELINES.values(), *MARKS.values()]
    assert [line.is_dashed() for line in others] == [True, True, False, False, False]


def test_a_single_epoch_is_a_whole_number():
    drawing = viz.language_curve(HISTORY[:1], BASELINES, MARKS)
    drawing.canvas.draw()
    ticks = drawing.get_axes()[0].get_xticks()
    np.testing.assert_array_equal(ticks, np.rint(ticks))


def test_tokens_are_the_x_axis_where_all_epochs_have_them():
    read = [{**entry, "tokens": entry["epoch"] * 500_000} for entry in HISTORY]
    drawing = viz.language_curve(read, BASELINES, {}, training=None)
    drawing.canvas.draw()
    (axes,) = drawing.get_axes()
    assert axes.get_xlabel() == "tokens read"
    assert len(axes.lines) == 1 + len(BASELINES)
    assert {"1 M", "2 M"} <= {label.get_text() for label in axes.get_xticklabels()}
    (axes,) = viz.language_curve([*read, {**HISTORY[-1], "epoch": 9}], {}, {}).get_axes()
    assert axes.get_xlabel() == "epoch"


@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_losses_that_are_no_numbers_are_left_out(lost):
    (axes,) = viz.language_curve([*HISTORY, {"epoch": 9, "loss": lost, METRIC: lost}], {}, {}).get_axes()
    assert [len(line.get_xdata()) for line in axes.lines] == [len(HISTORY)] * 2
    drawing = viz.language_curve([{"epoch": 1, "loss": lost, METRIC: lost}], BASELINES, MARKS)
    drawing.canvas.draw()
    assert len(drawing.get_axes()[0].lines) == len(BASELINES) + len(MARKS)


def test_costs_are_two_panels_with_powers_of_the_length():
    seconds, mib = viz.attention_cost(COSTS).get_axes()
    for axes, key in ((seconds, "seconds"), (mib, "mib")):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        tiled, naive, linear, square = axes.lines
        np.testing.assert_array_equal(tiled.get_ydata(), [row[key] for row in COSTS])
        np.testing.assert_array_equal(naive.get_xdata(), [64, 256, 1024])
        for power, line in ((1, linear), (2, square)):
            (t, end), (low, high) = line.get_data()
            assert high / low == pytest.approx((end / t) ** power)
        assert {text.get_text() for text in axes.texts} == {"tile by tile", "scores stored", "∝ t", "∝ t²"}
        assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "256", "1,024", "4,096"]


def test_costs_without_the_others_or_that_were_not_measured():
    rows = [{"t": t, "seconds": t / 1e6, "mib": 0.0, "naive_seconds": None} for t in (64, 128)]
    drawing = viz.attention_cost(rows)
    drawing.canvas.draw()
    seconds, mib = drawing.get_axes()
    assert [text.get_text() for text in seconds.texts if "t²" not in text.get_text()] == [
        "∝ t",
        "tile by tile",
    ]
    assert not mib.lines


def test_speed_is_named_by_its_last_token():
    (axes,) = viz.generation_speed(SPEED).get_axes()
    assert axes.get_ylim()[0] == 0.0
    assert [text.get_text() for text in axes.texts] == ["with the cache 0.3 ms", "without the cache 2.81 ms"]
    without, cached = axes.lines
    assert axes.texts[0].get_color() == cached.get_color() != without.get_color()
    (axes,) = viz.generation_speed([{"position": 0, "cached_ms": 0.5}]).get_axes()
    assert len(axes.lines) == 1


def test_learning_curves_of_a_loss_that_falls():
    drawing = viz.learning_curves(
        HISTORY, marks=MARKS, metric=METRIC, metric_label="nats per character", percent=False
    )
    drawing.canvas.draw()
    right = drawing.get_axes()[1]
    assert right.get_title(loc="left") == "nats per character: 1.6564 at the end"
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [entry[METRIC] for entry in HISTORY])
    bottom, top = right.get_ylim()
    assert 1.4 < bottom < 1.65
    assert 2.92 < top < 3.2
    assert [text.get_text() for text in right.texts] == ["distinction 1.65", "merit 1.75", "pass 1.88"]
    boxes = [text.get_window_extent() for text in right.texts]
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))
    assert all(box.x1 < drawing.bbox.width for box in boxes)


@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_learning_curves_of_a_loss_that_is_no_number(lost):
    history = [{"epoch": 1, "loss": lost, METRIC: lost}]
    right = viz.learning_curves(history, metric=METRIC, metric_label="nats", percent=False).get_axes()[1]
    assert right.get_title(loc="left") == "nats"
    assert np.isfinite(right.get_ylim()).all()


def test_sizes_are_compared_by_a_loss():
    rows = [
        {"size": n, "params": n, "seconds_per_epoch": n / 9, METRIC: loss}
        for n, loss in ((64, 1.9), (128, 1.7))
    ]
    right = viz.scaling(rows, metric=METRIC, metric_label="nats per character", percent=False).get_axes()[2]
    assert right.get_title(loc="left") == "nats per character"
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [1.9, 1.7])
    assert [text.get_text() for text in right.texts] == ["1.90", "1.70"]
    assert len(right.get_yticks()) > 1
    alone = viz.scaling(rows[:1], metric=METRIC, percent=False).get_axes()[2]
    assert alone.get_ylim()[0] < 1.9 < alone.get_ylim()[1]


def test_neighbours_are_moved_apart_around_their_middle():
    assert apart([], 1.0, 5.0) == []
    assert apart([1.0, 3.0], 1.0, 5.0) == [1.0, 3.0]
    assert apart([1.0, 1.0], 1.0, 5.0) == [0.5, 1.5]
    assert apart([0.0, 3.0, 3.3, 3.6], 1.0, 9.0) == pytest.approx([0.0, 2.3, 3.3, 4.3])
    assert apart([4.8, 5.0], 1.0, 5.0) == [4.0, 5.0], "none above the top"


def test_nothing_to_draw_is_refused():
    with pytest.raises(
        ValueError, match="language_curve: expected at least one epoch in the history, got none"
    ):
        viz.language_curve([], {}, {})
    with pytest.raises(ValueError, match="attention_cost: expected at least two lengths, got 1"):
        viz.attention_cost(COSTS[:1])
    with pytest.raises(ValueError, match="generation_speed: expected at least one position, got none"):
        viz.generation_speed([])
