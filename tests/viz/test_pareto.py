"""The picture of models that were made smaller: every point and name, and what is off the scale."""

from __future__ import annotations

import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")


def row(name, size, seconds, quality, front):
    half = 0.3
    return {
        "name": name,
        "bytes": size,
        "seconds": (seconds, 0.95 * seconds, 1.1 * seconds),
        "quality": (quality, quality - half, quality + half),
        "front": front,
    }


ROWS = [
    row("float32", 400_000, 4e-5, 98.1, True),
    row("int8", 112_000, 2e-5, 98.0, True),
    row("beaten", 390_000, 5e-5, 97.1, False),
    row("broken", 50_000, 2e-5, 41.0, True),
]


def test_every_model_is_named_and_numbered(tmp_path):
    drawing = viz.pareto(ROWS, tmp_path / "p.png", title="The MLP")
    assert is_drawn(tmp_path / "p.png")
    told = {word.strip() for word in words(drawing)}
    assert {row["name"] for row in ROWS} <= told
    assert {"1", "2", "3", "4", "The MLP", "bytes of the file"} <= told


def test_a_broken_model_does_not_press_the_others_together():
    drawing = viz.pareto(ROWS, floor=95)
    assert drawing.axes[0].get_ylim()[0] > 94
    assert "4: 41" in words(drawing)
    assert viz.pareto(ROWS).axes[0].get_ylim()[0] < 41


def test_of_losses_the_lower_is_higher_up():
    low, high = viz.pareto(ROWS, falls=True).axes[0].get_ylim()
    assert low > high


def test_without_models():
    with pytest.raises(ValueError, match="at least one model, got none"):
        viz.pareto([])
