from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_gemm as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tests.kernels.naive_activations import each, gelu_slope, gelu_tanh_slope
from tinytorch.kernels import linear as lib
from tinytorch.kernels.activations import gelu_grad, relu_grad
from tinytorch.kernels.gemm import gemm
from tinytorch.kernels.maps import SERIAL
from tinytorch.kernels.reduce import sum_to

ALL = (True, True, True)
# A few rows, one of each, more than a vector, and enough work for all threads.
SHAPES = [(2, 3, 4), (1, 1, 1), (5, 40, 33), (200, 1, 4), (64, 128, 100), (64, 10, 64)]
# More than SERIAL numbers, in few columns or many.
LARGE = [(SERIAL + 1, 1, 2), (3000, 12, 5), (301, 200, 33)]
ACTIVATIONS = (None, "relu", "gelu", "gelu_tanh")
APART = {"relu": relu_grad, "gelu": gelu_grad, "gelu_tanh": lambda g, x: gelu_grad(g, x, tanh=True)}


def layer(n, outputs, inputs, dtype=np.float32, seed=0):
    """g, x, weight and the result of a relu, which stands for what a gelu was given too."""
    rng = np.random.default_rng(seed)
    g, x, weight = (
        rng.standard_normal(s).astype(dtype) for s in ((n, outputs), (n, inputs), (outputs, inputs))
    )
    return g, x, weight, np.maximum(rng.standard_normal((n, outputs)), 0).astype(dtype)


def naive_linear_grad(g, x, weight, y, activation=None):
    slopes = {"relu": lambda v: float(v > 0), "gelu": gelu_slope, "gelu_tanh": gelu_tanh_slope}
    g = g.astype(np.float64) * (1 if activation is None else each(slopes[activation], y))
    return naive.gemm(g, weight), naive.gemm(g.T, x), g.sum(axis=0)


@pytest.mark.nojit_ok
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(FLOATS),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    needs=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    activation=st.sampled_from(ACTIVATIONS),
)
def test_gradients_of_a_small_layer(shape, dtype, layouts, needs, activation):
    g, x, weight, y = layer(*shape, dtype)
    x, weight, y = lay_out(x, layouts[0]), lay_out(weight, layouts[1]), lay_out(y, layouts[1])
    found = lib.linear_grad(lay_out(g, layouts[0]), x, weight, needs, activation, y)
    expected_ones = naive_linear_grad(g, x, weight, y, activation)
    for gradient, expected, need in zip(found, expected_ones, needs, strict=True):
        assert (gradient is not None) == need
        if need:
            assert (gradient.shape, gradient.dtype) == (expected.shape, dtype)
            np.testing.assert_allclose(gradient, expected, **tolerance(dtype, 1e-5, 1e-13))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [*SHAPES, *LARGE])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bits_are_those_of_the_kernels_one_by_one(shape, dtype, activation):
    g, x, weight, y = layer(*shape, dtype)
    masked = g if activation is None else APART[activation](g, y)
    expected = gemm(masked, weight), gemm(masked.T, x), sum_to(masked, masked.shape[1:])
    found = lib.linear_grad(g, x, weight, ALL, activation, y)
    for gradient, wanted in zip(found, expected, strict=True):
        assert gradient.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", [*SHAPES, *LARGE])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_threads_do_not_change_a_bit(shape, activation):
    g, x, weight, y = layer(*shape)
    assert_same_for_any_threads(
        lambda: np.concatenate([a.ravel() for a in lib.linear_grad(g, x, weight, ALL, activation, y)])
    )


def test_products_of_different_sizes_do_not_share_scratch():
    """The threads are not in step: one may pack for the second product while another reads the first's."""
    g, x, weight, y = layer(30, 1000, 700)
    first = [a.tobytes() for a in lib.linear_grad(g, x, weight, ALL, "relu", y)]
    for _ in range(20):
        assert [a.tobytes() for a in lib.linear_grad(g, x, weight, ALL, "relu", y)] == first


def test_nan_passes_a_relu():
    g, x, weight, y = layer(3, 2, 4)
    g[1, 0], y[1] = np.nan, (np.nan, 1.0)
    g_x, g_weight, g_bias = lib.linear_grad(g, x, weight, ALL, "relu", y)
    assert np.isnan(g_x).any(axis=1).tolist() == [False, True, False]
    assert np.isnan(g_weight).all(axis=1).tolist() == [True, False]
    assert np.isnan(g_bias).tolist() == [True, False]


def test_no_numbers_and_several_types_are_declined():
    g, x, weight, _ = layer(4, 6, 5)
    assert lib.linear_grad(g, x, weight, ALL) is not None
    assert lib.linear_grad(g.astype(np.float64), x, weight, ALL) is None
    assert lib.linear_grad(g, x.astype(np.float64), weight, ALL) is None
    assert lib.linear_grad(g[:0], x[:0], weight, ALL) is None
    assert lib.linear_grad(g, x[:, :0], weight[:, :0], ALL) is None
