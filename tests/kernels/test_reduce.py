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
from tinytorch.kernels import reduce as lib


@st.composite
def array_and_axes(draw, **options):
    """An array, and axes of it: None, one, or several, also counted from the end."""
    x = draw(arrays(**options))
    if x.ndim == 0 or draw(st.booleans()):
        return x, None
    axes = draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    axes = tuple(a - x.ndim if draw(st.booleans()) else a for a in axes)
    return x, axes[0] if len(axes) == 1 else axes


def as_tuple(axis, ndim):
    if axis is None:
        return tuple(range(ndim))
    return axis if isinstance(axis, tuple) else (axis,)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("keepdims", [False, True])
@given(case=array_and_axes())
def test_sum_and_mean(name, keepdims, case):
    x, axis = case
    comp = getattr(lib, name)(x, axis, keepdims)
    one = naive.total if name == "sum" else naive.mean
    ref = naive.over(one, x, as_tuple(axis, x.ndim), keepdims)
    assert (comp.shape, comp.dtype) == (ref.shape, x.dtype)
    np.testing.assert_allclose(comp, ref, **tolerance(x.dtype))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("correction", [0, 1])
@given(case=array_and_axes(shape=filled_shapes))
def test_variance(correction, case):
    x, axis = case
    comp = lib.var(x, axis, correction)
    ref = naive.over(lambda values: naive.variance(values, correction), x, as_tuple(axis, x.ndim), False)
    assert (comp.shape, comp.dtype) == (ref.shape, x.dtype)
    np.testing.assert_allclose(comp, ref, **tolerance(x.dtype))


def test_variance_far_from_zero_keeps_its_digits():
    x = 1e4 + np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    assert lib.var(x) == pytest.approx(np.var(x.astype(np.float64), ddof=1), rel=1e-6)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("sign", [1, -1], ids=["max", "min"])
@pytest.mark.parametrize("keepdims", [False, True])
@given(case=arrays(shape=filled_shapes, awkward=True), data=st.data())
def test_extremes_and_their_places(sign, keepdims, case, data):
    x = np.round(case) if data.draw(st.booleans()) else case  # with ties
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    values, places = (lib.max if sign == 1 else lib.min)(x, axis, keepdims)
    ref = naive.over(naive.place_of_largest, sign * x, (axis,), True).astype(np.int64)
    ref_values = np.take_along_axis(x, ref, axis)
    assert (values.dtype, places.dtype) == (x.dtype, np.int64)
    np.testing.assert_array_equal(values, ref_values if keepdims else ref_values.squeeze(axis))
    np.testing.assert_array_equal(places, ref if keepdims else ref.squeeze(axis))


@pytest.mark.parametrize("place", [0, 17, 4999])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("nan", [np.nan, -np.nan])
def test_nan_is_the_extreme_wherever_it_stands(place, axis, nan):
    x = np.random.default_rng(0).standard_normal((3, 5000)).astype(np.float32)
    x = np.ascontiguousarray(x if axis == 1 else x.T)
    (x if axis == 1 else x.T)[1, place] = nan
    for find in (lib.max, lib.min):
        values, places = find(x, axis)
        assert np.isnan(values).tolist() == [False, True, False]
        assert places[1] == place


def test_extremes_of_integers():
    x = np.array([[3, 1, 3], [0, 7, 7]])
    values, places = lib.max(x, 1)
    assert (values.tolist(), places.tolist()) == ([3, 7], [0, 1])
    assert lib.min(x, 0)[0].tolist() == [0, 1, 3]


def test_extremes_of_nothing_are_refused():
    with pytest.raises(
        ValueError, match=r"max: expected at least one element along axis 1, got shape \(2, 0\)"
    ):
        lib.max(np.zeros((2, 0)), 1)


