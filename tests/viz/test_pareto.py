"""The picture of models that were made smaller: every point and name, and what is off the scale."""

from __future__ import annotations

import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

ROWS = [
    {"name": "float32", "bytes": 400_000, "seconds": (4e-5, 3.8e-5, 4.3e-5), "quality": (98.1, 97.8, 98.3), "front": True},
    {"name": "int8", "bytes": 112_000, "seconds": (2e-5, 1.9e-5, 2.2e-5), "quality": (98.0, 97.7, 98.2), "front": True},
    {"name": "beaten", "bytes": 390_000, "seconds": (5e-5, 5e-5, 5e-5), "quality": (97.1, 96.7, 97.5), "front": False},
    {"name": "broken", "bytes": 50_000, "seconds": (2e-5, 2e-5, 2e-5), "quality": (41.0, 40.0, 42.0), "front": True},
]  # fmt: skip


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
