from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_activations as naive
from tests.kernels.layouts import LAYOUTS, arrays, assert_same_for_any_threads, lay_out, tolerance, twins
from tinytorch.kernels import activations as lib

SLOPE, ALPHA, BETA, THRESHOLD = 0.1, 1.5, 2.0, 5.0

# name: (function, its value at x, gradient from (g, x), slope at x)
FUNCTIONS = {
    "relu": (lib.relu, naive.relu, lambda g, x: lib.relu_grad(g, lib.relu(x)), lambda x: float(x > 0)),
    "leaky_relu": (
        lambda x: lib.leaky_relu(x, SLOPE),
        lambda x: naive.leaky_relu(x, SLOPE),
        lambda g, x: lib.leaky_relu_grad(g, x, SLOPE),
        lambda x: 1.0 if x > 0 else SLOPE,
    ),
    "sigmoid": (
        lib.sigmoid,
        naive.sigmoid,
        lambda g, x: lib.sigmoid_grad(g, lib.sigmoid(x)),
        lambda x: naive.sigmoid(x) * (1 - naive.sigmoid(x)),
    ),
    "tanh": (
        lib.tanh,
        np.tanh,
        lambda g, x: lib.tanh_grad(g, lib.tanh(x)),
        lambda x: 1 - np.tanh(x) ** 2,
    ),
    "gelu": (lib.gelu, naive.gelu, lib.gelu_grad, naive.gelu_slope),
    "gelu_tanh": (
        lambda x: lib.gelu(x, tanh=True),
        naive.gelu_tanh,
        lambda g, x: lib.gelu_grad(g, x, tanh=True),
        naive.gelu_tanh_slope,
    ),
    "silu": (lib.silu, naive.silu, lib.silu_grad, naive.silu_slope),
    "softplus": (
        lambda x: lib.softplus(x, BETA, THRESHOLD),
        lambda x: naive.softplus(x, BETA, THRESHOLD),
        lambda g, x: lib.softplus_grad(g, x, BETA, THRESHOLD),
        lambda x: naive.softplus_slope(x, BETA, THRESHOLD),
    ),
    "elu": (
        lambda x: lib.elu(x, ALPHA),
        lambda x: naive.elu(x, ALPHA),
        lambda g, x: lib.elu_grad(g, x, ALPHA),
        lambda x: naive.elu_slope(x, ALPHA),
    ),
}


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", FUNCTIONS)
@given(x=arrays(low=-6, high=6))
def test_value(name, x):
    function, reference, _, _ = FUNCTIONS[name]
    comp = function(x)
    assert (comp.shape, comp.dtype, comp.flags.c_contiguous) == (x.shape, x.dtype, True)
    np.testing.assert_allclose(comp, naive.each(reference, x), **tolerance(x.dtype))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", FUNCTIONS)
@given(pair=twins(low=-6, high=6))
def test_gradient(name, pair):
    _, _, grad, slope = FUNCTIONS[name]
    g, x = pair
    comp = grad(g, x)
    assert (comp.shape, comp.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(comp, g * naive.each(slope, x), **tolerance(x.dtype, 3e-6))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_comes_out_and_the_ends_are_finite_where_they_should_be(name, dtype):
    function, _, grad, _ = FUNCTIONS[name]
    x = np.array([np.nan, 1e4, -1e4, 0.0], dtype)
    y = function(x)
    assert np.isnan(y[0])
    assert np.isfinite(y[1:]).all()
    assert np.isfinite(grad(np.ones_like(x), x)[1:]).all()


def test_relu_passes_infinity_and_drops_its_negative():
    assert lib.relu(np.array([np.inf, -np.inf, -0.0])).tolist() == [np.inf, 0.0, 0.0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_threads_do_not_change_a_bit(name):
    function, _, grad, _ = FUNCTIONS[name]
    x = np.random.default_rng(0).standard_normal(40_000).astype(np.float32) * 3
    assert_same_for_any_threads(lambda: function(x))
    assert_same_for_any_threads(lambda: grad(x, x))
    np.testing.assert_array_equal(function(x)[:100], function(x[:100]))


@given(layout=st.sampled_from(LAYOUTS))
def test_the_parallel_kernel_takes_every_layout(layout):
    x = np.random.default_rng(0).standard_normal((200, 200)).astype(np.float32)
    np.testing.assert_array_equal(lib.relu(lay_out(x, layout)), np.maximum(x, 0))
