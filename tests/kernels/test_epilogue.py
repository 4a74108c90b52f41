from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_gemm as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tests.kernels.naive_activations import each, gelu, gelu_tanh
from tinytorch.kernels import activations
from tinytorch.kernels.epilogue import linear_activation
from tinytorch.kernels.gemm import gemm
from tinytorch.kernels.simd import ROWS

FUNCTIONS = {"gelu": gelu, "gelu_tanh": gelu_tanh}
# Parts of panels and of vectors, several blocks of k and of columns, a share for every thread.
SHAPES = [(ROWS, 1, 2), (ROWS + 1, 5, 17), (100, 300, 70), (50, 700, 1100), (768, 128, 512)]


def layer(m, k, n, dtype=np.float32, seed=0):
    """x, weight and bias, for results of about 1."""
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.standard_normal(shape) for shape in ((m, k), (n, k), (n,)))
    return x.astype(dtype), (weight / np.sqrt(k)).astype(dtype), bias.astype(dtype)


@pytest.mark.nojit_ok
@given(
    shape=st.tuples(st.integers(0, ROWS + 3), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(FLOATS),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    activation=st.sampled_from(list(FUNCTIONS)),
    with_bias=st.booleans(),
)
def test_layers_of_any_layout(shape, dtype, layouts, activation, with_bias):
    x, weight, bias = (lay_out(a, layout) for a, layout in zip(layer(*shape, dtype), layouts, strict=True))
    y, h = linear_activation(x, weight, bias if with_bias else None, activation)
    expected = naive.gemm(x, weight.T) + (bias if with_bias else 0)
    assert (y.shape, y.dtype, h.dtype) == (expected.shape, dtype, dtype)
    np.testing.assert_allclose(h, expected, **tolerance(dtype, 1e-5, 1e-13))
    np.testing.assert_allclose(y, each(FUNCTIONS[activation], h), **tolerance(dtype, 2e-6, 1e-13))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_bits_are_those_of_the_kernels_one_by_one(shape, dtype, with_bias):
    x, weight, bias = layer(*shape, dtype)
    bias = bias if with_bias else None
    product = gemm(x, weight.T, bias)
    for activation in FUNCTIONS:
        y, h = linear_activation(x, weight, bias, activation)
        assert h.tobytes() == product.tobytes()
        assert y.tobytes() == activations.gelu(product, activation == "gelu_tanh").tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_do_not_change_a_bit(shape):
    arrays = layer(*shape)
    assert_same_for_any_threads(lambda: linear_activation(*arrays, "gelu")[0])
    assert_same_for_any_threads(lambda: linear_activation(*arrays, "gelu_tanh")[0])


def test_scratch_grows_from_call_to_call():
    for shape in SHAPES:
        x, weight, bias = layer(*shape, np.float64)
        assert linear_activation(x, weight, bias, "gelu")[1].tobytes() == gemm(x, weight.T, bias).tobytes()


def test_nan_and_infinity_come_through():
    x, weight = np.zeros((ROWS, 2)), np.eye(2)
    x[0, 0], x[1, 0], x[2, 0] = np.nan, np.inf, -1e4
    y, _ = linear_activation(x, weight, None, "gelu_tanh")
    assert np.isnan(y[0, 0])
    assert (y[1, 0], y[3, 0]) == (np.inf, 0)
    assert abs(y[2, 0]) < 1e-30
