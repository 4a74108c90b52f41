"""The picture of a roofline: what it shows, that names do not overlap, what it refuses."""

from __future__ import annotations

import itertools

import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz

pytestmark = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

MACHINE = {
    "peak_gflops": 400.0, "bandwidth_gbs": 20.0, "cache_gbs": 90.0, "threads": 2, "processor": "a processor",
}  # fmt: skip


def row(name, intensity, reached, share=0.1, **more):
    bound = "compute" if intensity >= 20 else "memory"
    return {"name": name, "intensity": intensity, "reached": reached, "share": share, "bound": bound, **more}


ROWS = [
    row("features.0", 8.6, 60.0), row("features.1", 0.1, 1.0), row("features.3", 78.0, 300.0, 0.5),
    row("features.2", 0.1, 1.1), row("head.1", 25.0, 120.0), row("head.3", 24.9, 121.0),
]  # fmt: skip


def test_layers_and_both_roofs(tmp_path):
    path = tmp_path / "folder" / "roofline.png"
    drawing = viz.roofline(ROWS, MACHINE, path, title="a network")
    assert is_drawn(path)
    said = " ".join(words(drawing))
    for name in (*(entry["name"] for entry in ROWS), "a network", "a processor; 2 threads"):
        assert name in said
    for roof in ("400 GFLOP/s", "20.0 GB/s: memory", "90 GB/s: cache", "limited by memory"):
        assert roof in said
    (axes,) = drawing.get_axes()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    roofs = axes.lines[0].get_xydata()
    assert tuple(roofs[1]) == (20.0, 400.0)


def test_names_do_not_overlap():
    crowd = [row(f"layer{chr(97 + i)}", 10 + 0.01 * i, 100 + i, 0.05) for i in range(12)]
    drawing = viz.roofline(crowd, MACHINE)
    drawing.canvas.draw()
    named = [text for text in drawing.get_axes()[0].texts if text.get_text().startswith("layer")]
    assert len(named) == 12
    boxes = [text.get_window_extent() for text in named]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_blocks_that_repeat_are_one_point():
    rows = [
        row(f"h.{i}.mlp.c_fc", 30.0, 100.0 + 100 * (i == 3), 0.1, seconds=1.0, kind="Linear")
        for i in range(4)
    ]
    drawing = viz.roofline(
        [*rows, row("ln_f", 0.2, 1.0, seconds=1.0)], {"peak_gflops": 400, "bandwidth_gbs": 20}
    )
    assert {"h.*.mlp.c_fc × 4", "ln_f"} <= set(words(drawing))
    assert "cache" not in " ".join(words(drawing))
    memory, compute = drawing.get_axes()[0].collections[::-1]
    assert compute.get_offsets().tolist() == [[30.0, 125.0]]
    assert len(memory.get_offsets()) == 1


def test_what_did_nothing_is_left_out():
    drawing = viz.roofline([*ROWS, row("flatten", 0.0, 0.0)], MACHINE)
    assert "flatten" not in words(drawing)
    with pytest.raises(
        ValueError, match="roofline: expected at least one layer that computes something, got none"
    ):
        viz.roofline([row("flatten", 0.0, 0.0)], MACHINE)
