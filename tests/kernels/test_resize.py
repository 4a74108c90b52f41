"""Resizing beside a naive twin, on all threads; which pixels are read: `tests/ops/test_interpolate.py`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import resize as lib


def naive_nearest(x, rows, columns):
    return x[:, :, rows[:, None], columns]


def naive_nearest_grad(g, rows, columns, size):
    out = np.zeros((*g.shape[:2], *size), g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        out[n, c, rows[i], columns[j]] += g[n, c, i, j]
    return out


def naive_linear(x, rows, columns, row_weights, column_weights):
    out = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for i, j in np.ndindex(len(rows), len(columns)):
        for a, b in np.ndindex(2, 2):
            weight = row_weights[i, a] * column_weights[j, b]
            out[:, :, i, j] += weight * x[:, :, rows[i, a], columns[j, b]]
    return out


def naive_linear_grad(g, rows, columns, row_weights, column_weights, size):
    out = np.zeros((*g.shape[:2], *size))
    for i, j in np.ndindex(len(rows), len(columns)):
        for a, b in np.ndindex(2, 2):
            weight = row_weights[i, a] * column_weights[j, b]
            out[:, :, rows[i, a], columns[j, b]] += weight * g[:, :, i, j]
    return out


def tables(rng, length, count):
    """Places, and weights of which some are 0."""
    share = rng.choice([0.0, 0.3, 0.5], count)
    return rng.integers(0, length, (count, 2)), np.stack([1 - share, share], axis=1)


def images(*shape, dtype=np.float32):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))


@pytest.mark.nojit_ok
@given(
    planes=st.tuples(st.integers(0, 3), st.integers(1, 3)),
    old=sizes,
    new=sizes,
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(FLOATS),
)
def test_like_the_naive_twin(planes, old, new, layout, dtype):
    rng = np.random.default_rng(sum(old) + 7 * sum(new))
    (rows, above), (columns, beside) = (tables(rng, *axis) for axis in zip(old, new, strict=True))
    x = lay_out(images(*planes, *old, dtype=dtype), layout)
    g = lay_out(images(*planes, *new, dtype=dtype), layout)
    first = rows[:, 0].copy(), columns[:, 0].copy()
    np.testing.assert_array_equal(lib.nearest(x, *first), naive_nearest(x, *first))
    np.testing.assert_allclose(
        lib.nearest_grad(g, *first, old), naive_nearest_grad(g, *first, old), **tolerance(dtype, 1e-5)
    )
    weighted = rows, columns, above, beside
    found, gradient = lib.linear(x, *weighted), lib.linear_grad(g, *weighted, old)
    assert found.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(found, naive_linear(x, *weighted), **tolerance(dtype))
    np.testing.assert_allclose(gradient, naive_linear_grad(g, *weighted, old), **tolerance(dtype, 1e-5))


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(1)
    (rows, above), (columns, beside) = tables(rng, 20, 50), tables(rng, 30, 40)
    x, g = images(5, 7, 20, 30), images(5, 7, 50, 40)
    first = rows[:, 0].copy(), columns[:, 0].copy()
    weighted = rows, columns, above, beside
    assert_same_for_any_threads(lambda: lib.nearest(x, *first).ravel())
    assert_same_for_any_threads(lambda: lib.nearest_grad(g, *first, (20, 30)).ravel())
    assert_same_for_any_threads(lambda: lib.linear(x, *weighted).ravel())
    assert_same_for_any_threads(lambda: lib.linear_grad(g, *weighted, (20, 30)).ravel())
    np.testing.assert_allclose(
        lib.linear_grad(g, *weighted, (20, 30)),
        naive_linear_grad(g, *weighted, (20, 30)),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.nojit_ok
def test_a_row_of_weight_0_does_not_turn_infinity_into_nan():
    x = np.array([[[[1.0, 2.0], [np.inf, np.nan]]]])
    rows, columns = np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 1]])
    weights = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(lib.linear(x, rows, columns, *weights), x)
    gradient = lib.linear_grad(x, np.array([[0, 0], [0, 1]]), columns, *weights, (2, 2))
    np.testing.assert_array_equal(gradient, [[[[np.inf, np.nan], [0.0, 0.0]]]])
