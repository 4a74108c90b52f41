from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import naive_attention as naive
from tests.kernels.layouts import FLOATS, LAYOUTS, assert_same_for_any_threads, lay_out, tolerance
from tinytorch.kernels import attention as lib
from tinytorch.kernels.attention_decode import ROWS
from tinytorch.kernels.attention_grad import attention_grad
from tinytorch.kernels.attention_parts import KEYS
from tinytorch.kernels.simd import PANEL, VECTOR_BYTES

LANES, WIDE = VECTOR_BYTES // 4, PANEL // 4
small = st.integers(1, 3)


def arrays(b, h, key_heads, l, s, e, f, dtype=np.float32, seed=0):
    """q, k, v and a gradient of the result."""
    rng = np.random.default_rng(seed)
    shapes = (b, h, l, e), (b, key_heads, s, e), (b, key_heads, s, f), (b, h, l, f)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def mask_of(kind, b, h, l, s, dtype, seed=0):
    """A mask of (b, h, l, s), perhaps of stride 0; the first query of a mask of booleans meets no key."""
    rng = np.random.default_rng(seed)
    if kind == "none":
        return None
    if kind == "padding":
        return np.broadcast_to(rng.random((b, 1, 1, s)) < 0.7, (b, h, l, s))
    if kind == "boolean":
        mask = rng.random((b, h, l, s)) < 0.7
        mask[:, :, 0] = False
        return mask
    if kind == "added":
        return np.broadcast_to(rng.standard_normal((h, l, s)).astype(dtype), (b, h, l, s))
    minus = np.where(rng.random((b, 1, 1, s)) < 0.7, 0, -np.inf).astype(dtype)
    return np.broadcast_to(minus, (b, h, l, s))


KINDS = ("none", "causal", "padding", "boolean", "added", "added padding")


def check(q, k, v, g, kind, scale, seed=0):
    (b, h, l, _), s, dtype = q.shape, k.shape[2], q.dtype.type
    causal = kind == "causal"
    mask = mask_of("none" if causal else kind, b, h, l, s, dtype, seed)
    expected, expected_lse = naive.attention(q, k, v, mask, causal, scale)
    out, lse = lib.attention(q, k, v, mask, causal, scale)
    assert out.dtype == lse.dtype == q.dtype
    np.testing.assert_allclose(out, expected, **tolerance(dtype, 5e-6, 1e-13))
    np.testing.assert_allclose(lse, expected_lse, **tolerance(dtype, 5e-6, 1e-13))
    found = attention_grad(g, q, k, v, mask, out, lse, causal, scale)
    for gradient, wanted in zip(found, naive.attention_grad(g, q, k, v, mask, causal, scale), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance(dtype, 2e-5, 1e-12))


@st.composite
def cases(draw):
    key_heads = draw(small)
    sizes = (draw(small), key_heads * draw(small), key_heads, *(draw(st.integers(1, 9)) for _ in range(4)))
    made = arrays(*sizes, draw(st.sampled_from(FLOATS)), draw(st.integers(0, 99)))
    return [lay_out(x, draw(st.sampled_from(LAYOUTS))) for x in made]


@pytest.mark.nojit_ok
@given(case=cases(), kind=st.sampled_from(KINDS), scale=st.sampled_from((0.5, 1.0, -2.0)))
def test_small(case, kind, scale):
    check(*case, kind, scale)


# Panels and blocks that are full, one number longer and one shorter; few queries; widths of several vectors.
LARGE = [
    (2, 2, 2, WIDE, KEYS, LANES, LANES),
    (1, 4, 2, WIDE + 1, KEYS + 1, 2 * LANES + 1, LANES - 1),
    (1, 2, 1, 2 * WIDE - 1, 2 * KEYS - 1, 4 * LANES, WIDE + LANES),
    (3, 1, 1, 2 * KEYS + 5, 2 * KEYS + 5, 20, 33),
    (2, 6, 3, 1, 4 * KEYS + 3, LANES, 2 * LANES),
    (1, 4, 1, 2, 5 * KEYS, 3 * LANES + 2, 5),
    (1, 2, 1, ROWS + 1, 40, WIDE, LANES),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", LARGE)
def test_large(sizes, dtype, kind):
    check(*arrays(*sizes, dtype), kind, sizes[5] ** -0.5)


@pytest.mark.nojit_ok
@pytest.mark.parametrize(
    "shape", [(0, 2, 3, 3, 4, 4), (1, 1, 0, 3, 4, 4), (1, 1, 3, 0, 4, 4), (1, 2, 3, 3, 4, 0)]
)
def test_axes_of_length_0(shape):
    b, h, l, s, e, f = shape
    q, k, v, g = arrays(b, h, h, l, s, e, f)
    out, lse = lib.attention(q, k, v, causal=True)
    np.testing.assert_array_equal(out, naive.attention(q, k, v, None, True, 1.0)[0])
    assert lse.shape == (b, h, l)
    wanted = naive.attention_grad(g, q, k, v, None, True, 1.0)
    for gradient, want in zip(attention_grad(g, q, k, v, None, out, lse, True), wanted, strict=True):
        np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-6)


