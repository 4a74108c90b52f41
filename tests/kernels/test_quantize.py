from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_int8 as naive
from tests.kernels.layouts import arrays, assert_same_for_any_threads
from tinytorch.kernels import quantize as lib

LEAST = {np.uint8: 0, np.int8: -128}
floats = arrays(dtype=np.float32, awkward=True)


@pytest.mark.nojit_ok
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@given(
    x=floats,
    scale=st.sampled_from([0.02, 0.5, 3.0]),
    dtype=st.sampled_from([np.uint8, np.int8]),
    data=st.data(),
)
def test_codes_and_back(x, scale, dtype, data):
    least = LEAST[dtype]
    zero = data.draw(st.integers(least, least + 255))
    codes = lib.quantize(x, scale, zero, dtype)
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, naive.quantize(x, scale, zero, least, least + 255))
    back = lib.dequantize(codes, scale, zero)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, (codes.astype(np.float32) - zero) * np.float32(scale))


@pytest.mark.nojit_ok
@given(
    x=arrays(shape=st.tuples(*[st.integers(1, 4)] * 3), dtype=np.float32),
    axis=st.integers(-3, 2),
    data=st.data(),
)
def test_an_axis_has_scales_of_its_own(x, axis, data):
    length = x.shape[axis]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scale, zero = rng.uniform(0.01, 1, length).astype(np.float32), rng.integers(0, 256, length)
    codes = lib.quantize(x, scale, zero, axis=axis)
    assert codes.flags.c_contiguous
    back = lib.dequantize(codes, scale, zero, axis=axis)
    for i in range(length):
        place = np.s_[i : i + 1]
        one = np.take(x, range(length)[place], axis)
        some = np.take(codes, range(length)[place], axis)
        np.testing.assert_array_equal(some, lib.quantize(one, float(scale[i]), int(zero[i])))
        np.testing.assert_array_equal(
            np.take(back, range(length)[place], axis), lib.dequantize(some, float(scale[i]), int(zero[i]))
        )


@pytest.mark.nojit_ok
def test_halves_go_to_the_even_number():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 254.5, 255.5, -1e30, 1e30], np.float32)
    np.testing.assert_array_equal(lib.quantize(x, 1, 0), [0, 2, 2, 0, 0, 254, 255, 0, 255])
    np.testing.assert_array_equal(lib.quantize(x, 1, 3), [3, 5, 5, 3, 1, 255, 255, 0, 255])


@pytest.mark.nojit_ok
@given(
    x=arrays(shape=st.tuples(*[st.integers(1, 20)] * 2), dtype=np.float32, awkward=True),
    axis=st.sampled_from([None, 0, 1]),
)
def test_the_range(x, axis):
    low, high = lib.min_max(x, axis)
    others = None if axis is None else 1 - axis
    np.testing.assert_array_equal(low, x.min(axis=others))
    np.testing.assert_array_equal(high, x.max(axis=others))


@pytest.mark.nojit_ok
@given(x=arrays(shape=st.tuples(*[st.integers(1, 20)] * 2), dtype=np.float32))
def test_rows_have_ranges_of_their_own(x):
    codes, scale, zero = lib.quantize_rows(x)
    assert (codes.dtype, scale.dtype, zero.dtype) == (np.uint8, np.float32, np.int32)
    low, high = np.minimum(x.min(axis=1), 0), np.maximum(x.max(axis=1), 0)
    np.testing.assert_allclose(scale, (high - low) / 255, rtol=1e-6)
    back = (codes.astype(np.float64) - zero[:, None]) * scale[:, None]
    assert (np.abs(back - x) <= 1.01 * scale[:, None]).all()
    for i in range(len(x)):
        np.testing.assert_array_equal(codes[i], lib.quantize(x[i], float(scale[i]), int(zero[i])))


@pytest.mark.nojit_ok
def test_zero_has_a_code_of_its_own_in_every_row():
    x = np.array([[5, 6, 7, 0], [-5, -6, -7, 0], [0, 0, 0, 0], [-1, 3, 0.3, 0]], np.float32)
    codes, scale, zero = lib.quantize_rows(x)
    np.testing.assert_array_equal(codes[:, 3], zero)
    np.testing.assert_array_equal(zero[:3], [0, 255, 0])
    assert scale[2] == 1


