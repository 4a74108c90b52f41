from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_int8 as naive
from tests.kernels.layouts import arrays, assert_same_for_any_threads
from tinytorch.kernels import int8_images as lib
from tinytorch.kernels import quantize

pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 6), st.sampled_from([1, 2, 5, 16, 19])
)
tiny = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))


def codes(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def check_there_and_back(x, padding, zero):
    scale = 0.03
    images = lib.to_nhwc(x, scale, zero, padding)
    wanted = quantize.quantize(x, scale, zero)
    np.testing.assert_array_equal(images, naive.bordered(wanted, padding, zero))
    plain = naive.bordered(wanted, (0, 0), zero)
    back = lib.from_nhwc(plain, x.shape[1], scale, zero)
    np.testing.assert_array_equal(back, quantize.dequantize(wanted, scale, zero))


@pytest.mark.nojit_ok
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@given(x=arrays(shape=tiny, dtype=np.float32, awkward=True), padding=pairs, zero=st.integers(0, 255))
def test_tiny_images_there_and_back(x, padding, zero):
    check_there_and_back(x, padding, zero)


@given(x=arrays(shape=shapes, dtype=np.float32, awkward=True), padding=pairs, zero=st.integers(0, 255))
def test_there_and_back(x, padding, zero):
    check_there_and_back(x, padding, zero)


@pytest.mark.nojit_ok
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    channels=st.sampled_from([4, 8, 68]),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=pairs,
)
def test_max_pool(size, channels, window, stride, padding):
    x = codes((2, *size, channels))
    wanted = naive.max_pool2d(x, window, window if stride is None else stride)
    out = lib.int8_max_pool2d(x, window, stride, padding, zero=9)
    np.testing.assert_array_equal(out, naive.bordered(wanted.transpose(0, 3, 1, 2), padding, 9))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("channels", [1, 4, 7])
def test_global_mean(channels):
    x = codes((3, 5, 3, -(-channels // 4) * 4))
    wanted = (x[..., :channels].astype(float).mean(axis=(1, 2)) - 100) * 0.5
    np.testing.assert_allclose(
        lib.int8_global_avg_pool2d(x, channels, 0.5, 100), wanted, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda x, images: lib.to_nhwc(x, 0.1, 7, (1, 1)),
        lambda x, images: lib.from_nhwc(images, 9, 0.1, 7),
        lambda x, images: lib.int8_max_pool2d(images, (2, 2), None, (1, 0), 7),
        lambda x, images: lib.int8_global_avg_pool2d(images, 9, 0.1, 7),
    ],
)
def test_same_bits_for_any_number_of_threads(act):
    x = np.random.default_rng(0).standard_normal((7, 9, 31, 33)).astype(np.float32)
    assert x.size > lib.SERIAL
    images = codes((7, 31, 33, 12))
    assert_same_for_any_threads(lambda: act(x, images))


@pytest.mark.nojit_ok
def test_nothing():
    assert lib.to_nhwc(np.zeros((0, 3, 2, 2), np.float32), 1.0, 0, (1, 1)).shape == (0, 4, 4, 4)
    empty = np.zeros((0, 2, 2, 4), np.uint8)
    assert lib.from_nhwc(empty, 3, 1.0, 0).shape == (0, 3, 2, 2)
    assert lib.int8_max_pool2d(empty, (2, 2)).shape == (0, 1, 1, 4)
    assert lib.int8_global_avg_pool2d(empty, 3, 1.0, 0).shape == (0, 3)


@pytest.mark.nojit_ok
def test_errors():
    x, images = np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 2, 2, 4), np.uint8)
    with pytest.raises(TypeError, match="to_nhwc: expected float32, got float64"):
        lib.to_nhwc(x.astype(float), 1.0, 0)
    with pytest.raises(ValueError, match=r"to_nhwc: expected \(n, c, h, w\), got \(3, 2, 2\)"):
        lib.to_nhwc(x[0], 1.0, 0)
    with pytest.raises(ValueError, match="expected scale > 0 and zero from 0 to 255, got 0 and 0"):
        lib.to_nhwc(x, 0, 0)
    with pytest.raises(ValueError, match=r"expected scale > 0 and zero from 0 to 255, got 1\.0 and 256"):
        lib.from_nhwc(images, 3, 1.0, 256)
    with pytest.raises(ValueError, match=r"from_nhwc: 5 channels fill up to 8, got \(1, 2, 2, 4\)"):
        lib.from_nhwc(images, 5, 1.0, 0)
    with pytest.raises(ValueError, match="expected uint8 "):
        lib.from_nhwc(images.view(np.int8), 3, 1.0, 0)
    with pytest.raises(ValueError, match=r"images of at least \(3, 3\)"):
        lib.int8_max_pool2d(images, (3, 3))
    with pytest.raises(ValueError, match=r"with 1 to 2\*\*23 pixels"):
        lib.int8_global_avg_pool2d(images, 5, 1.0, 0)
