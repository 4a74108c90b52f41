from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kernels import naive_conv as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import conv as lib
from tinytorch.kernels.conv_weight import conv2d_grad_weight
from tinytorch.kernels.simd import VECTOR_BYTES

LANES = VECTOR_BYTES // 4
small = st.integers(1, 3)
sides = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def geometries(draw):
    """x, weight, bias or None, and stride, padding, dilation, groups; windows that fit."""
    groups, inputs, outputs = draw(st.integers(1, 2)), draw(small), draw(small)
    window, stride = (draw(small), draw(small)), (draw(small), draw(small))
    dilation, padding = (draw(st.integers(1, 2)), draw(st.integers(1, 2))), (draw(sides), draw(sides))
    size = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    for length, k, d, around in zip(size, window, dilation, padding, strict=True):
        assume(d * (k - 1) < length + sum(around))
    dtype, rng = draw(st.sampled_from(FLOATS)), np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((draw(st.integers(1, 2)), groups * inputs, *size)).astype(dtype)
    weight = rng.standard_normal((groups * outputs, inputs, *window)).astype(dtype)
    bias = rng.standard_normal(groups * outputs).astype(dtype) if draw(st.booleans()) else None
    x, weight = (lay_out(a, draw(st.sampled_from(LAYOUTS))) for a in (x, weight))
    return x, weight, bias, (stride, padding, dilation, groups)


def result_shape(x, weight, stride, padding, dilation, groups):
    return lib.out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)


@pytest.mark.nojit_ok
@given(case=geometries(), relu=st.booleans())
def test_forward(case, relu):
    x, weight, bias, options = case
    expected = naive.conv2d(x, weight, bias, *options, result_shape(x, weight, *options))
    out = lib.conv2d(x, weight, bias, *options, "relu" if relu else None)
    assert out.dtype == x.dtype
    np.testing.assert_allclose(
        out, np.maximum(expected, 0) if relu else expected, **tolerance(x.dtype, 2e-5, 1e-12)
    )


@pytest.mark.nojit_ok
@given(case=geometries(), layout=st.sampled_from(LAYOUTS))
def test_gradients(case, layout):
    x, weight, _, options = case
    shape = (len(x), len(weight), *result_shape(x, weight, *options))
    g = lay_out(np.random.default_rng(0).standard_normal(shape).astype(x.dtype), layout)
    to_x = lib.conv2d_grad_input(g, weight, x.shape[2:], *options)
    np.testing.assert_allclose(
        to_x, naive.grad_input(g, weight, x.shape[2:], *options), **tolerance(x.dtype, 2e-5, 1e-12)
    )
    to_weight = conv2d_grad_weight(x, g, weight.shape[2:], *options)
    np.testing.assert_allclose(
        to_weight, naive.grad_weight(x, g, weight.shape, *options), **tolerance(x.dtype, 5e-5, 1e-12)
    )


