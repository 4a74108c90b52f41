from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_int8 as naive
from tests.kernels.layouts import assert_same_for_any_threads
from tinytorch.kernels import int8_conv as lib
from tinytorch.kernels import quantize
from tinytorch.kernels.int8 import PARALLEL_WORK


def make(n, inputs, size, outputs, window, seed=0, by_channel=True, bias=True):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, *size, -(-inputs // 4) * 4)).astype(np.uint8)
    q = rng.integers(-128, 128, (outputs, inputs, *window)).astype(np.int8)
    w_scale = rng.uniform(0.001, 0.01, outputs if by_channel else 1).astype(np.float32)
    a_scale, a_zero = np.array([0.03], np.float32), rng.integers(0, 256, 1).astype(np.int32)
    return x, a_scale, a_zero, q, w_scale, rng.standard_normal(outputs).astype(np.float32) if bias else None


def run(x, a_scale, a_zero, q, w_scale, bias, **options):
    return lib.int8_conv2d(x, a_scale, a_zero, lib.pack_conv_weight(q), w_scale, bias, **options)


def check(case, stride, dilation, relu, padding):
    """float32 is what the exact integers give; bytes are that float32, quantised, in a border."""
    __tracebackhide__ = True
    options = {"stride": stride, "dilation": dilation, "relu": relu}
    y, wanted = run(*case, **options), naive.conv2d(*case, **options)
    assert y.dtype == np.float32
    assert y.flags.c_contiguous
    largest = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6 * largest)
    scale, zero = float(largest / 100), 100
    codes = run(*case, **options, out_scale=scale, out_zero=zero, out_padding=padding)
    np.testing.assert_array_equal(codes, naive.bordered(quantize.quantize(y, scale, zero), padding, zero))


@st.composite
def convolutions(draw, images=3, most=9, channels=(1, 2, 3, 4, 5, 8), outputs=(1, 3, 4, 16, 17, 33, 40)):
    window = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride, dilation = (draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) for _ in range(2))
    size = [draw(st.integers(d * (k - 1) + 1, most)) for k, d in zip(window, dilation, strict=True)]
    case = make(
        draw(st.integers(1, images)), draw(st.sampled_from(channels)), size, draw(st.sampled_from(outputs)),
        window, draw(st.integers(0, 99)), draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip
    return case, stride, dilation, draw(st.booleans()), draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))


@pytest.mark.nojit_ok
@given(case=convolutions(images=1, most=5, channels=(1, 5), outputs=(1, 5)))
def test_tiny_convolutions(case):
    check(*case)


@given(case=convolutions())
def test_convolutions(case):
    check(*case)


def test_pixels_of_images_that_do_not_lie_together():
    x, *others = make(2, 4, (6, 6), 8, (3, 3))
    cut = np.repeat(x, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(run(cut, *others), run(x, *others))


@pytest.mark.parametrize("codes", [False, True])
@pytest.mark.parametrize(("n", "inputs", "outputs"), [(7, 12, 40), (1, 64, 96)])
def test_same_bits_for_any_number_of_threads(n, inputs, outputs, codes):
    case = make(n, inputs, (11, 13), outputs, (3, 3))
    assert n * 9 * 11 * outputs * inputs * 9 >= PARALLEL_WORK
    options = {"out_scale": 5.0, "out_zero": 100, "out_padding": (1, 1)} if codes else {}
    assert_same_for_any_threads(lambda: run(*case, **options))


@pytest.mark.nojit_ok
def test_no_images():
    x, *others = make(1, 4, (3, 3), 2, (3, 3))
    assert run(x[:0], *others).shape == (0, 2, 1, 1)
    assert run(x[:0], *others, out_scale=1.0, out_padding=(1, 0)).shape == (0, 3, 1, 4)


@pytest.mark.nojit_ok
def test_errors():
    x, *others = make(1, 4, (3, 3), 2, (3, 3))
    with pytest.raises(
        ValueError, match=r"expected x of uint8 and shape \(n, h, w, 4\), got uint8 \(1, 3, 3, 3\)"
    ):
        run(x[..., :3], *others)
    with pytest.raises(ValueError, match="groups=2 is not supported in int8: compute this layer in float32"):
        run(x, *others, groups=2)
    with pytest.raises(
        ValueError, match=r"a window of \(3, 3\) with dilation \(2, 1\) exceeds an image of \(3, 3\)"
    ):
        run(x, *others, dilation=(2, 1))
    with pytest.raises(ValueError, match=r"expected a_scale of float32 and shape \(1,\)"):
        run(x, np.ones(2, np.float32), *others[1:])
    with pytest.raises(ValueError, match=r"expected int8 \(out, in, kh, kw\), none of them 0, got uint8"):
        lib.pack_conv_weight(x)


@pytest.mark.parity
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 2))])
def test_convolution_is_that_of_pytorch(stride, dilation):
    torch = pytest.importorskip("torch")
    x, a_scale, a_zero, q, w_scale, bias = make(2, 5, (9, 8), 7, (3, 2))
    y = run(x, a_scale, a_zero, q, w_scale, bias, stride=stride, dilation=dilation, relu=True)
    images = (torch.from_numpy(x[..., :5].astype(np.float32)) - float(a_zero[0])) * float(a_scale[0])
    weight = torch.from_numpy(q).float() * torch.from_numpy(w_scale)[:, None, None, None]
    images = images.permute(0, 3, 1, 2)
    wanted = torch.nn.functional.conv2d(images, weight, torch.from_numpy(bias), stride, 0, dilation).relu()
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
