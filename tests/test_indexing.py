"""Indexing reads and writes what NumPy's does, and its gradient counts how often each element was read."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok

shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


def reads(x: np.ndarray, index: Any) -> np.ndarray:
    """How often `x[index]` reads each element."""
    counts = np.zeros(x.size, np.float32)
    np.add.at(counts, np.arange(x.size).reshape(x.shape)[index].ravel(), 1.0)
    return counts.reshape(x.shape)


@st.composite
def basic(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    x = numbered(draw(shapes))
    return x, draw(arrays.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))


@st.composite
def fancy(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    """Integer arrays (which broadcast), slices, or a mask of the first axes."""
    x = numbered(draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)))
    kind = draw(st.sampled_from(["integers", "mixed", "mask"]))
    if kind == "mask":
        axes = draw(st.integers(1, x.ndim))
        return x, draw(arrays.arrays(np.bool_, x.shape[:axes]))
    if kind == "integers":
        return x, draw(arrays.integer_array_indices(x.shape))
    axis = draw(st.integers(0, x.ndim - 1))
    places = draw(arrays.arrays(np.int64, 3, elements=st.integers(-x.shape[axis], x.shape[axis] - 1)))
    return x, (*(draw(st.sampled_from([slice(None), slice(0, 2)])) for _ in range(axis)), places)


def same_gradient(x: np.ndarray, index: Any) -> None:
    t = tt.tensor(x, requires_grad=True)
    t[index].sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), reads(x, index))


@given(basic())
def test_basic_indices_are_views_with_numpys_values(case):
    x, index = case
    t = tt.tensor(x)
    part = t[index]
    np.testing.assert_array_equal(part.numpy(), x[index])
    assert part.shape == x[index].shape
    assert part.numel() == 0 or np.shares_memory(part.numpy(), t.numpy())
    same_gradient(x, index)


@given(fancy())
def test_fancy_indices_are_copies_with_numpys_values(case):
    x, index = case
    t = tt.tensor(x)
    part = t[index]
    np.testing.assert_array_equal(part.numpy(), x[index])
    assert not np.shares_memory(part.numpy(), t.numpy())
    same_gradient(x, index)


@given(st.one_of(basic(), fancy()), st.booleans())
def test_assignment_writes_what_numpys_does(case, recorded):
    x, index = case
    t = tt.tensor(x, requires_grad=recorded)
    target = t * 1.0 if recorded else t
    target[index] = -1.0
    expected = x.copy()
    expected[index] = -1.0
    np.testing.assert_array_equal(target.detach().numpy(), expected)
    if recorded:
        target.sum().backward()
        np.testing.assert_array_equal(t.grad.numpy(), reads(x, index) == 0)


@given(fancy())
def test_tensors_and_lists_index_like_arrays(case):
    x, index = case
    t = tt.tensor(x)
    parts = index if isinstance(index, tuple) else (index,)
    as_tensors = tuple(tt.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    as_lists = tuple(p.tolist() if isinstance(p, np.ndarray) else p for p in parts)
    assert tt.equal(t[as_tensors], t[index])
    if all(p.size for p in parts if isinstance(p, np.ndarray)):
        assert tt.equal(t[as_lists], t[index])


def test_an_element_is_a_view_of_no_axes():
    x = tt.arange(6).reshape(2, 3)
    assert x[1, 2].shape == ()
    x[1, 2].fill_(9)
    assert x[1].tolist() == [3, 4, 9]
    assert x[tt.tensor(1)].tolist() == [3, 4, 9]


def test_an_empty_list_picks_nothing():
    assert tt.arange(6).reshape(2, 3)[[]].shape == (0, 3)


def test_a_mask_that_picks_nothing():
    x = tt.zeros(3, requires_grad=True)
    x[x > 1].sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_an_index_changed_afterwards_does_not_change_the_gradient():
    x, index = tt.tensor([1.0, 2.0, 3.0], requires_grad=True), tt.tensor([0, 0])
    y = x[index]
    index.fill_(2)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (3, IndexError, "index 3 is out of bounds for axis 0 with size 3"),
        ((0, 0, 0), IndexError, "too many indices"),
        (tt.tensor([0, 5]), IndexError, "index 5 is out of bounds for axis 0 with size 3"),
        (tt.tensor([True, False]), IndexError, "boolean index did not match"),
        (
            tt.tensor([0.0]),
            IndexError,
            r"index: expected integers or booleans, got a tensor of dtype float32.*\.long\(\)",
        ),
    ],
)
def test_what_is_not_there_is_refused(index, error, text):
    with pytest.raises(error, match=text):
        tt.zeros(3, 2)[index]


@pytest.mark.parametrize(
    ("value", "expected"), [(-1, [255, 2]), (1.7, [1, 2]), (255, [255, 2]), (tt.tensor(9), [9, 2])]
)
def test_a_number_is_stored_as_pytorch_stores_it(value, expected):
    x = tt.tensor([1, 2], dtype=tt.uint8)
    x[0] = value
    assert x.tolist() == expected


@pytest.mark.parametrize("value", [300, -300, float("nan"), float("inf")])
def test_a_number_that_does_not_fit_is_refused(value):
    with pytest.raises(ValueError, match=rf"value: expected a number from -255 to 255 .* got {value}"):
        tt.tensor([1, 2], dtype=tt.uint8)[0] = value


def test_integers_are_applied_before_the_arrays():
    x, i = tt.arange(18.0).reshape(2, 3, 3), tt.tensor([0, 2])
    assert x[0, :, i].tolist() == x[0][:, i].tolist() == [[0.0, 2.0], [3.0, 5.0], [6.0, 8.0]]
    assert x[tt.tensor(1), None, :, i].shape == (1, 3, 2)
    assert x[0, ..., x[0, 0] > 0].tolist() == [[1.0, 2.0], [4.0, 5.0], [7.0, 8.0]]
    x[1, :, i] = tt.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert x[1].tolist() == [[1.0, 10.0, 2.0], [3.0, 13.0, 4.0], [5.0, 16.0, 6.0]]


@st.composite
def mixed(draw: st.DrawFn) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Integers, slices, arrays and masks, one for each of some axes, with None and `...` between them."""
    x = numbered(draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=3)))
    before = draw(st.integers(0, x.ndim))
    after = draw(st.integers(0, x.ndim - before))
    parts: list[Any] = []
    for n in x.shape[:before] + x.shape[x.ndim - after :]:
        places = st.integers(-n, n - 1)
        one = np.zeros(n, np.bool_)
        one[draw(places)] = True
        kinds = [places, st.just(slice(None)), st.just(slice(0, 2)), st.just(one), places.map(np.array)]
        for shape in ((2,), (1,), (3, 2)):
            kinds.append(arrays.arrays(np.int64, shape, elements=places))
        parts.append(draw(st.one_of(kinds)))
    if after or draw(st.booleans()):
        parts.insert(before, Ellipsis)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return x, tuple(parts)


