"""Convolutions of any geometry: gradients of first and second order, and PyTorch, stride by stride."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.autograd import gradcheck, gradgradcheck

small = st.integers(1, 3)


@st.composite
def geometries(draw):
    """x, weight and bias in float64, and the layer's options; windows that fit."""
    groups = draw(st.integers(1, 3))
    depthwise = draw(st.booleans())
    inputs, outputs = (1, 1) if depthwise else (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    window, stride, dilation = ((draw(small), draw(small)) for _ in range(3))
    padding = draw(st.one_of(st.integers(0, 2), st.tuples(small, small), st.just("valid")))
    if stride == (1, 1):
        padding = draw(st.sampled_from([padding, "same"]))
    size = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    around = {"valid": (0, 0), "same": (3, 3)}.get(padding, padding) if isinstance(padding, str) else padding
    around = (around, around) if isinstance(around, int) else around
    for length, k, d, border in zip(size, window, dilation, around, strict=True):
        assume(padding == "same" or d * (k - 1) < length + 2 * border)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((draw(st.integers(1, 2)), groups * inputs, *size))
    weight = rng.standard_normal((groups * outputs, inputs, *window))
    bias = rng.standard_normal(groups * outputs)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (x, weight, bias), options


def leaves(arrays) -> list[tt.Tensor]:
    return [tt.tensor(array, requires_grad=True) for array in arrays]


@given(geometries())
def test_gradients(case):
    arrays, options = case
    assert gradcheck(lambda *t: tt.conv2d(*t, **options), tuple(leaves(arrays)), fast_mode=True)


@given(geometries())
def test_second_order(case):
    arrays, options = case
    assert gradgradcheck(lambda *t: tt.conv2d(*t, **options), tuple(leaves(arrays)), fast_mode=True)


@pytest.mark.parity
@given(geometries())
def test_torch(case):
    torch = pytest.importorskip("torch")
    arrays, options = case
    ours, theirs = leaves(arrays), [torch.tensor(array, requires_grad=True) for array in arrays]
    out = tt.conv2d(*ours, **options)
    expected = torch.nn.functional.conv2d(*theirs, **options)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = np.random.default_rng(0).standard_normal(out.shape)
    out.backward(tt.tensor(g))
    expected.backward(torch.tensor(g))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad.data, other.grad.numpy(), rtol=1e-10, atol=1e-10)
