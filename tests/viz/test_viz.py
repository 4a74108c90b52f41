"""Every picture is made, is not blank, and says so when it cannot be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinytorch import viz
from tinytorch.viz import style

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((60, 2)).astype(np.float32)
LABELS = (POINTS.sum(1, keepdims=True) > 0).astype(np.float32)
HISTORY = [{"epoch": i + 1, "loss": 1 / (i + 1), "accuracy": 1 - 0.5 / (i + 1)} for i in range(5)]


def line(points):
    return 1 / (1 + np.exp(-points.sum(1)))


def undecided(points):
    return np.full(len(points), 0.2)


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def is_drawn(path) -> bool:
    """Whether the picture has something in it: at least two dozen colours."""
    image = pixels(path)
    return len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 24


DRAWINGS = {
    "learning_curves": lambda path: viz.learning_curves(HISTORY, path, marks={"pass": 0.85}, title="t"),
    "learning_curves_with_gap": lambda path: viz.learning_curves(
        [*HISTORY, {"epoch": 6, "loss": None, "accuracy": None}], path
    ),
    "scaling": lambda path: viz.scaling(
        [{"size": n, "params": n * n, "seconds_per_epoch": n / 100, "accuracy": 0.9} for n in (1, 2, 3)],
        path,
        title="t",
    ),
    "translation": lambda path: viz.translation(
        range(3), {"CNN": [0.9, 0.8, 0.7], "MLP": [0.8, 0.5, 0.3]}, path, chance=0.1, title="t"
    ),
    "decision_boundary": lambda path: viz.decision_boundary(
        line, POINTS, LABELS, path, earlier=[(0, undecided), (1, line)]
    ),
    "boundary_over_time": lambda path: viz.boundary_over_time(
        [(f"{i}", line) for i in range(4)], POINTS, LABELS, path, title="t"
    ),
    "hidden_space": lambda path: viz.hidden_space(
        lambda p: np.maximum(p @ np.ones((2, 4), np.float32) + np.arange(4, dtype=np.float32), 0),
        np.array([1.0, -1.0, 1.0, -1.0]),
        0.1,
        POINTS,
        LABELS,
        path,
        title="t",
    ),
    "confusion_matrix": lambda path: viz.confusion_matrix(np.array([[5, 1], [0, 7]]), "ab", path),
    "worst_mistakes": lambda path: viz.worst_mistakes(
        RNG.random((9, 6, 6)), np.zeros(9, int), RNG.random((9, 3)), "abc", path
    ),
    "worst_mistakes_in_colour": lambda path: viz.worst_mistakes(
        RNG.integers(0, 256, (9, 3, 6, 6), np.uint8), np.zeros(9, int), RNG.random((9, 3)), "abc", path
    ),
    "no_mistakes": lambda path: viz.worst_mistakes(
        np.ones((1, 6, 6)), np.zeros(1, int), np.array([[1.0, 0.0]]), "ab", path
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_saved(name, tmp_path):
    path = tmp_path / "folder" / f"{name}.png"
    drawing = DRAWINGS[name](path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert is_drawn(path)
    assert drawing.get_axes() or name == "no_mistakes"


def test_the_boundary_is_where_the_probability_is_one_half(tmp_path):
    """Orange where class 1 is sure, blue where class 0 is."""
    path = tmp_path / "b.png"
    viz.decision_boundary(
        lambda p: (p[:, 0] > 0).astype(float), POINTS * 0 + RNG.uniform(-1, 1, (60, 2)), LABELS, path
    )
    image = pixels(path)
    height, width = image.shape[:2]
    left, right = image[height // 2, width // 5, :3], image[height // 2, 4 * width // 5, :3]
    assert left[2] > left[0], "the left is blue"
    assert right[0] > right[2], "the right is orange"


def words(drawing) -> list[str]:
    """Every text of a figure, keys included."""
    from matplotlib.text import Text

    return [text.get_text() for text in drawing.findobj(Text)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda names: viz.decision_boundary(line, POINTS, LABELS, names=names),
        lambda names: viz.boundary_over_time([("now", line)], POINTS, LABELS, names=names),
        lambda names: viz.hidden_space(
            lambda p: np.abs(p), np.array([1.0, -1.0]), 0.1, POINTS, LABELS, names=names
        ),
    ],
)
def test_pictures_of_the_plane_name_the_classes(draw):
    said = words(draw(("left", "right")))
    assert {"left", "right"} <= set(said)


def test_a_single_moment_has_room_for_its_title():
    title = "A heading of some forty characters or so"
    drawing = viz.boundary_over_time([("now", line)], POINTS, LABELS, title=title)
    drawing.canvas.draw()
    assert drawing._suptitle.get_window_extent().x1 < drawing.bbox.width


def test_a_network_that_diverged_has_a_hidden_space_without_points():
    lost = np.array([np.nan, np.inf])
    drawing = viz.hidden_space(lambda p: np.full((len(p), 2), np.nan), lost, np.nan, POINTS, LABELS)
    assert drawing.get_axes()


def test_names_of_marks_are_not_printed_over_each_other():
    weak = [{"epoch": i, "loss": 2.3 - 0.01 * i, "accuracy": 0.1} for i in range(6)]
    drawing = viz.learning_curves(weak, marks={"pass": 0.85, "merit": 0.93, "distinction": 0.96})
    drawing.canvas.draw()
    right = drawing.get_axes()[1]
    boxes = sorted((t.get_window_extent() for t in right.texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))
    assert [t.get_text() for t in right.texts] == ["pass 85", "merit 93", "distinction 96"]


@pytest.mark.parametrize("losses", [[2.31, 2.30], [0.0, 0.0], [None, None], [1e9, float("inf")]])
def test_the_loss_curve_is_inside_its_frame(losses):
    history = [{"epoch": i, "loss": loss, "accuracy": 0.1} for i, loss in enumerate(losses)]
    bottom, top = viz.learning_curves(history).get_axes()[0].get_ylim()
    highest = max((loss for loss in losses if loss is not None and np.isfinite(loss)), default=0.0)
    assert bottom == 0.0
    assert top > 1.05 * highest


def test_costs_are_bars_from_zero_and_accuracies_points_on_an_axis():
    rows = [
        {"size": n, "params": 100, "seconds_per_epoch": 0.9 + n / 100, "accuracy": accuracy}
        for n, accuracy in ((1, 0.99), (2, 1.0))
    ]
    *costs, right = viz.scaling(rows).get_axes()
    assert [axes.get_ylim()[0] for axes in costs] == [0.0, 0.0]
    assert not right.patches
    assert len(right.get_yticks()) > 1
    assert max(right.get_yticks()) <= 100.0
    assert right.spines["left"].get_visible()


def test_mistakes_say_what_the_arrow_means_and_what_is_no_number():
    probabilities = np.array([[0.1, 0.9], [np.nan, np.nan]])
    drawing = viz.worst_mistakes(np.ones((2, 6, 6)), np.zeros(2, int), probabilities, "ab")
    said = words(drawing)
    assert {"what it is → what was read", "a → b", "90.0 % sure", "a → ?", "not a number"} <= set(said)
    assert not any("nan" in text for text in said)


LONG = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def test_long_names_fit_above_the_images():
    labels, surest = np.resize([0, 1], 24), np.eye(10)[np.resize([1, 0], 24)]
    drawing = viz.worst_mistakes(RNG.random((24, 3, 6, 6)), labels, surest, LONG)
    drawing.canvas.draw()
    assert {"airplane → automobile", "automobile → airplane"} <= set(words(drawing))
    boxes = [axes.title.get_window_extent() for axes in drawing.get_axes()]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes[:8]))
    assert boxes[0].x0 > 0
    assert boxes[7].x1 < drawing.bbox.width


@pytest.mark.parametrize(("names", "slant"), [(LONG, 45.0), ("0123456789", 0.0)])
def test_names_of_classes_fit_beside_the_confusion_matrix(names, slant):
    drawing = viz.confusion_matrix(np.eye(10, dtype=int) * 900, names)
    drawing.canvas.draw()
    (axes,) = drawing.get_axes()
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {slant}
    beside, below = axes.yaxis.label.get_window_extent(), axes.xaxis.label.get_window_extent()
    assert beside.x0 > 0
    assert beside.x1 < min(label.get_window_extent().x0 for label in axes.get_yticklabels())
    assert below.y0 > 0
    assert below.y1 < min(label.get_window_extent().y0 for label in axes.get_xticklabels())


def test_lines_of_shifted_images_are_named_where_they_end():
    drawing = viz.translation([0, 1], {"CNN": [0.98, 0.83], "MLP": [0.97, 0.82]}, chance=0.1)
    drawing.canvas.draw()
    (axes,) = drawing.get_axes()
    lower, upper, chance = axes.texts
    assert [text.get_text() for text in axes.texts] == ["MLP 82.0", "CNN 83.0", "chance 10"]
    assert lower.get_window_extent().y1 <= upper.get_window_extent().y0
    assert upper.get_color() == axes.lines[1].get_color() != lower.get_color()
    assert upper.get_window_extent().x1 < drawing.bbox.width
    assert chance.get_window_extent().y0 > 0


def test_nothing_is_imported_from_pyplot():
    import sys

    viz.learning_curves(HISTORY)
    assert "matplotlib.pyplot" not in sys.modules


def test_bad_input_is_explained():
    with pytest.raises(
        ValueError, match="learning_curves: expected at least one epoch in the history, got none"
    ):
        viz.learning_curves([])
    with pytest.raises(ValueError, match="boundary_over_time: expected at least one moment, got none"):
        viz.boundary_over_time([], POINTS, LABELS)
    with pytest.raises(ValueError, match=r"expected counts of shape \(2, 2\), got \(3, 3\)"):
        viz.confusion_matrix(np.eye(3), "ab")
    with pytest.raises(ValueError, match=r"worst_mistakes: expected an image of shape .* got \(4, 6, 6\)"):
        viz.worst_mistakes(np.ones((1, 4, 6, 6)), np.ones(1, int), np.array([[1.0, 0.0]]), "ab")
    with pytest.raises(ValueError, match="translation: expected at least one shift and one model, got none"):
        viz.translation([0], {})
    with pytest.raises(
        ValueError, match="translation: expected 2 accuracies of CNN, one for each shift, got 1"
    ):
        viz.translation([0, 1], {"CNN": [0.5]})


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(style, "available", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinytorch\[plots\]'"):
        viz.learning_curves(HISTORY)
