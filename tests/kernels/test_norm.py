"""Normalisation on all threads and where digits are lost; `tests/test_ops.py` holds values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import norm as lib


def batch(dtype=np.float32):
    """Enough for all threads."""
    return np.random.default_rng(0).standard_normal((9, 12, 20, 21)).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_statistics_of_channels(dtype, layout):
    x = batch(dtype) * 3 + 1
    mean, variance = lib.channel_statistics(lay_out(x, layout))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), **tolerance(dtype, 1e-6, 1e-13))
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2, 3)), **tolerance(dtype, 1e-6, 1e-12))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_a_large_mean_takes_no_digits_from_the_variance(offset):
    x = np.random.default_rng(0).standard_normal((50, 2, 4)) + offset
    _, variance = lib.channel_statistics(x)
    np.testing.assert_allclose(variance, x.var(axis=(0, 2)), rtol=1e-9)
    rows = np.ascontiguousarray(x.reshape(50, 8))
    _, _, rstd = lib.normalize_rows(rows, np.ones(8), None, 0.0)
    np.testing.assert_allclose(rstd, 1 / rows.std(axis=1), rtol=1e-9)


@pytest.mark.nojit_ok
def test_constants_have_no_variance_and_nan_stays():
    x = np.array([[[2.0, 2.0], [1.0, np.nan]], [[2.0, 2.0], [3.0, 4.0]]])
    mean, variance = lib.channel_statistics(x)
    assert (mean[0], variance[0]) == (2, 0)
    assert np.isnan([mean[1], variance[1]]).all()


def test_threads_do_not_change_a_bit():
    x, g = batch(), np.random.default_rng(1).standard_normal((9, 12, 20, 21)).astype(np.float32)
    mean, variance = lib.channel_statistics(x)
    rstd, weight = (1 / np.sqrt(variance)).astype(np.float32), np.linspace(1, 2, 12, dtype=np.float32)
    assert_same_for_any_threads(lambda: np.concatenate(lib.channel_statistics(x)))
    assert_same_for_any_threads(lambda: lib.normalize_channels(x, mean, rstd, weight).ravel())
    assert_same_for_any_threads(
        lambda: np.concatenate([a.ravel() for a in lib.batch_norm_grad(g, x, mean, rstd, weight)])
    )
    rows, wide = x.reshape(-1, 21), np.linspace(1, 2, 21, dtype=np.float32)
    out = lib.normalize_rows(rows, wide, wide, 1e-5)
    assert_same_for_any_threads(lambda: lib.normalize_rows(rows, wide, wide, 1e-5)[0].ravel())
    assert_same_for_any_threads(
        lambda: lib.normalize_rows_grad(g.reshape(-1, 21), rows, out[1], out[2], wide).ravel()
    )
