"""`interpolate` reads the pixels that PyTorch reads, and says what it does not take."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt

SIZES = (1, 2, 3, 5, 7, 12, 14, 26)
FACTORS = (0.1, 1 / 3, 0.5, 0.7, 1.0, 1.1, 1.5, 1.7, 2, 2.3, 2.5, 3)
RNG = np.random.default_rng(0)


def torch_and_ours(x, **options):
    """Results, and gradients of the same weighting."""
    torch = pytest.importorskip("torch")
    mine, other = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = tt.interpolate(mine, **options), torch.nn.functional.interpolate(other, **options)
    assert y.shape == tuple(expected.shape)
    g = RNG.standard_normal(y.shape).astype(x.dtype)
    y.backward(tt.tensor(g))
    expected.backward(torch.tensor(g))
    return y.detach().numpy(), expected.detach().numpy(), mine.grad.numpy(), other.grad.numpy()


def asked(axes):
    """Sizes, and factors that leave a pixel; the first axis of an image is asked for something else."""
    for old in SIZES:
        for new in (*SIZES, 46, 74):
            yield old, {"size": (3, new)[-axes:]}
        for factor in FACTORS:
            if int(old * factor):
                yield old, {"scale_factor": (1.3, factor)[-axes:]}


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", [1, 2])
def test_nearest_copies_the_pixels_that_torch_copies(axes, dtype):
    for old, options in asked(axes):
        x = RNG.standard_normal((1, 1, *(4, old)[-axes:])).astype(dtype)
        y, expected, gradient, wanted = torch_and_ours(x, **options)
        np.testing.assert_array_equal(y, expected, err_msg=f"{old} {options}")
        if _torch_contradicts_itself(old, options, axes, dtype):
            continue
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5, err_msg=f"{old} {options}")


def _torch_contradicts_itself(old, options, axes, dtype):
    """Of signals, PyTorch's gradient goes to other pixels than were copied in these cases; ours does not."""
    if axes == 2:
        return False
    if "scale_factor" in options:
        return int(old * options["scale_factor"][0]) in (old, 2 * old)
    return dtype == np.float64


@pytest.mark.parity
@pytest.mark.parametrize("align_corners", [False, True, None])
@pytest.mark.parametrize("axes", [1, 2])
def test_linear_is_like_torch(axes, align_corners):
    mode = ("linear", "bilinear")[axes - 1]
    for old, options in asked(axes):
        x = RNG.standard_normal((2, 3, *(4, old)[-axes:]))
        y, expected, gradient, wanted = torch_and_ours(x, mode=mode, align_corners=align_corners, **options)
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12, err_msg=f"{old} {options}")
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-12, err_msg=f"{old} {options}")


@pytest.mark.parity
@pytest.mark.parametrize("recompute", [None, False, True])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_the_factor_itself_counts_unless_it_is_recomputed(mode, recompute):
    x = RNG.standard_normal((2, 3, 5, 7))
    y, expected, gradient, wanted = torch_and_ours(
        x, scale_factor=2.7, mode=mode, recompute_scale_factor=recompute
    )
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parity
def test_many_large_images_in_float32():
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((4, 5, 40, 30)).astype(np.float32)
    for mode in ("nearest", "bilinear"):
        y, expected = (
            f(a, scale_factor=1.9, mode=mode)
            for f, a in (
                (tt.interpolate, tt.tensor(x)),
                (torch.nn.functional.interpolate, torch.from_numpy(x)),
            )
        )
        np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-4, atol=2e-5)


IMAGES = (1, 1, 4, 4)


@pytest.mark.nojit_ok
@pytest.mark.parametrize(
    ("shape", "options", "error", "text"),
    [
        (IMAGES, {}, ValueError, "expected size or scale_factor, got None and None"),
        (IMAGES, {"size": 2, "scale_factor": 2}, ValueError, "expected size or scale_factor, got 2 and 2"),
        (IMAGES, {"size": (2, 2, 2)}, ValueError, r"expected size to be a number, or 2, got \(2, 2, 2\)"),
        (IMAGES, {"scale_factor": (2.0,)}, ValueError, "expected scale_factor to be a number, or 2, got"),
        (IMAGES, {"size": 2.5}, TypeError, r"expected size in whole numbers, got \(2.5, 2.5\)"),
        (IMAGES, {"scale_factor": -1}, ValueError, r"expected positive factors, got \(-1.0, -1.0\)"),
        (IMAGES, {"scale_factor": float("nan")}, ValueError, "expected positive factors"),
        (IMAGES, {"scale_factor": 0.1}, ValueError, r"a result of at least one pixel, got size \(0, 0\)"),
        (IMAGES, {"size": 2, "recompute_scale_factor": True}, ValueError, "with a scale_factor, got a size"),
        (IMAGES, {"size": 2, "align_corners": False}, ValueError, "no align_corners with mode 'nearest'"),
        (IMAGES, {"size": 2, "mode": "bicubic"}, NotImplementedError, "'nearest' or 'bilinear' .* 'bicubic'"),
        (IMAGES, {"size": 2, "mode": "linear"}, NotImplementedError, "an input of 4 axes, got 'linear'"),
        ((1, 1, 4), {"size": 2, "mode": "bilinear"}, NotImplementedError, "'nearest' or 'linear' .* 3 axes"),
        (IMAGES, {"size": 2, "antialias": True}, NotImplementedError, "expected antialias=False"),
        ((4,), {"size": 2}, ValueError, r"expected an input of shape .*, got \(4,\)"),
        ((1, 1, 2, 2, 2), {"size": 2}, ValueError, r"expected an input of shape .*, got \(1, 1, 2, 2, 2\)"),
    ],
)
def test_what_it_refuses(shape, options, error, text):
    with pytest.raises(error, match="interpolate: .*" + text):
        tt.interpolate(tt.ones(*shape), **options)
