"""Pooling on all threads, with NaN, and at the edges; `tests/test_ops.py` holds values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out
from tinytorch.kernels import pool as lib

WINDOWS = np.array([[0, 3], [2, 5], [4, 40]]), np.array([[0, 1], [1, 40]])
FACTORS = np.array([1 / 3, 1 / 3, 1 / 36]), np.array([1.0, 1 / 39])


def images(dtype=np.float32):
    """Enough of them for all threads."""
    return np.random.default_rng(0).standard_normal((5, 7, 40, 40)).astype(dtype)


def windows(x):
    for i, (top, bottom) in enumerate(WINDOWS[0]):
        for j, (left, right) in enumerate(WINDOWS[1]):
            yield (i, j), x[:, :, top:bottom, left:right]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_largest_and_mean_of_many_windows(dtype, layout):
    x = images(dtype)
    largest, places = lib.max_pool(lay_out(x, layout), *WINDOWS)
    means = lib.avg_pool(lay_out(x, layout), *WINDOWS, *FACTORS)
    flat = x.reshape(5, 7, -1)
    for (i, j), window in windows(x):
        np.testing.assert_array_equal(largest[:, :, i, j], window.max(axis=(2, 3)))
        np.testing.assert_array_equal(
            np.take_along_axis(flat, places[:, :, i, j][..., None], 2)[..., 0], largest[:, :, i, j]
        )
        np.testing.assert_allclose(means[:, :, i, j], window.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("window", "stride"), [((2, 2), (2, 2)), ((3, 2), (2, 3)), ((1, 4), (1, 1))])
def test_windows_with_kernels_of_their_own(window, stride):
    x = images()
    x[0, 0, 0, :7], x[1, 1] = np.nan, -np.inf
    tables = [
        np.array([[s * i, s * i + k] for i in range((40 - k) // s + 1)])
        for k, s in zip(window, stride, strict=True)
    ]
    for found, expected in zip(lib.max_pool_whole(x, window, stride), lib.max_pool(x, *tables), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert_same_for_any_threads(lambda: lib.max_pool_whole(x, window, stride)[1].ravel())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("kh", "kw"), [(2, 2), (1, 3), (4, 3)])
def test_means_of_windows_side_by_side(kh, kw, dtype):
    x = images(dtype)
    h, w = 40 // kh, 40 // kw
    tables = [np.array([[k * i, k * i + k] for i in range(n)]) for k, n in ((kh, h), (kw, w))]
    factors = np.full(h, 1 / kh), np.full(w, 1 / kw)
    tiles = x[:, :, : h * kh, : w * kw].reshape(5, 7, h, kh, w, kw)
    means = lib.avg_pool(x, *tables, *factors)
    np.testing.assert_allclose(means, tiles.mean((3, 5)), rtol=1e-4, atol=1e-6)
    g = np.random.default_rng(1).standard_normal(means.shape).astype(dtype)
    expected = np.zeros_like(x)
    expected[:, :, : h * kh, : w * kw] = np.repeat(np.repeat(g, kh, 2), kw, 3) / (kh * kw)
    spread = lib.avg_pool_grad(g, *tables, *factors, (40, 40))
    np.testing.assert_allclose(spread, expected, rtol=1e-5)
    assert_same_for_any_threads(lambda: lib.avg_pool(x, *tables, *factors).ravel())
    assert_same_for_any_threads(lambda: lib.avg_pool_grad(g, *tables, *factors, (40, 40)).ravel())


def test_gradients_of_overlapping_windows_add_up():
    x = images(np.float64)
    g = np.random.default_rng(1).standard_normal((5, 7, 3, 2))
    to_x = lib.max_pool_grad(g, lib.max_pool(x, *WINDOWS)[1], (40, 40))
    np.testing.assert_allclose(to_x.sum(axis=(2, 3)), g.sum(axis=(2, 3)), rtol=1e-12)
    assert ((to_x != 0).sum(axis=(2, 3)) <= 6).all()
    spread, expected = lib.avg_pool_grad(g, *WINDOWS, *FACTORS, (40, 40)), np.zeros_like(x)
    for (i, j), window in windows(expected):
        window += (g[:, :, i, j] * FACTORS[0][i] * FACTORS[1][j])[..., None, None]
    np.testing.assert_allclose(spread, expected, rtol=1e-12)


def test_threads_do_not_change_a_bit():
    x, g = images(), np.random.default_rng(1).standard_normal((5, 7, 3, 2)).astype(np.float32)
    places = lib.max_pool(x, *WINDOWS)[1]
    assert_same_for_any_threads(lambda: lib.max_pool(x, *WINDOWS)[0].ravel())
    assert_same_for_any_threads(lambda: lib.max_pool_grad(g, places, (40, 40)).ravel())
    assert_same_for_any_threads(lambda: lib.avg_pool(x, *WINDOWS, *FACTORS).ravel())
    assert_same_for_any_threads(lambda: lib.avg_pool_grad(g, *WINDOWS, *FACTORS, (40, 40)).ravel())


@pytest.mark.nojit_ok
def test_nan_is_the_largest_and_the_first_of_equals_counts():
    x = np.array([[[[1.0, np.nan, np.nan], [2.0, 2.0, 0.0]]]])
    values, places = lib.max_pool(x, np.array([[0, 2]]), np.array([[0, 3]]))
    assert np.isnan(values).all()
    assert places.item() == 1
    values, places = lib.max_pool(x, np.array([[1, 2]]), np.array([[0, 3]]))
    assert (values.item(), places.item()) == (2, 3)
    values, places = lib.max_pool(np.full((1, 1, 2, 2), -np.inf), np.array([[0, 2]]), np.array([[0, 2]]))
    assert (values.item(), places.item()) == (-np.inf, 0)