@pytest.mark.nojit_ok
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:divide by zero")
def test_rows_that_are_not_finite_or_hardly_anything():
    x = np.array([[np.nan, 1], [np.inf, 1], [-np.inf, 1], [-1e-45, 0], [0, 1e-42]], np.float32)
    codes, scale, zero = lib.quantize_rows(x)
    assert np.isnan(scale[0])
    np.testing.assert_array_equal(scale[1:], [np.inf, np.inf, lib.SMALLEST_SCALE, lib.SMALLEST_SCALE])
    np.testing.assert_array_equal(zero, 0)
    np.testing.assert_array_equal(codes[:3, 0], 0)


@pytest.mark.parametrize(
    "act",
    [
        lambda x: lib.quantize(x, 0.1, 7),
        lambda x: lib.quantize(x, np.full(3, 0.1), np.arange(3), axis=0),
        lambda x: lib.dequantize(lib.quantize(x, 0.1, 7), 0.1, 7),
        lambda x: lib.quantize_rows(x)[0],
        lambda x: np.stack(lib.min_max(x)),
        lambda x: np.stack(lib.min_max(x, axis=0)),
    ],
)
def test_same_bits_for_any_number_of_threads(act):
    x = np.random.default_rng(0).standard_normal((3, 2 * lib.CHUNK + 77)).astype(np.float32)
    assert x.size > lib.SERIAL
    assert_same_for_any_threads(lambda: act(x))


@pytest.mark.nojit_ok
def test_nothing():
    nothing = np.zeros((0, 3), np.float32)
    assert lib.quantize(nothing, 1, 0).shape == (0, 3)
    assert lib.quantize(nothing, np.zeros(0), np.zeros(0), axis=0).shape == (0, 3)
    assert lib.dequantize(np.zeros((0, 3), np.int8), 1, 0).shape == (0, 3)
    codes, scale, zero = lib.quantize_rows(nothing)
    assert (codes.shape, scale.shape, zero.shape) == ((0, 3), (0,), (0,))
    np.testing.assert_array_equal(lib.quantize_rows(np.zeros((2, 0), np.float32))[1], [1, 1])


@pytest.mark.nojit_ok
def test_errors():
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match="quantize: expected float32, got float64"):
        lib.quantize(x.astype(float), 1, 0)
    with pytest.raises(TypeError, match="quantize: expected uint8 or int8 codes, got int32"):
        lib.quantize(x, 1, 0, np.int32)
    with pytest.raises(TypeError, match="dequantize: expected uint8 or int8 codes, got float32"):
        lib.dequantize(x, 1, 0)
    with pytest.raises(ValueError, match="expected scale > 0 and zero from 0 to 255, got 0 and 0"):
        lib.quantize(x, 0, 0)
    with pytest.raises(ValueError, match="expected scale > 0 and zero from 0 to 255, got nan and 0"):
        lib.quantize(x, np.nan, 0)
    with pytest.raises(ValueError, match=r"zero from -128 to 127, got 1\.0 and 128"):
        lib.quantize(x, 1.0, 128, np.int8)
    with pytest.raises(ValueError, match=r"expected scale to be one number, got shape \(2,\)"):
        lib.quantize(x, np.ones(2), 0)
    with pytest.raises(ValueError, match=r"expected zero to be one number, or shape \(3,\) for axis 1"):
        lib.quantize(x, np.ones(3), np.zeros(2), axis=1)
    with pytest.raises(ValueError, match=r"expected an axis of \(2, 3\), got 2"):
        lib.quantize(x, 1, 0, axis=2)
    with pytest.raises(ValueError, match=r"quantize_rows: expected \(m, k\), got \(3,\)"):
        lib.quantize_rows(x[0])
    with pytest.raises(ValueError, match=r"min_max: expected at least one number, got shape \(0, 3\)"):
        lib.min_max(x[:0])


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(("scale", "zero"), [(0.03, 128), (0.5, 0), (1 / 3, 254)])
def test_codes_are_those_of_pytorch(scale, zero):
    torch = pytest.importorskip("torch")
    x = (np.random.default_rng(0).standard_normal(5000) * 20).astype(np.float32)
    x[:9] = np.arange(-4, 5) * scale / 2
    there = torch.quantize_per_tensor(torch.from_numpy(x), scale, zero, torch.quint8)
    codes = lib.quantize(x, scale, zero)
    apart = np.abs(codes.astype(int) - there.int_repr().numpy())
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.001  # PyTorch adds the zero point in float32, before it rounds
    codes = there.int_repr().numpy()
    np.testing.assert_allclose(lib.dequantize(codes, scale, zero), there.dequantize().numpy(), rtol=1e-6)
