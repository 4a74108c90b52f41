from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_reduce as naive
from tests.kernels.layouts import (
    LAYOUTS,
    arrays,
    assert_same_for_any_threads,
    filled_shapes,
    lay_out,
    tolerance,
)
from tinytorch.kernels import softmax as lib


def softmax(x, axis):
    return np.apply_along_axis(lambda row: naive.softmax([float(value) for value in row]), axis, x)


@st.composite
def array_and_axis(draw):
    x = draw(arrays(shape=filled_shapes, low=-30, high=30))
    return x, draw(st.integers(-x.ndim, x.ndim - 1)), np.asarray(draw(arrays(shape=x.shape, dtype=x.dtype)))


@pytest.mark.nojit_ok
@given(case=array_and_axis())
def test_softmax_and_its_gradient(case):
    x, axis, g = case
    y, ref = lib.softmax(x, axis), softmax(x, axis)
    assert (y.shape, y.dtype, y.flags.c_contiguous) == (x.shape, x.dtype, True)
    np.testing.assert_allclose(y, ref, **tolerance(x.dtype))
    ref_grad = ref * (g - np.sum(g * ref, axis=axis, keepdims=True))
    np.testing.assert_allclose(lib.softmax_grad(g, y, axis), ref_grad, **tolerance(x.dtype, 3e-6))


@pytest.mark.nojit_ok
@given(case=array_and_axis())
def test_log_softmax_and_its_gradient(case):
    x, axis, g = case
    y, ref = lib.log_softmax(x, axis), softmax(x, axis)
    assert (y.shape, y.dtype, y.flags.c_contiguous) == (x.shape, x.dtype, True)
    np.testing.assert_allclose(y, np.log(ref), **tolerance(x.dtype, 3e-6, 1e-13))
    ref_grad = g - ref * np.sum(g, axis=axis, keepdims=True)
    np.testing.assert_allclose(lib.log_softmax_grad(g, y, axis), ref_grad, **tolerance(x.dtype, 1e-5, 1e-13))


@pytest.mark.nojit_ok
def test_large_numbers_do_not_overflow():
    x = np.array([[1e30, 1e30, -1e30], [700, -700, 0], [-np.inf, 0, 0]], np.float32)
    np.testing.assert_allclose(lib.softmax(x), [[0.5, 0.5, 0], [1, 0, 0], [0, 0.5, 0.5]])
    assert lib.log_softmax(x)[1].tolist() == [0, -1400, -700]


@pytest.mark.nojit_ok
def test_nan_stays_in_its_row():
    x = np.array([[1, np.nan, 2], [0, 0, 0], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 0]])
    for y in (lib.softmax(x), lib.log_softmax(x)):
        assert np.isnan(y).all(axis=1).tolist() == [True, False, True, True]
        assert np.isfinite(y[1]).all()


def test_empty_and_without_axes():
    assert lib.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert lib.softmax(np.zeros((3, 0))).shape == (3, 0)
    assert lib.softmax(np.array(5.0)) == 1


@pytest.mark.parametrize("shape", [(1000, 10), (100, 1000), (3, 9000)])
def test_threads_do_not_change_a_bit(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(lib.softmax(x), softmax(x, 1), rtol=3e-6)
    for run in (
        lambda: lib.softmax(x),
        lambda: lib.softmax_grad(x, x),
        lambda: lib.log_softmax(x),
        lambda: lib.log_softmax_grad(x, x),
    ):
        assert_same_for_any_threads(run)
    np.testing.assert_array_equal(lib.softmax(x)[:1], lib.softmax(x[:1]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_arrays_of_any_layout(layout):
    x = np.random.default_rng(0).standard_normal((100, 101)).astype(np.float32)
    np.testing.assert_array_equal(lib.softmax(lay_out(x, layout), 0), lib.softmax(x.T.copy(), 1).T)
