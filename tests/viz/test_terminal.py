"""Pictures made of characters."""

from __future__ import annotations

import numpy as np

from tinytorch.viz import grey_images, mistakes, plane_map


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


def test_no_images_are_no_lines():
    assert grey_images([]) == []


def test_mistakes_come_surest_first_and_without_right_answers():
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.0, 1.0], [0.3, 0.7]])
    assert mistakes(np.array([1, 0, 1, 0]), probabilities).tolist() == [1, 3, 0]
