from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.layouts import FLOATS, LAYOUTS, arrays, assert_same_for_any_threads, lay_out
from tinytorch.kernels import scatter as lib


@st.composite
def table_and_index(draw):
    rows = draw(st.integers(1, 5))
    width = tuple(draw(st.lists(st.integers(0, 4), max_size=2)))
    table = draw(arrays(shape=(rows, *width)))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=2)))
    return table, np.random.default_rng(draw(st.integers(0, 99))).integers(0, rows, shape)


@pytest.mark.nojit_ok
@given(case=table_and_index(), dtype=st.sampled_from([np.int64, np.int32, np.uint8]))
def test_embedding_and_its_gradient(case, dtype):
    table, index = case
    rows = lib.embedding(table, index.astype(dtype))
    assert rows.dtype == table.dtype
    np.testing.assert_array_equal(rows, table[index])
    ref = np.zeros(table.shape, table.dtype)
    np.add.at(ref, index, rows)
    np.testing.assert_allclose(lib.embedding_grad(rows, index, len(table)), ref, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 31, 128])
def test_a_large_embedding(width):
    rng = np.random.default_rng(0)
    table, index = rng.standard_normal((65, width)).astype(np.float32), rng.integers(0, 65, (400, 100))
    g = rng.standard_normal((400, 100, width)).astype(np.float32)
    np.testing.assert_array_equal(lib.embedding(table, index), table[index])
    ref = np.zeros((65, width))
    np.add.at(ref, index, g)
    np.testing.assert_allclose(lib.embedding_grad(g, index, 65), ref, rtol=1e-4, atol=1e-4)
    assert_same_for_any_threads(lambda: lib.embedding(table, index))
    assert_same_for_any_threads(lambda: lib.embedding_grad(g, index, 65))


def test_the_gradient_of_a_large_table_is_zero_where_no_word_was():
    rng = np.random.default_rng(0)
    index, g = rng.integers(0, 5000, 300), rng.standard_normal((300, 70)).astype(np.float32)
    ref = np.zeros((5000, 70))
    np.add.at(ref, index, g)
    for _ in range(2):  # the second time into a buffer that was used
        np.testing.assert_allclose(lib.embedding_grad(g, index, 5000), ref, rtol=1e-6, atol=1e-6)
    assert_same_for_any_threads(lambda: lib.embedding_grad(g, index, 5000))
    assert not lib.embedding_grad(g[:0], index[:0], 5000).any()


@pytest.mark.nojit_ok
@pytest.mark.parametrize("bad", [4, -1])
def test_an_index_outside_of_the_table_is_refused(bad):
    message = (
        rf"embedding: expected indices from 0 to 3, got {bad} at position 2. The table has shape \(4, 2\)"
    )
    with pytest.raises(IndexError, match=message):
        lib.embedding(np.zeros((4, 2)), np.array([[0, 3], [bad, 9]]))


def test_an_index_outside_is_refused_on_all_threads():
    index = np.zeros(5000, np.int64)
    index[[3000, 4000]] = 7
    with pytest.raises(IndexError, match="got 7 at position 3000"):
        lib.embedding(np.zeros((7, 20), np.float32), index)


@st.composite
def gathering(draw):
    """An array, an axis, and an index for it that may be shorter along the other axes."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = draw(arrays(shape=shape))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    index_shape = tuple(draw(st.integers(0, length)) for length in shape)
    return x, axis, np.random.default_rng(draw(st.integers(0, 99))).integers(0, shape[axis], index_shape)


@pytest.mark.nojit_ok
@given(case=gathering())
def test_gather_and_scatter_add(case):
    x, axis, index = case
    comp = lib.gather(x, axis, index)
    ref, ref_grad = np.empty(index.shape, x.dtype), np.zeros(x.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[axis] = index[place]
        ref[place] = x[tuple(source)]
        ref_grad[tuple(source)] += ref[place]
    np.testing.assert_array_equal(comp, ref)
    np.testing.assert_allclose(lib.scatter_add(x.shape, axis, index, comp), ref_grad, rtol=1e-6)


def test_gathering_outside_is_refused():
    message = r"gather: expected indices from 0 to 2 along axis 1 of shape \(2, 3\), got 3"
    with pytest.raises(IndexError, match=message):
        lib.gather(np.zeros((2, 3)), 1, np.array([[0, 3]]))
    with pytest.raises(IndexError, match=r"scatter_add: expected indices from 0 to 2 .* got -1"):
        lib.scatter_add((2, 3), 1, np.array([[-1]]), np.ones((1, 1)))


@pytest.mark.nojit_ok
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "index",
    [
        np.s_[1],
        np.s_[:, ::2],
        np.s_[..., None, 0],
        np.s_[::-1, 1:3],
        [0, 0, -1],
        np.array([[3, 3], [0, 3]]),
        np.s_[1:3, [0, 0, 1]],
        (np.array([0, 0]), slice(None), np.array([1, 1])),
        (np.array([0, 2]), 1),
        np.arange(4) > 1,
        np.arange(120).reshape(4, 5, 6) % 7 == 0,
        (np.arange(4) > 1, [1, 1]),
    ],
    ids=str,
)
def test_index_put_add(dtype, layout, index):
    shape = (4, 5, 6)
    g = np.random.default_rng(0).standard_normal(np.zeros(shape)[index].shape).astype(dtype)
    ref = np.zeros(shape, dtype)
    np.add.at(ref, index, g)
    comp = lib.index_put_add(shape, index, lay_out(g, layout))
    assert (comp.shape, comp.dtype) == (shape, dtype)
    np.testing.assert_allclose(comp, ref, rtol=1e-6)


@pytest.mark.nojit_ok
def test_scatter_add_flat_adds_to_what_is_there():
    out = np.ones(4)
    lib.scatter_add_flat(out, np.array([1, 1, 3]), np.array([1.0, 2.0, 4.0]))
    assert out.tolist() == [1, 4, 1, 5]
