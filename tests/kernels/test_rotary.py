from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_rotary as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, arrays, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import rotary as lib


@st.composite
def cases(draw):
    """x, positions, base, head, columns and inverse; heads shorter and longer than a register."""
    head, heads = 2 * draw(st.sampled_from([1, 2, 3, 8, 9, 17])), draw(st.integers(1, 3))
    lead = draw(st.lists(st.integers(1, 3), max_size=3).map(tuple))
    length = draw(st.integers(1, 5))
    x = draw(arrays(shape=(*lead, length, head * heads)))
    positions = draw(
        st.one_of(
            st.integers(-5, 1000),
            st.lists(st.integers(-9, 99), min_size=length, max_size=length).map(np.array),
        )
    )
    columns = head * draw(st.integers(0, heads))
    return x, positions, draw(st.sampled_from([10000.0, 10.0])), head, columns, draw(st.booleans())


@pytest.mark.nojit_ok
@given(case=cases())
def test_rotary(case):
    x, positions, *settings = case
    first = positions + np.arange(x.shape[-2]) if isinstance(positions, int) else positions
    before, out = x.copy(), lib.rotary(x, positions, *settings)
    assert (out.shape, out.dtype, out.flags.c_contiguous) == (x.shape, x.dtype, True)
    np.testing.assert_allclose(out, naive.rotary(x, first, *settings), **tolerance(x.dtype, 2e-6, 1e-12))
    np.testing.assert_array_equal(x, before)


@pytest.mark.nojit_ok
@pytest.mark.parametrize("shape", [(0, 4), (3, 0, 4), (2, 3, 0), (0, 2, 3, 4)])
def test_nothing_to_turn(shape):
    assert lib.rotary(np.zeros(shape), 0, 1e4, max(shape[-1], 2), shape[-1]).shape == shape


@pytest.mark.nojit_ok
def test_nan_and_infinity_stay_in_their_pair():
    x = np.ones((2, 12), np.float32)
    x[0, 1], x[1, 4], x[1, 11] = np.nan, np.inf, np.nan
    out = lib.rotary(x, 1, 1e4, 8, 8)
    assert np.isfinite(out).tolist() == [
        [i not in (1, 5) for i in range(12)], [i not in (0, 4, 11) for i in range(12)]
    ]  # fmt: skip


@pytest.mark.nojit_ok
def test_far_positions_keep_their_digits():
    """Angles are float64: in float32, position 1,000,001 would be off by a sixteenth of a turn."""
    x = np.array([[1.0, 0.0]], np.float32)
    out = lib.rotary(x, 1_000_001, 1e4, 2, 2)
    np.testing.assert_allclose(out, [[np.cos(1_000_001), np.sin(1_000_001)]], rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_arrays_of_any_layout(layout, dtype):
    x = np.random.default_rng(0).standard_normal((3, 40, 4, 96)).astype(dtype)
    expected = lib.rotary(x, 5, 1e4, 32, 64)
    np.testing.assert_array_equal(lib.rotary(lay_out(x, layout), 5, 1e4, 32, 64), expected)
    np.testing.assert_array_equal(expected[1, 7], lib.rotary(x[1, 7], 5, 1e4, 32, 64))  # on one thread


def test_heads_are_read_where_they_lie():
    packed = np.random.default_rng(0).standard_normal((3, 40, 12, 32)).astype(np.float32)
    heads = packed[:, :, 4:8].transpose(0, 2, 1, 3)
    assert not heads.flags.c_contiguous
    np.testing.assert_array_equal(
        lib.rotary(heads, 0, 1e4, 32, 32), lib.rotary(np.ascontiguousarray(heads), 0, 1e4, 32, 32)
    )


def test_threads_do_not_change_a_bit():
    x = np.random.default_rng(0).standard_normal((7, 33, 4, 96)).astype(np.float32)
    assert_same_for_any_threads(lambda: lib.rotary(x, 3, 1e4, 32, 64).ravel())