@pytest.mark.parametrize(
    "shape", [(100_003,), (7, 30_001), (3001, 70), (20_000, 3), (3, 5000, 7), (1, 3, 20_000)]
)
def test_long_sums(shape):
    x = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    for axis in (*range(len(shape)), None):
        comp, ref = lib.sum(x, axis), x.sum(axis=axis, dtype=np.float64)
        np.testing.assert_allclose(comp, ref, rtol=1e-7)  # float32 rounds at 6e-8
        assert_same_for_any_threads(lambda axis=axis: lib.sum(x, axis))
        np.testing.assert_allclose(lib.var(x, axis, 0), x.var(axis=axis, dtype=np.float64), rtol=1e-6)
        assert_same_for_any_threads(lambda axis=axis: lib.var(x, axis))


@pytest.mark.parametrize("shape", [(7, 30_001), (3001, 70)])
@pytest.mark.parametrize("axis", [0, 1])
def test_extremes_on_all_threads(shape, axis):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    values, places = lib.max(x, axis)
    np.testing.assert_array_equal(values, x.max(axis))
    np.testing.assert_array_equal(places, x.argmax(axis))
    assert_same_for_any_threads(lambda: lib.min(x, axis)[1])


@pytest.mark.parametrize("axis", [(0, 2, 3), (2, 3), (0,), (1, 3)])
def test_sums_over_images(axis):
    x = np.random.default_rng(0).standard_normal((6, 5, 16, 17)).astype(np.float32)
    np.testing.assert_allclose(lib.sum(x, axis), x.sum(axis=axis, dtype=np.float64), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(lib.var(x, axis, 0), x.var(axis=axis, dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_of_any_layout(layout):
    x = np.random.default_rng(0).standard_normal((200, 201)).astype(np.float32)
    np.testing.assert_array_equal(lib.sum(lay_out(x, layout), 0), lib.sum(x, 0))


@pytest.mark.nojit_ok
@pytest.mark.parametrize(
    ("start", "shape"),
    [
        ((4, 3), (3,)), ((4, 3), (1, 3)), ((4, 3), (4, 1)), ((4, 3), (1, 1)), ((4, 3), ()), ((4, 3), (4, 3)),
        ((2, 4, 3), (4, 1)), ((2, 4, 3), (2, 1, 3)), ((0, 3), (3,)), ((0, 3), (1, 3)), ((2, 0), (0,)),
        ((2, 0), (2, 1)), ((5,), ()), ((2, 1, 3), (1, 3)),
    ],
)  # fmt: skip
def test_sum_to_undoes_a_broadcast(start, shape):
    g = np.random.default_rng(0).standard_normal(start)
    comp = lib.sum_to(g, shape)
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + a for a, n in enumerate(shape) if n == 1 and start[lead + a] != 1
    )
    ref = g.sum(axis=axes, keepdims=True).reshape(shape)
    assert comp.shape == shape
    np.testing.assert_allclose(comp, ref, rtol=1e-14, atol=1e-14)


def test_integers_and_booleans_are_added_as_int64():
    assert lib.sum(np.ones((300, 2), np.uint8), 0).tolist() == [300, 300]
    assert lib.sum(np.array([True, True])).dtype == np.int64


@pytest.mark.nojit_ok
def test_infinity_and_nan_spread_through_a_sum():
    x = np.array([[1, np.inf], [np.nan, 1], [np.inf, -np.inf]], np.float32)
    assert lib.sum(x, 1)[0] == np.inf
    assert np.isnan(lib.sum(x, 1)[1:]).all()
    assert np.isnan(lib.sum(x, 0)).all()


@given(case=array_and_axes(shape=filled_shapes))
def test_the_reductions_that_are_numpys(case):
    x, axis = case
    np.testing.assert_array_equal(lib.amax(x, axis, True), x.max(axis=axis, keepdims=True))
    np.testing.assert_array_equal(lib.amin(x, axis), x.min(axis=axis))
    np.testing.assert_allclose(lib.prod(x, axis), x.prod(axis=axis))
    assert lib.argmax(x).tolist() == int(x.argmax())
    assert lib.argmin(x, 0).tolist() == x.argmin(0).tolist()
    np.testing.assert_allclose(lib.cumsum(x, 0), np.cumsum(x.astype(np.float64), 0), **tolerance(x.dtype))
    assert lib.cumsum(x, 0).dtype == x.dtype
