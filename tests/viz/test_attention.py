"""Maps of attention, drawn and in characters: what they show, what they label, what they refuse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.viz.test_viz import is_drawn, words
from tinytorch import viz
from tinytorch.viz.terminal import token_name

needs_matplotlib = pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")

RNG = np.random.default_rng(0)
NOTE = "each row looks at the tokens of its columns"


def attention(layers, heads, t, *, causal=True):
    maps = RNG.random((layers, heads, t, t)) * (np.tri(t) if causal else 1)
    return maps / maps.sum(-1, keepdims=True)


def boxes(texts):
    return [text.get_window_extent() for text in texts if text.get_text()]


@needs_matplotlib
@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 3)])
def test_a_map_for_each_head(tmp_path, layers, heads):
    path = tmp_path / "folder" / "maps.png"
    drawing = viz.attention_maps(attention(layers, heads, 6), "abcdef", path, title="t")
    assert is_drawn(path)
    *panels, bar = drawing.get_axes()
    assert len(panels) == layers * heads
    assert bar.get_title(loc="left") == "weight"
    said = words(drawing)
    assert {"t", *"abcdef", f"{NOTE}; blank: later ones, which it never sees"} <= set(said)
    assert ("layer 2, head 3" in said) == (layers == 2)
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in panels]
    assert names == [list("abcdef") if i % heads == 0 else [] for i in range(layers * heads)]


@needs_matplotlib
@pytest.mark.parametrize("causal", [True, False])
def test_what_is_never_seen_is_blank(causal):
    maps = attention(1, 2, 5, causal=causal)
    drawing = viz.attention_maps(maps, "abcde")
    (image,) = drawing.get_axes()[1].images
    blank = np.ma.getmaskarray(image.get_array())
    np.testing.assert_array_equal(blank, np.tri(5) == 0 if causal else np.zeros((5, 5), bool))
    np.testing.assert_array_equal(image.get_array()[~blank], maps[0, 1][~blank])
    assert (NOTE in words(drawing)) != causal


@needs_matplotlib
def test_all_heads_share_one_scale():
    maps = np.stack([np.eye(4), np.full((4, 4), 0.25)])[None]
    *panels, _ = viz.attention_maps(maps, "abcd").get_axes()
    assert {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in panels} == {(0.0, 1.0)}


@needs_matplotlib
@pytest.mark.parametrize("labels", ["First Citizen:\nBefore we proceed"[:32], [" unfortunately"] * 9, "ab"])
@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (1, 2), (4, 4)])
def test_labels_are_not_printed_over_each_other(labels, layers, heads):
    drawing = viz.attention_maps(attention(layers, heads, len(labels)), list(labels))
    drawing.canvas.draw()
    panels = drawing.get_axes()[:-1]
    first, last = panels[0], panels[-1]
    beside, below = boxes(first.get_yticklabels()), boxes(last.get_xticklabels())
    assert len(beside) == len(below) == len(labels)
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(beside))
    assert all(left.x1 <= right.x0 + 1 for left, right in itertools.pairwise(below))
    title, note, width = drawing._suptitle, drawing.texts[-1].get_window_extent(), drawing.bbox.width
    assert min(box.x0 for box in beside) > 0
    assert min(box.y0 for box in below) > note.y1
    assert note.x1 < width
    assert title.get_window_extent().y0 > max(box.y1 for box in boxes([panels[0]._left_title]) or beside)
    assert max(box.x1 for box in boxes(drawing.get_axes()[-1].get_yticklabels())) < width


@needs_matplotlib
@pytest.mark.parametrize(
    ("heads", "t", "labelled"), [(2, 42, True), (2, 43, False), (1, 87, True), (1, 88, False)]
)
def test_labels_that_nobody_could_read_are_left_out(heads, t, labelled):
    assert ("x" in words(viz.attention_maps(attention(1, heads, t), ["x"] * t))) == labelled


@needs_matplotlib
def test_a_token_is_no_formula():
    tokens = ["$a$", "$\\frac$", "\n", " b"]
    drawing = viz.attention_maps(attention(1, 1, 4), tokens)
    drawing.canvas.draw()
    assert {"$a$", "$\\frac$", "⏎", "␣b"} <= set(words(drawing))


@needs_matplotlib
def test_a_network_that_diverged_has_maps():
    drawing = viz.attention_maps(np.full((1, 2, 3, 3), np.nan), "abc")
    drawing.canvas.draw()
    assert np.ma.getmaskarray(drawing.get_axes()[0].images[0].get_array()).all()


def test_the_mirror_of_a_reversed_sequence_is_seen():
    weights = 0.02 + 0.8 * np.eye(4)[::-1]
    assert viz.attention_in_terminal(weights, "4321", "1234") == [
        "  1 2 3 4",
        "4       ██",
        "3     ██",
        "2   ██",
        "1 ██",
    ]


@pytest.mark.parametrize(
    ("weights", "shades"),
    [([0.0, 0.1, 0.2, 0.3, 0.4], "  ░░▒▒▓▓██"), ([0.5, np.nan], "██"), ([np.nan, np.nan], "")],
)
def test_shades_go_up_to_the_largest_weight(weights, shades):
    assert (
        viz.attention_in_terminal(np.array([weights]), "a", "abcde"[: len(weights)])[1]
        == f"a {shades}".rstrip()
    )


def test_long_tokens_are_written_downward_above_and_out_in_front():
    assert viz.attention_in_terminal(np.eye(2), [" the", "\n"], ["\n", " the"]) == [
        "       ␣",
        "       t",
        "       h",
        "     ⏎ e",
        "␣the ██",
        "   ⏎   ██",
    ]


def test_no_tokens_are_no_lines():
    assert viz.attention_in_terminal(np.zeros((0, 0)), [], []) == []


@pytest.mark.parametrize(
    ("token", "name"),
    [("a", "a"), (" a\t", "␣a⇥"), ("\r\n", "␍⏎"), ("12345678", "12345678"), ("123456789", "1234567…")],
)
def test_names_of_tokens(token, name):
    assert token_name(token) == name


@needs_matplotlib
def test_wrong_maps_are_refused():
    for shape in ((2, 3, 3), (1, 2, 3, 4), (0, 2, 3, 3)):
        with pytest.raises(
            ValueError, match=r"attention_maps: expected maps of shape \(layers, heads, t, t\), got"
        ):
            viz.attention_maps(np.ones(shape), "abc")
    with pytest.raises(ValueError, match="attention_maps: expected a label for each of 3 tokens, got 2"):
        viz.attention_maps(np.ones((1, 1, 3, 3)), "ab")


def test_a_map_has_a_row_and_a_column_for_each_token():
    with pytest.raises(
        ValueError,
        match=r"attention_in_terminal: expected weights of shape \(2, 3\), a row .*, got \(3, 2\)",
    ):
        viz.attention_in_terminal(np.ones((3, 2)), "ab", "abc")
