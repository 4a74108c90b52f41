"""The embedded digits and the generated sets: their answers are known."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from tinytorch.datasets import digits, two_gaussians, xor


def test_digits_are_the_1797_of_the_source():
    data = digits()
    assert data.train_images.shape == (1442, 8, 8)
    assert data.test_images.shape == (355, 8, 8)
    assert data.train_images.dtype == np.uint8
    assert data.train_labels.dtype == np.int64
    assert data.max_value == 16
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    assert images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int(images.sum(dtype=np.int64)) == 561_718
    assert data.train_images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]  # the source's first image
    assert data.train_labels[:4].tolist() == [0, 1, 2, 3]


def test_digits_file_is_the_recorded_one():
    content = files("tinytorch.datasets").joinpath("digits.npz").read_bytes()
    recorded = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"
    assert hashlib.sha256(content).hexdigest() == recorded


def test_digits_test_set_is_balanced_and_disjoint():
    data = digits()
    assert np.bincount(data.test_labels).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    seen = {image.tobytes() for image in data.train_images}
    assert not any(image.tobytes() in seen for image in data.test_images)


@pytest.mark.parametrize("seed", range(5))
def test_a_line_separates_the_gaussians(seed):
    points, labels = two_gaussians(1000, seed=seed)
    assert points.shape == (1000, 2)
    assert labels.shape == (1000, 1)
    assert points.dtype == labels.dtype == np.float32
    assert labels.sum() == 500
    assert ((points.sum(axis=1, keepdims=True) > 0) == labels).mean() >= 0.995


def test_gaussians_have_the_stated_error():
    points, labels = two_gaussians(200_000, std=2.0, seed=1)
    error = ((points.sum(axis=1, keepdims=True) > 0) != labels).mean()
    assert error == pytest.approx(0.0786, abs=0.003)  # Q(2·√2 / 2) = Q(1.414)


@pytest.mark.parametrize("noise", [0.0, 0.25, 1.0])
def test_xor_labels_are_the_disagreement_of_signs(noise):
    points, labels = xor(1000, noise=noise, seed=3)
    assert points.shape == (1000, 2)
    assert labels.shape == (1000, 1)
    assert points.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(labels[:, 0] == 1, (points[:, 0] > 0) != (points[:, 1] > 0))
    assert labels.mean() == pytest.approx(0.5, abs=0.05)


def test_no_line_separates_xor():
    points, labels = xor(1000, seed=0)
    best = 0.0
    for angle in np.linspace(0, 2 * np.pi, 72, endpoint=False):
        height = points @ np.array([np.cos(angle), np.sin(angle)])
        ordered = labels[np.argsort(height), 0]
        # A cut after position i calls everything before it 0 and the rest 1.
        right = np.cumsum(1 - ordered) + ordered.sum() - np.cumsum(ordered)
        best = max(best, right.max() / len(ordered))
    assert 0.7 < best <= 0.76


@pytest.mark.parametrize("seed", range(3))
def test_four_hidden_units_learn_xor(seed):
    points, labels = xor(1000, seed=seed)
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=(2, 4)), np.zeros(4), rng.normal(size=(4, 1)), np.zeros(1)]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    for step in range(1, 401):  # full batches, Adam, written out
        hidden = np.tanh(points @ weights[0] + weights[1])
        error = (1 / (1 + np.exp(-(hidden @ weights[2] + weights[3]))) - labels) / len(points)
        back = error @ weights[2].T * (1 - hidden**2)
        gradients = [points.T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
        for w, g, m, v in zip(weights, gradients, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w -= 0.05 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    predicted = np.tanh(points @ weights[0] + weights[1]) @ weights[2] + weights[3] > 0
    assert (predicted == labels).mean() >= 0.99


@pytest.mark.parametrize("make", [two_gaussians, xor])
def test_the_seed_decides_the_bits(make):
    first, again, other = make(64, seed=5), make(64, seed=np.random.default_rng(5)), make(64, seed=6)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("make", "arguments", "said"),
    [
        (two_gaussians, {"n": 1}, "n: expected at least 2 points, got 1"),
        (xor, {"n": 0}, "n: expected at least 4 points, got 0"),
        (two_gaussians, {"std": -1.0}, "std: expected a standard deviation of at least 0, got -1.0"),
        (xor, {"noise": float("nan")}, "noise: expected a standard deviation of at least 0, got nan"),
    ],
)
def test_bad_arguments(make, arguments, said):
    with pytest.raises(ValueError, match=said):
        make(**arguments)
