from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.layouts import LAYOUTS, arrays, assert_same_for_any_threads, lay_out, tolerance, twins
from tinytorch.kernels import elementwise as lib
from tinytorch.kernels.maps import SERIAL

BINARY = {
    "add": (lib.add, lambda a, b: a + b),
    "subtract": (lib.subtract, lambda a, b: a - b),
    "multiply": (lib.multiply, lambda a, b: a * b),
    "divide": (lib.divide, lambda a, b: a / b),
    "maximum": (lib.maximum, np.maximum),
    "minimum": (lib.minimum, np.minimum),
}
UNARY = {
    "neg": (lib.neg, np.negative),
    "abs": (lib.abs, np.abs),
    "sign": (lib.sign, np.sign),
    "sqrt": (lib.sqrt, np.sqrt),
    "square": (lib.square, np.square),
    "reciprocal": (lib.reciprocal, np.reciprocal),
    "sin": (lib.sin, np.sin),
    "cos": (lib.cos, np.cos),
}
# Shapes that the parallel kernel sees, and the axes it merges them to.
LARGE = {
    "same shape": ((200, 201), (200, 201)),
    "a number": ((200, 201), ()),
    "a row": ((200, 201), (201,)),
    "a column": ((200, 201), (200, 1)),
    "a column plus a row": ((200, 1), (201,)),
    "channels of images": ((8, 5, 30, 31), (5, 1, 1)),
    "long rows": ((2, 20_000), (20_000,)),
    "short rows": ((20_000, 2), (2,)),
    "two outer products": ((20, 1, 50), (1, 40, 1)),
    "more than three runs": ((4, 10, 4, 10, 40), (10, 1, 10, 1)),
    "nothing": ((0, 40_000), (1, 40_000)),
}


def numbers(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@st.composite
def broadcastable(draw):
    """Two arrays of one dtype whose shapes broadcast."""
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    dtype = draw(st.sampled_from((np.float32, np.float64)))
    pair = []
    for _ in range(2):
        part = [draw(st.sampled_from((1, length))) for length in shape]
        pair.append(
            draw(arrays(shape=tuple(part[draw(st.integers(0, len(part))) :]), dtype=dtype, awkward=True))
        )
    return pair


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", BINARY)
@given(pair=broadcastable())
def test_binary_with_broadcasting(name, pair):
    function, reference = BINARY[name]
    with np.errstate(all="ignore"):
        ref = np.asarray(reference(*pair))
    comp = function(*pair)
    assert (comp.shape, comp.dtype, comp.flags.c_contiguous) == (ref.shape, ref.dtype, True)
    np.testing.assert_array_equal(comp, ref)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", LARGE.values(), ids=LARGE)
def test_large_arrays(name, shapes):
    function, reference = BINARY[name]
    a, b = numbers(shapes[0]), numbers(shapes[1], seed=1)
    for x in (a, b):
        if x.size > 3:
            x.flat[:3] = np.nan, np.inf, 0
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(function(a, b), reference(a, b))
        np.testing.assert_array_equal(function(b, a), reference(b, a))
    assert_same_for_any_threads(lambda: function(a, b))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_arrays_of_any_layout(layout):
    a, b = numbers((190, 200)), numbers((190, 200), seed=1)
    np.testing.assert_array_equal(lib.add(lay_out(a, layout), b), a + b)
    np.testing.assert_array_equal(lib.subtract(b, lay_out(a, layout)), b - a)


def test_a_broadcast_view_is_not_materialised():
    row = np.broadcast_to(numbers(300), (200, 300))
    a = numbers((200, 300), seed=1)
    np.testing.assert_array_equal(lib.multiply(a, row), a * row)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("name", UNARY)
@given(x=arrays(awkward=True))
def test_unary(name, x):
    function, reference = UNARY[name]
    with np.errstate(all="ignore"):
        ref = np.asarray(reference(x))
    comp = function(x)
    assert (comp.shape, comp.dtype, comp.flags.c_contiguous) == (x.shape, x.dtype, True)
    np.testing.assert_array_equal(comp, ref)


@pytest.mark.parametrize("name", ["neg", "abs", "sqrt", "square", "reciprocal"])
def test_unary_on_all_threads(name):
    function, reference = UNARY[name]
    x = np.abs(numbers(SERIAL + 7))
    np.testing.assert_array_equal(function(x), reference(x))
    assert_same_for_any_threads(lambda: function(x))


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p"])
def test_elementary_functions_on_all_threads(name):
    x = np.abs(numbers((201, 50)))
    function = getattr(lib, name)
    np.testing.assert_allclose(function(x), getattr(np, name)(x), rtol=1e-6)
    np.testing.assert_array_equal(function(x)[:3], function(x[:3]))
    assert_same_for_any_threads(lambda: function(x))


def test_integers_and_booleans_are_numpys():
    a, b = np.arange(6).reshape(2, 3), np.array([2, 3, 4])
    assert lib.add(a, b).tolist() == (a + b).tolist()
    assert lib.maximum(a, b).dtype == np.int64
    assert lib.multiply(np.array([True, False]), np.array([True, True])).dtype == np.bool_
    assert lib.clip(a, 1, 3).tolist() == np.clip(a, 1, 3).tolist()
    assert lib.abs(np.array([-2, 3])).tolist() == [2, 3]


@pytest.mark.nojit_ok
def test_results_without_axes_are_arrays():
    x = np.array(2.0, np.float32)
    for result in (lib.add(x, x), lib.neg(x), lib.exp(x), lib.sin(x), lib.power(x, x), lib.clip(x, 0, 1)):
        assert isinstance(result, np.ndarray)
        assert result.shape == ()


@pytest.mark.nojit_ok
def test_dividing_by_zero_and_overflow_do_not_warn():
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert lib.divide(one, zero).tolist() == [np.inf] * 3
    assert np.isnan(lib.divide(zero, zero)).all()
    assert lib.multiply(one * 3e38, one * 3e38).tolist() == [np.inf] * 3
    assert np.isnan(lib.sqrt(-one)).all()
    assert lib.reciprocal(zero).tolist() == [np.inf] * 3
    assert lib.power(zero, -one[:1]).tolist() == [np.inf] * 3
    assert lib.power(one * 1e30, one * 2.5).tolist() == [np.inf] * 3


@pytest.mark.nojit_ok
@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.0, 1.7, 0.0])
@given(x=arrays(low=0.1, high=3))
def test_power_of_a_number(exponent, x):
    np.testing.assert_allclose(
        lib.power(x, np.array(exponent, x.dtype)), x.astype(np.float64) ** exponent, **tolerance(x.dtype)
    )


@given(pair=twins(low=0.1, high=3))
def test_power_of_an_array(pair):
    a, b = pair
    np.testing.assert_allclose(lib.power(a, b), a.astype(np.float64) ** b, **tolerance(a.dtype, 3e-6, 1e-13))


@pytest.mark.nojit_ok
@pytest.mark.parametrize(("lo", "hi"), [(-1, 1), (None, 0.5), (0.5, None), (None, None), (2, 1)])
@given(x=arrays(awkward=True))
def test_clip(lo, hi, x):
    ref = np.minimum(np.maximum(x, -np.inf if lo is None else lo), np.inf if hi is None else hi)
    comp = lib.clip(x, lo, hi)
    assert comp.dtype == x.dtype
    np.testing.assert_array_equal(comp, ref.astype(x.dtype))


@given(pair=twins())
def test_where(pair):
    a, b = pair
    np.testing.assert_array_equal(lib.where(a > 0, a, b), np.where(a > 0, a, b))
