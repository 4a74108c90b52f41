from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_gemm as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import linear as lib
from tinytorch.kernels.activations import relu_grad
from tinytorch.kernels.gemm import gemm
from tinytorch.kernels.maps import SERIAL
from tinytorch.kernels.reduce import sum_to

ALL = (True, True, True)
# A few rows, one of each, more than a vector, and enough work for all threads.
SHAPES = [(2, 3, 4), (1, 1, 1), (5, 40, 33), (200, 1, 4), (64, 128, 100), (64, 10, 64)]


def layer(n, outputs, inputs, dtype=np.float32, seed=0):
    """g, x, weight and the result of a relu."""
    rng = np.random.default_rng(seed)
    g, x, weight = (
        rng.standard_normal(s).astype(dtype) for s in ((n, outputs), (n, inputs), (outputs, inputs))
    )
    return g, x, weight, np.maximum(rng.standard_normal((n, outputs)), 0).astype(dtype)


def naive_linear_grad(g, x, weight, y):
    g = g.astype(np.float64) * (1 if y is None else y > 0)
    return naive.gemm(g, weight), naive.gemm(g.T, x), g.sum(axis=0)


@pytest.mark.nojit_ok
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(FLOATS),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    needs=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    relu=st.booleans(),
)
def test_gradients_of_a_small_layer(shape, dtype, layouts, needs, relu):
    g, x, weight, y = layer(*shape, dtype)
    x, weight, y = lay_out(x, layouts[0]), lay_out(weight, layouts[1]), y if relu else None
    found = lib.linear_grad(g, x, weight, y, needs)
    for gradient, expected, need in zip(found, naive_linear_grad(g, x, weight, y), needs, strict=True):
        assert (gradient is not None) == need
        if need:
            assert (gradient.shape, gradient.dtype) == (expected.shape, dtype)
            np.testing.assert_allclose(gradient, expected, **tolerance(dtype, 1e-5, 1e-13))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bits_are_those_of_the_kernels_one_by_one(shape, dtype):
    g, x, weight, y = layer(*shape, dtype)
    masked = relu_grad(g, y)
    expected = gemm(masked, weight), gemm(masked.T, x), sum_to(masked, masked.shape[1:])
    for gradient, wanted in zip(lib.linear_grad(g, x, weight, y, ALL), expected, strict=True):
        assert gradient.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_do_not_change_a_bit(shape):
    g, x, weight, y = layer(*shape)
    assert_same_for_any_threads(
        lambda: np.concatenate([a.ravel() for a in lib.linear_grad(g, x, weight, y, ALL)])
    )


def test_products_of_different_sizes_do_not_share_scratch():
    """The threads are not in step: one may pack for the second product while another reads the first's."""
    g, x, weight, y = layer(30, 1000, 700)
    first = [a.tobytes() for a in lib.linear_grad(g, x, weight, y, ALL)]
    for _ in range(20):
        assert [a.tobytes() for a in lib.linear_grad(g, x, weight, y, ALL)] == first


def test_nan_passes_a_relu():
    g, x, weight, y = layer(3, 2, 4)
    g[1, 0], y[1] = np.nan, (np.nan, 1.0)
    g_x, g_weight, g_bias = lib.linear_grad(g, x, weight, y, ALL)
    assert np.isnan(g_x).any(axis=1).tolist() == [False, True, False]
    assert np.isnan(g_weight).all(axis=1).tolist() == [True, False]
    assert np.isnan(g_bias).tolist() == [True, False]


def test_what_is_not_for_one_launch_is_declined():
    g, x, weight, y = layer(4, 6, 5)
    assert lib.linear_grad(g, x, weight, y, ALL) is not None
    assert lib.linear_grad(np.asfortranarray(g), x, weight, y, ALL) is None
    assert lib.linear_grad(g.astype(np.float64), x, weight, y, ALL) is None
    assert lib.linear_grad(g, x.astype(np.float64), weight, y, ALL) is None
    assert lib.linear_grad(g[:0], x[:0], weight, y[:0], ALL) is None
    assert lib.linear_grad(g, x[:, :0], weight[:, :0], y, ALL) is None
    many = np.zeros((SERIAL + 1, 1), np.float32)
    assert lib.linear_grad(many, many, weight[:1, :1], None, ALL) is None