# More channels than a block of rows, more pixels than a block of columns, images for all threads and for one;
# rows of pixels that are a part of a panel, a quarter, half of one, one, several, and seven quarters, of
# which all but the first are read where they lie; strides; channels with windows of their own; few channels.
LARGE = [
    # n, groups, in, out, h, w, window, stride, padding
    (3, 1, 40, 30, 17, 33, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (1, 1, 5, 13, 70, 65, (5, 3), (1, 1), ((2, 2), (0, 0))),
    (2, 1, 300, 10, 6, 5, (1, 1), (1, 1), ((0, 0), (0, 0))),
    (9, 2, 20, 17, 15, 16, (3, 3), (2, 2), ((1, 1), (1, 1))),
    (2, 8, 1, 1, 33, 20, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (1, 1, 2, 3, 30, 30, (19, 18), (1, 1), ((0, 0), (0, 0))),
    (3, 2, 40, 14, 10, LANES, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (2, 1, 40, 25, 8, LANES // 2, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (3, 1, 6, 14, 24, LANES, (3, 3), (2, 2), ((1, 1), (1, 1))),
    (1, 1, 40, 13, 7, 2 * LANES, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (2, 1, 5, 25, 6, 6 * LANES, (1, 5), (1, 1), ((0, 0), (2, 2))),
    (2, 1, 33, 12, 8, 4 * LANES, (1, 1), (1, 2), ((0, 0), (0, 0))),
    (2, 1, 9, 25, 8, 7 * LANES // 2, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (9, 1, 6, 35, 9, 11, (3, 2), (2, 2), ((1, 1), (1, 1))),
    (3, 1, 5, 4, 20, 3 * LANES + 1, (4, 4), (3, 2), ((1, 2), (2, 1))),
    (3, 33, 1, 1, 19, 2 * LANES + 3, (5, 4), (2, 2), ((2, 2), (1, 2))),
    (2, 5, 1, 1, 10, LANES, (3, 3), (3, 3), ((0, 1), (1, 0))),
    (6, 1, 3, 21, 21, 2 * LANES + 3, (3, 3), (1, 1), ((1, 1), (1, 1))),
]


def large(n, groups, inputs, outputs, h, w, window, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, groups * inputs, h, w)).astype(np.float32)
    weight = rng.standard_normal((groups * outputs, inputs, *window)).astype(np.float32)
    bias = rng.standard_normal(groups * outputs).astype(np.float32)
    options = stride, padding, (1, 1), groups
    shape = result_shape(x, weight, *options)
    return x, weight, bias, rng.standard_normal((n, groups * outputs, *shape)).astype(np.float32), options


@pytest.mark.parametrize("case", LARGE)
def test_beyond_a_block(case):
    """float32 beside the same kernels in float64, which `test_forward` and `test_gradients` hold."""
    x, weight, bias, g, options = large(*case)
    wide = [a.astype(np.float64) for a in (x, weight, bias, g)]
    for run in (forward, to_input, to_weight):
        exact = run(*wide, options)
        scale = np.abs(exact).max()
        np.testing.assert_allclose(run(x, weight, bias, g, options), exact, rtol=0, atol=1e-5 * scale)


# What takes at least a vector in a row, small enough for plain Python: few channels, windows of their own,
# with and without strides, and rows of pixels that end in the midst of a panel.
WIDE = [
    (1, 1, 2, 3, 3, LANES + 1, (3, 2), (1, 1), ((1, 1), (1, 0))),
    (1, 2, 1, 1, 3, 2 * LANES + 1, (3, 3), (1, 2), ((1, 1), (1, 1))),
    (1, 1, 1, 1, 4, LANES, (2, 2), (1, 1), ((0, 1), (1, 0))),
    (1, 1, 1, 2, 4, 3 * LANES // 2, (1, 1), (1, 1), ((0, 0), (0, 0))),
]


@pytest.mark.nojit_ok
@pytest.mark.parametrize("case", WIDE)
def test_rows_of_vectors(case):
    x, weight, bias, g, options = large(*case)
    close = tolerance(np.float32, 2e-5)
    np.testing.assert_allclose(
        lib.conv2d(x, weight, bias, *options),
        naive.conv2d(x, weight, bias, *options, g.shape[2:]),
        **close,
    )
    np.testing.assert_allclose(
        to_input(x, weight, bias, g, options),
        naive.grad_input(g, weight, x.shape[2:], *options),
        **close,
    )
    np.testing.assert_allclose(
        to_weight(x, weight, bias, g, options), naive.grad_weight(x, g, weight.shape, *options), **close
    )


def forward(x, weight, bias, g, options):
    return lib.conv2d(x, weight, bias, *options)


def to_input(x, weight, bias, g, options):
    return lib.conv2d_grad_input(g, weight, x.shape[2:], *options)


def to_weight(x, weight, bias, g, options):
    return conv2d_grad_weight(x, g, weight.shape[2:], *options)


@pytest.mark.parametrize("run", [forward, to_input, to_weight])
@pytest.mark.parametrize("case", LARGE)
def test_threads_do_not_change_a_bit(case, run):
    assert_same_for_any_threads(lambda: run(*large(*case)).ravel())


@pytest.mark.parametrize("case", LARGE[:2])
def test_the_three_kernels_are_one_bilinear_form(case):
    """<g, conv(x, w)> = <grad_input(g, w), x> = <grad_weight(x, g), w>, with sizes no naive loop can take."""
    x, weight, _, g, options = large(*case)
    x, weight, g = (a.astype(np.float64) for a in (x, weight, g))
    form = np.vdot(g, lib.conv2d(x, weight, None, *options))
    np.testing.assert_allclose(np.vdot(to_input(x, weight, None, g, options), x), form, rtol=1e-10)
    np.testing.assert_allclose(np.vdot(to_weight(x, weight, None, g, options), weight), form, rtol=1e-10)


@pytest.mark.nojit_ok
def test_nothing_in_nothing_out():
    weight = np.ones((3, 2, 2, 2), np.float32)
    empty = np.zeros((0, 2, 4, 4), np.float32)
    assert lib.conv2d(empty, weight).shape == (0, 3, 3, 3)
    assert lib.conv2d_grad_input(np.zeros((0, 3, 3, 3), np.float32), weight, (4, 4)).shape == empty.shape
    assert not conv2d_grad_weight(empty, np.zeros((0, 3, 3, 3), np.float32), (2, 2)).any()


@pytest.mark.nojit_ok
def test_pixels_that_no_tap_meets_get_no_gradient():
    g = np.ones((1, 1, 2, 2), np.float32)
    out = lib.conv2d_grad_input(g, np.full((1, 1, 1, 1), 2.0, np.float32), (4, 4), stride=(3, 2))
    assert out[0, 0].tolist() == [[2, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 2, 0]]


@pytest.mark.nojit_ok
def test_nan_reaches_the_windows_that_hold_it():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 0, 4] = np.nan
    out = lib.conv2d(x, np.ones((1, 1, 3, 3), np.float32))
    assert np.isnan(out[0, 0]).tolist() == [[False, False, True], [False] * 3, [False] * 3]
