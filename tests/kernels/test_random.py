from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_random as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out
from tinytorch.kernels import random as lib
from tinytorch.kernels.dropout import dropout, dropout_grad


def test_the_naive_generator_gives_the_published_words():
    # Known answers of Random123's own test vectors.
    assert naive.threefry((0, 0), (0, 0)) == (0x6B200159, 0x99BA4EFE)
    ones = (0xFFFFFFFF, 0xFFFFFFFF)
    assert naive.threefry(ones, ones) == (0x1CB996FC, 0xBB002BE7)
    assert naive.threefry((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344)) == (0xC4923A9C, 0x483DF7A0)


@pytest.mark.nojit_ok
@given(size=st.integers(0, 300), seed=st.integers(0, 2**64 - 1), offset=st.integers(0, 2**50))
def test_words(size, seed, offset):
    assert lib.words(size, seed, offset).tolist() == naive.words(size, seed, offset)


@pytest.mark.nojit_ok
def test_offset_counts_blocks():
    long = lib.words(3 * lib.BLOCK, seed=5, offset=7)
    np.testing.assert_array_equal(long[lib.BLOCK :], lib.words(2 * lib.BLOCK, seed=5, offset=8))
    assert lib.blocks(1) == lib.blocks(lib.BLOCK) == 1
    assert lib.blocks(lib.BLOCK + 1) == lib.blocks(lib.BLOCK, np.float64) == lib.blocks(100, normal=True) == 2
    assert lib.blocks(0) == 0


def test_the_parallel_kernel_gives_the_same_words():
    size = 3 * lib.SERIAL + 77
    many = lib.words(size, 1, 2)
    np.testing.assert_array_equal(many[:1000], lib.words(1000, 1, 2))
    np.testing.assert_array_equal(
        many[-77 - lib.BLOCK :], lib.words(lib.BLOCK + 77, 1, 2 + lib.blocks(size) - 2)
    )
    assert_same_for_any_threads(lambda: lib.words(size, 1, 2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform(dtype):
    x = lib.uniform((500, 400), dtype, seed=1, offset=0)
    assert (x.shape, x.dtype) == ((500, 400), dtype)
    assert x.min() >= 0
    assert x.max() < 1
    assert np.histogram(x, 10, (0, 1))[0] == pytest.approx(np.full(10, 20_000), rel=0.03)
    neighbours = np.corrcoef(x.ravel()[:-1], x.ravel()[1:])[0, 1]
    assert abs(neighbours) < 0.01


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal(dtype):
    x = lib.normal((500, 400), dtype, seed=1, offset=0)
    assert (x.shape, x.dtype) == ((500, 400), dtype)
    moments = [np.mean(x.astype(np.float64) ** power) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)
    assert abs(np.corrcoef(x.ravel()[::2], x.ravel()[1::2])[0, 1]) < 0.01


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli(dtype):
    p = np.broadcast_to(np.array([0.0, 0.25, 1.0], dtype), (10_000, 3))
    x = lib.bernoulli(p, seed=3, offset=0)
    assert x.dtype == dtype
    assert x.mean(0) == pytest.approx([0, 0.25, 1], abs=0.02)


def test_nothing_is_drawn_for_an_empty_shape():
    assert lib.uniform((0, 3), np.float32, 0, 0).shape == (0, 3)
    assert lib.normal((0,), np.float64, 0, 0).shape == (0,)
    assert lib.uniform((), np.float32, 0, 0).shape == ()


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout(dtype, p, layout):
    x = np.random.default_rng(0).uniform(1, 2, (10, 30)).astype(dtype)
    words = np.array(naive.words(x.size, 7, 4)).reshape(x.shape)
    ref = np.where(words >= p * 2**32, x / (1 - p) if p < 1 else 0, 0)
    comp = dropout(lay_out(x, layout), p, seed=7, offset=4)
    assert (comp.shape, comp.dtype) == (x.shape, dtype)
    np.testing.assert_allclose(comp, ref, rtol=1e-6)


@pytest.mark.nojit_ok
def test_the_gradient_of_dropout_uses_the_same_mask():
    x, g = np.ones((4, 50)), np.random.default_rng(0).uniform(1, 2, (4, 50))
    np.testing.assert_allclose(dropout_grad(g, 0.4, 9, 1), g * dropout(x, 0.4, 9, 1), rtol=1e-15)


def test_dropout_drops_as_many_as_it_should_on_all_threads():
    x = np.ones((500, 400), np.float32)
    y = dropout(x, 0.2, seed=1, offset=0)
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.005)
    assert np.unique(y).tolist() == [0, 1.25]
    np.testing.assert_array_equal(y[:2], dropout(x[:2], 0.2, seed=1, offset=0))
    assert_same_for_any_threads(lambda: dropout(x, 0.2, seed=1, offset=0))
    assert (y != dropout(x, 0.2, seed=2, offset=0)).any()


def test_dropout_returns_a_new_array():
    x = np.ones(3)
    assert not np.shares_memory(dropout(x, 0.0, 0, 0), x)
    assert dropout(np.zeros((0, 2)), 0.5, 0, 0).shape == (0, 2)
