"""Normalisation on all threads and where digits are lost; `tests/test_ops.py` holds values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import norm as lib
from tinytorch.kernels.activations import relu, relu_grad


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
    assert_same_for_any_threads(lambda: lib.normalize_channels(x, mean, rstd, weight, "relu").ravel())
    assert_same_for_any_threads(
        lambda: np.concatenate([a.ravel() for a in lib.batch_norm_grad(g, x, mean, rstd, weight, weight)])
    )
    # Of one image the channels are shared out.
    one, to_one = x[:1].repeat(40, axis=2), g[:1].repeat(40, axis=2)
    assert_same_for_any_threads(lambda: np.concatenate(lib.channel_statistics(one)))
    assert_same_for_any_threads(lambda: lib.batch_norm_grad(to_one, one, mean, rstd, rstd, rstd)[0].ravel())
    rows, wide = x.reshape(-1, 21), np.linspace(1, 2, 21, dtype=np.float32)
    out = lib.normalize_rows(rows, wide, wide, 1e-5)
    assert_same_for_any_threads(lambda: lib.normalize_rows(rows, wide, wide, 1e-5)[0].ravel())
    assert_same_for_any_threads(
        lambda: np.concatenate(
            [a.ravel() for a in lib.normalize_rows_grad(g.reshape(-1, 21), rows, out[1], out[2], wide)]
        )
    )


SHAPES = [(4, 3, 5, 6), (64, 5), (40, 64, 8, 8), (9, 12, 20, 21), (1, 4, 200, 200), (3, 2, 100, 101)]


def arguments(shape, dtype):
    """g, x, mean, rstd, weight, bias."""
    s = np.random.default_rng(0)
    x, g = (s.standard_normal(shape).astype(dtype) for _ in range(2))
    mean, variance = lib.channel_statistics(x)
    rstd = (1 / np.sqrt(variance)).astype(dtype)
    return g, x, mean, rstd, *(s.standard_normal(shape[1]).astype(dtype) for _ in range(2))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (64, 5), (1, 4, 20, 20), (0, 3, 2, 2)])
@pytest.mark.parametrize("fixed", [False, True])
def test_gradients_of_channels(shape, dtype, fixed):
    if not shape[0]:
        g = x = np.zeros(shape, dtype)
        mean = rstd = weight = bias = np.ones(shape[1], dtype)
    else:
        g, x, mean, rstd, weight, bias = arguments(shape, dtype)
    found = lib.batch_norm_grad(g, x, mean, rstd, weight, bias, fixed)
    axes, one = (0, *range(2, len(shape))), (-1,) + (1,) * (len(shape) - 2)
    hat, exact = (x.astype(np.float64) - mean.reshape(one)) * rstd.reshape(one), g.astype(np.float64)
    products, sums = (exact * hat).sum(axes), exact.sum(axes)
    count = np.inf if fixed else max(1, x.size // shape[1])
    to_x = exact - (sums.reshape(one) + hat * products.reshape(one)) / count
    for ours, expected in zip(found, (to_x * (weight * rstd).reshape(one), products, sums), strict=True):
        np.testing.assert_allclose(ours, expected, **tolerance(dtype, 2e-5, 1e-11))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_relu_in_the_kernel_has_the_bits_of_one_behind_it(shape, dtype):
    g, x, mean, rstd, weight, bias = arguments(shape, dtype)
    plain = lib.normalize_channels(x, mean, rstd * weight, bias)
    fused = lib.normalize_channels(x, mean, rstd * weight, bias, "relu")
    assert fused.tobytes() == relu(plain).tobytes()
    apart = lib.batch_norm_grad(relu_grad(g, fused), x, mean, rstd, weight, bias)
    together = lib.batch_norm_grad(g, x, mean, rstd, weight, bias, activation="relu")
    for ours, expected in zip(together, apart, strict=True):
        assert ours.tobytes() == expected.tobytes()


@pytest.mark.nojit_ok
def test_nan_passes_a_relu_in_the_kernel():
    x, one = np.array([[[1.0, np.nan, -1.0]]]), np.ones(1)
    np.testing.assert_array_equal(
        lib.normalize_channels(x, 0 * one, one, 0 * one, "relu"), [[[1.0, np.nan, 0.0]]]
    )
    _, _, to_bias = lib.batch_norm_grad(np.ones((1, 1, 3)), x, 0 * one, one, one, 0 * one, True, "relu")
    assert to_bias.item() == 2


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (70, 130), (0, 3)])
@pytest.mark.parametrize("centred", [True, False])
def test_gradients_of_rows(shape, dtype, centred):
    s = np.random.default_rng(0)
    g, x = (s.standard_normal(shape).astype(dtype) for _ in range(2))
    weight = s.standard_normal(shape[1]).astype(dtype)
    _, mean, rstd = lib.normalize_rows(x, weight, None, 0.1, centred)
    exact, weighted = g.astype(np.float64), g.astype(np.float64) * weight
    hat = (x.astype(np.float64) - mean[:, None]) * rstd[:, None]
    to_x = weighted - hat * (weighted * hat).mean(axis=1, keepdims=True)
    to_x -= weighted.mean(axis=1, keepdims=True) if centred else 0
    found = lib.normalize_rows_grad(g, x, mean, rstd, weight, centred)
    for ours, expected in zip(found, (to_x * rstd[:, None], (exact * hat).sum(0), exact.sum(0)), strict=True):
        assert (ours.shape, ours.dtype) == (expected.shape, dtype)
        np.testing.assert_allclose(ours, expected, **tolerance(dtype, 1e-5, 1e-12))


def test_the_gradients_of_many_rows_come_in_chunks():
    s = np.random.default_rng(0)
    g, x = (s.standard_normal((40_000, 4)).astype(np.float32) for _ in range(2))
    one = np.ones(4, np.float32)
    _, mean, rstd = lib.normalize_rows(x, one, None, 1e-5)
    _, to_weight, to_bias = lib.normalize_rows_grad(g, x, mean, rstd, one)
    hat = (x - mean[:, None]).astype(np.float64) * rstd[:, None]
    np.testing.assert_allclose(to_weight, (g * hat).sum(0), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(to_bias, g.astype(np.float64).sum(0), rtol=1e-6)
    assert_same_for_any_threads(lambda: lib.normalize_rows_grad(g, x, mean, rstd, one)[1])