@pytest.mark.parity
@given(mixed())
def test_mixed_indices_mean_what_they_mean_in_pytorch(case):
    torch = pytest.importorskip("torch")
    x, index = case
    ours, theirs = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    of = {t: tuple(t.tensor(p) if isinstance(p, np.ndarray) else p for p in index) for t in (tt, torch)}
    part, expected = ours[of[tt]], theirs[of[torch]]
    np.testing.assert_array_equal(part.detach().numpy(), expected.detach().numpy())
    assert part.shape == expected.shape
    weights = numbered(tuple(expected.shape))
    (part * tt.tensor(weights)).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())
    if np.unique(expected.detach()).size < expected.numel():
        return  # of several values for one place, PyTorch does not say which stays
    ours, theirs = ours.detach(), theirs.detach()
    value, leaf = tt.tensor(-1.0 - weights), tt.tensor(x, requires_grad=True)
    recorded = leaf * 1.0
    ours[of[tt]] = value
    recorded[of[tt]] = value
    theirs[of[torch]] = torch.tensor(-1.0 - weights)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(recorded.detach().numpy(), theirs.numpy())
    recorded.sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), theirs.numpy() == x)


# --- by integer tensors along an axis -------------------------------------------------------------------


@st.composite
def along_an_axis(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    wanted = list(shape)
    wanted[dim] = draw(st.integers(1, 5))
    index = draw(arrays.arrays(np.int64, tuple(wanted), elements=st.integers(0, shape[dim] - 1)))
    return numbered(shape), index, dim


@given(along_an_axis())
def test_gather_and_its_gradient(case):
    x, index, dim = case
    t = tt.tensor(x, requires_grad=True)
    picked = t.gather(dim, tt.tensor(index))
    np.testing.assert_array_equal(picked.detach().numpy(), np.take_along_axis(x, index, dim))
    picked.sum().backward()
    np.testing.assert_array_equal(
        t.grad.numpy(),
        tt.scatter_add(tt.zeros(*x.shape), dim, tt.tensor(index), tt.ones(*index.shape)).numpy(),
    )


@given(along_an_axis())
def test_scatter_puts_back_what_gather_took(case):
    x, index, dim = case
    t, index = tt.tensor(x), tt.tensor(index)
    assert tt.equal(t.scatter(dim, index, t.gather(dim, index)), t)


def test_scatter_of_a_number_makes_one_hot_rows():
    assert tt.zeros(2, 3).scatter(1, tt.tensor([[2], [0]]), 1.0).tolist() == [
        [0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0],
    ]


def test_take_along_dim_broadcasts():
    x = tt.arange(6).reshape(2, 3)
    assert x.take_along_dim(tt.tensor([[2, 0]]), dim=1).tolist() == [[2, 0], [5, 3]]
    assert x.take_along_dim(tt.tensor([5, 0])).tolist() == [5, 0]


def test_nonzero():
    x = tt.tensor([[0, 1], [2, 0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]]
    rows, columns = x.nonzero(as_tuple=True)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
    assert x.masked_select(x > 0).tolist() == [1, 2]
