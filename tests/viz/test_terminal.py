"""Pictures made of characters."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.viz import colour_images, grey_images, mistakes, plane_map


def test_the_plane_shows_points_and_answers():
    points = np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32)
    lines = plane_map(
        lambda p: (p[:, 0] > 0).astype(float), points, np.array([[0.0], [1.0]]), width=9, height=3
    )
    assert lines == ["     ···#", "     ····", "o    ····"]


def test_images_stand_side_by_side():
    dark, light = np.array([[0.0, 16.0], [16.0, 0.0]]), np.zeros((2, 2))
    assert grey_images([dark, light], gap=1) == ["  @@     ", "@@       "]


def test_large_images_are_halved():
    (first, *_), image = grey_images([np.full((28, 28), 255)]), np.full((28, 28), 255)
    assert first == "@" * 28
    assert len(grey_images([image])) == 14


@pytest.mark.parametrize("draw", [grey_images, colour_images])
def test_no_images_are_no_lines(draw):
    assert draw([]) == []


def test_colours_are_grey_by_how_bright_the_eye_finds_them():
    red, green, blue, black = np.eye(3, 4, dtype=np.uint8).T[..., None, None] * 255
    row = np.concatenate([black, blue, red, green], axis=2)
    assert grey_images([row]) == ["  ::++@@"]
    assert grey_images([np.full((3, 1, 1), 200, np.uint8)], gap=1) == ["@@"]


def test_a_grey_image_may_have_its_channel():
    image = np.array([[0.0, 16.0], [16.0, 0.0]])
    assert grey_images([image[None]]) == grey_images([image])


def test_a_character_is_two_pixels_in_their_colours():
    image = np.zeros((3, 2, 1), np.uint8)
    image[:, 0, 0], image[:, 1, 0] = (255, 10, 0), (1, 2, 3)
    block = "\x1b[38;2;255;10;0;48;2;1;2;3m▀\x1b[0m"
    assert colour_images([image]) == [block]
    assert colour_images([image, image], gap=2) == [f"{block}  {block}"]
    assert colour_images([image.astype(np.float32) / 255]) == [block]


def test_images_of_odd_height_end_with_their_last_row():
    (line,) = colour_images([np.full((3, 1, 1), 7, np.uint8)])
    assert line == "\x1b[38;2;7;7;7;48;2;7;7;7m▀\x1b[0m"


def test_floats_outside_of_colours_are_stretched():
    line = colour_images([np.array([-1.0, 1.0, 3.0]).reshape(3, 1, 1)])[0]
    assert line.startswith("\x1b[38;2;0;128;255;")


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"grey_images: expected an image of shape .* got \(2, 4, 4\)"):
        grey_images([np.ones((2, 4, 4))])
    with pytest.raises(ValueError, match=r"colour_images: expected an image of shape .* got \(4,\)"):
        colour_images([np.ones(4)])
    with pytest.raises(
        ValueError, match=r"colour_images: expected images of shape \(3, h, w\), got \(4, 4\)"
    ):
        colour_images([np.ones((4, 4))])


def test_mistakes_come_surest_first_and_without_right_answers():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.0, 1.0], [0.3, 0.7]])
    assert mistakes(np.array([1, 0, 1, 0]), probabilities).tolist() == [1, 3, 0]
