"""Borders of every kind, with parts cut off too, are PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.nn.functional import pad

MODES = ("constant", "reflect", "replicate", "circular")


@st.composite
def shapes_and_paddings(draw):
    axes = draw(st.integers(1, 3))
    shape = draw(st.lists(st.integers(2, 5), min_size=axes, max_size=axes))
    padding = draw(st.lists(st.integers(-2, 3), min_size=2 * axes, max_size=2 * axes))
    return (*draw(st.sampled_from([(2,), (2, 3)])), *shape), tuple(padding)


@pytest.mark.parity
@given(shapes_and_paddings(), st.sampled_from(MODES))
def test_like_torch(drawn, mode):
    torch = pytest.importorskip("torch")
    shape, padding = drawn
    if mode == "circular":  # PyTorch reads uninitialised memory where a border is longer than what is left
        sides = zip(shape[::-1], padding[::2], padding[1::2], strict=False)
        assume(all(max(before, after) <= n + min(before, 0) + min(after, 0) for n, before, after in sides))
    x = np.random.default_rng(0).standard_normal(shape)
    mine, other = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    try:
        expected = torch.nn.functional.pad(other, padding, mode)
    except RuntimeError:
        assume(False)
    assume(expected.numel())
    y = pad(mine, padding, mode)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(tt.tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("mode", MODES[1:])
def test_whole_numbers_have_borders_too(mode):
    x = tt.arange(4).reshape(1, 4)
    y = pad(x, (1, 1), mode)
    assert y.dtype == np.int64
    assert y.tolist() == [{"reflect": [1, 0, 1, 2, 3, 2], "replicate": [0, 0, 1, 2, 3, 3]}.get(
        mode, [3, 0, 1, 2, 3, 0])]  # fmt: skip


@pytest.mark.nojit_ok
@pytest.mark.parametrize(
    ("padding", "mode", "value", "text"),
    [
        ((1, 1), "mirror", None, "'constant', 'reflect', 'replicate' or 'circular', got 'mirror'"),
        ((1, 1), "reflect", 2.0, "expected a value with mode 'constant' only, got 2.0 with mode 'reflect'"),
        ((0, 3), "reflect", None, "a border of at most 2 for an axis of length 3 with mode 'reflect', got 3"),
        ((4, 0), "circular", None, "a border of at most 3 for an axis of length 3"),
        ((-2, 2), "circular", None, "a border of at most 1 for an axis of length 1"),
        ((1,), "replicate", None, r"two numbers for each of the last 1 to 3 axes, .* got \(1,\)"),
        ((1, 1, 1, 1), "reflect", None, r"one or two axes before them, got \(1, 1, 1, 1\) for shape"),
        ((-2, -2), "replicate", None, "cuts off more than there is"),
    ],
)  # fmt: skip
def test_what_it_refuses(padding, mode, value, text):
    with pytest.raises(ValueError, match="pad: .*" + text):
        pad(tt.ones(2, 3), padding, mode, value)