def test_large_scores_do_not_overflow_and_nan_stays_in_its_row():
    for l in (3, 40):  # few queries go another way
        q, k, v, _ = arrays(1, 1, 1, l, 200, LANES, 8)
        q[0, 0, 0] *= 1e4
        q[0, 0, 1, 2] = np.nan
        out, _ = lib.attention(q, k, v)
        assert np.isnan(out[0, 0, 1]).all()
        assert np.isfinite(out[0, 0, [0, 2]]).all()
        best = (q[0, 0, 0].astype(np.float64) @ k[0, 0].T).argmax()
        np.testing.assert_allclose(out[0, 0, 0], v[0, 0, best], rtol=1e-6)


@pytest.mark.parametrize("kind", ["none", "causal"])
def test_packed_arrays_are_read_and_written_where_they_lie(kind):
    q, k, v, g = arrays(2, 3, 3, 70, 70, 8, 8)
    packed = np.concatenate([x.swapaxes(1, 2).reshape(2, 70, 24) for x in (q, k, v)], axis=2)
    gradient = np.full_like(packed, 7)

    def views(x):
        return tuple(x.reshape(2, 70, 9, 8).swapaxes(1, 2)[:, i : i + 3] for i in (0, 3, 6))

    causal = kind == "causal"
    out, lse = lib.attention(*views(packed), causal=causal)
    assert out.swapaxes(1, 2).flags.c_contiguous  # in the memory order of the queries
    apart, apart_lse = lib.attention(q, k, v, causal=causal)
    assert apart.flags.c_contiguous
    np.testing.assert_array_equal(out, apart)
    attention_grad(g, *views(packed), None, out, lse, causal, into=views(gradient))
    found = attention_grad(g, q, k, v, None, apart, apart_lse, causal)
    for part, want in zip(views(gradient), found, strict=True):
        np.testing.assert_array_equal(part, want)


DROPPED = (0.3, 5, 11)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["none", "causal", "boolean"])
def test_dropout(dtype, kind):
    sizes = (2, 4, 2, 45, 77, 20, 12)
    q, k, v, g = arrays(*sizes, dtype)
    kept = lib.dropout_mask((2, 4, 45, 77), dtype, DROPPED)
    mask, causal = mask_of("none" if kind == "causal" else kind, 2, 4, 45, 77, dtype), kind == "causal"
    out, lse = lib.attention(q, k, v, mask, causal, 0.2, DROPPED)
    expected, expected_lse = naive.attention(q, k, v, mask, causal, 0.2, kept)
    np.testing.assert_allclose(out, expected, **tolerance(dtype, 5e-6, 1e-13))
    np.testing.assert_allclose(lse, expected_lse, **tolerance(dtype, 5e-6, 1e-13))
    found = attention_grad(g, q, k, v, mask, out, lse, causal, 0.2, DROPPED)
    wanted = naive.attention_grad(g, q, k, v, mask, causal, 0.2, kept)
    for gradient, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(gradient, want, **tolerance(dtype, 3e-5, 1e-12))


def test_dropped_weights_are_a_share_and_depend_on_the_counter_alone():
    shape = (2, 3, 50, 61)
    kept = lib.dropout_mask(shape, np.float32, DROPPED)
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.7], rtol=1e-6)
    assert abs((kept == 0).mean() - 0.3) < 0.02
    # The next call's numbers begin where this one's end.
    following = lib.dropout_mask(shape, np.float32, (0.3, 5, 11 + lib.dropout_blocks(300, 61)))
    assert abs((kept == following).mean() - (0.3**2 + 0.7**2)) < 0.02
    np.testing.assert_array_equal(kept, lib.dropout_mask(shape, np.float32, DROPPED))
    assert not lib.dropout_mask(shape, np.float32, (1.0, 5, 0)).any()


@pytest.mark.parametrize(
    ("sizes", "causal"),
    [
        ((1, 3, 3, 300, 300, 32, 32), True),
        ((2, 4, 2, 130, 200, 40, 24), False),
        ((3, 8, 4, 1, 900, 64, 64), False),
    ],
)
def test_threads_do_not_change_a_bit(sizes, causal):
    q, k, v, g = arrays(*sizes)
    out, lse = lib.attention(q, k, v, None, causal)

    def run():
        gradients = attention_grad(g, q, k, v, None, out, lse, causal)
        return np.concatenate([x.ravel() for x in (*lib.attention(q, k, v, None, causal), *gradients)])

    assert_same_for_any_threads(run)
    assert_same_for_any_threads(lambda: lib.attention(q, k, v, None, causal, 1.0, DROPPED)[0].ravel())


def test_scratch_does_not_grow_with_the_length():
    before = len(lib._scratch.buffer)
    q, k, v, _ = arrays(1, 2, 2, 300, 300, 32, 32)
    lib.attention(q, k, v, None, True)
    grown = len(lib._scratch.buffer)
    q, k, v, _ = arrays(1, 2, 2, 1200, 1200, 32, 32)
    lib.attention(q, k, v, None, True)
    assert len(lib._scratch.buffer) == max(before, grown)
