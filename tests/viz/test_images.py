"""Filters and feature maps: drawn, labelled, and refused where the shapes are wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz
from tinytorch.viz.pixels import mosaic

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

RNG = np.random.default_rng(0)


def weights(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((8, 1, 3, 3), "8 filters; blue is negative, white 0, orange positive; each on a scale of its own"),
        ((32, 3, 3, 3), "32 filters; grey is 0; each on a scale of its own"),
        ((70, 3, 5, 5), "64 of 70 filters; grey is 0; each on a scale of its own"),
    ],
)
def test_filters_are_drawn_before_and_after(tmp_path, shape, told):
    path = tmp_path / "filters.png"
    drawing = viz.filters(weights(*shape), weights(*shape), path, title="t")
    assert is_drawn(path)
    assert len(drawing.get_axes()) == 2
    assert {"t", "before training", "after", told} <= set(words(drawing))


@pytest.mark.parametrize(("channels", "level"), [(3, 0.5), (1, 1.0)])
def test_zero_is_in_the_middle_of_the_colours(channels, level):
    """Grey in a filter for colours, white in one for grey images."""
    nothing = np.zeros((1, channels, 3, 3), np.float32)
    (shown,) = viz.filters(nothing, nothing).get_axes()[0].images
    np.testing.assert_allclose(shown.get_array()[30, 30], level, atol=0.01)


def test_a_network_that_diverged_has_filters_and_maps(tmp_path):
    lost = np.full((8, 3, 3, 3), np.nan, np.float32)
    assert "not all of them numbers" in words(viz.filters(weights(8, 3, 3, 3), lost, tmp_path / "f.png"))
    viz.feature_maps(np.ones((3, 6, 6)), [lost[:, 0]], tmp_path / "m.png")


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (RNG.random((8, 8)), "8×8"),
        (RNG.integers(0, 17, (1, 8, 8), np.uint8), "1×8×8"),
        (RNG.integers(0, 256, (3, 8, 8), np.uint8), "3×8×8"),
        (RNG.standard_normal((3, 8, 8)), "3×8×8"),
    ],
)
def test_feature_maps_are_drawn_beside_the_image(tmp_path, image, size):
    path = tmp_path / "maps.png"
    maps = [RNG.random((32, 8, 8)), RNG.random((5, 4, 4))]
    drawing = viz.feature_maps(image, maps, path, names=["ReLU 1", "ReLU 4"], title="t")
    assert is_drawn(path)
    said = {"t", "the image", size, "ReLU 1", "32×8×8, 16 shown", "ReLU 4", "5×4×4"}
    assert said <= set(words(drawing))
    assert {"layer 1", "layer 2"} <= set(words(viz.feature_maps(image, maps)))


def test_headings_of_panels_are_not_printed_over_each_other():
    maps = [np.ones((128, 16, 16))] * 5
    drawing = viz.feature_maps(np.ones((3, 32, 32)), maps, names=[f"Residual {i}" for i in range(5)])
    drawing.canvas.draw()
    panels = drawing.get_axes()
    for axes, following in itertools.pairwise(panels):
        name, size = (text.get_window_extent() for text in axes.texts)
        assert axes.get_window_extent().y1 <= size.y0
        assert size.y1 <= name.y0
        assert max(name.x1, size.x1) < following.get_window_extent().x0
    assert drawing._suptitle.get_window_extent().y0 > panels[0].texts[0].get_window_extent().y1


def test_tiles_stand_in_rows_within_frames():
    black, frame = np.zeros((3, 2, 2, 3)), (0.5, 0.5, 0.5)
    whole = mosaic(black, 2, frame, side=8)
    assert whole.shape == (8 + 4 + 8, 8 + 4 + 8, 3)
    assert (whole[:8, 8:12] == 1).all(), "the gap is white"
    assert (whole[12:, 12:] == 1).all(), "so is a place that is left over"
    assert (whole[0, :8] == 0.5).all()
    assert (whole[1:7, 1:7] == 0).all()


def test_wrong_shapes_are_refused():
    for shape in ((8, 2, 3, 3), (8, 3, 3), (0, 3, 3, 3)):
        with pytest.raises(ValueError, match=r"filters: expected weights \(filters, 1 or 3, kh, kw\), got"):
            viz.filters(weights(*shape), weights(*shape))
    with pytest.raises(ValueError, match=r"of one shape, got \(8, 3, 3, 3\) before and \(4, 3, 3, 3\) after"):
        viz.filters(weights(8, 3, 3, 3), weights(4, 3, 3, 3))
    image, maps = np.ones((3, 8, 8)), [np.ones((4, 8, 8))]
    with pytest.raises(ValueError, match=r"feature_maps: expected maps \(channels, h, w\) .* got \(8, 8\)"):
        viz.feature_maps(image, maps[0])
    with pytest.raises(ValueError, match=r"feature_maps: expected maps .* got none"):
        viz.feature_maps(image, [])
    with pytest.raises(ValueError, match="expected a name for each of 1 layers, got 2 names"):
        viz.feature_maps(image, maps, names=["a", "b"])
    with pytest.raises(ValueError, match=r"feature_maps: expected an image of shape .* got \(2, 8, 8\)"):
        viz.feature_maps(image[:2], maps)
