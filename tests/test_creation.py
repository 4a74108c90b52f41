"""Creators: their shapes, dtypes and memory; random numbers: their distribution and their repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import _warmup

# --- from data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, tt.float32),
        (1, tt.int64),
        (True, tt.bool),
        ([1.0, 2.0], tt.float32),
        ([[1, 2], [3, 4]], tt.int64),
        ([True, False], tt.bool),
        (np.zeros(2), tt.float64),
        (np.zeros(2, np.float16), tt.float32),
        (np.zeros(2, np.uint8), tt.uint8),
        (np.float64(1.5), tt.float64),
        ([], tt.float32),
    ],
)
def test_data_decides_the_dtype(data, dtype):
    assert tt.tensor(data).dtype == dtype
    assert tt.tensor(data, dtype=tt.float64).dtype == tt.float64


def test_tensor_copies_and_as_tensor_shares():
    array = np.zeros(2)
    copied, shared, from_numpy = tt.tensor(array), tt.as_tensor(array), tt.from_numpy(array)
    array[0] = 1.0
    assert copied.tolist() == [0.0, 0.0]
    assert shared.tolist() == from_numpy.tolist() == [1.0, 0.0]
    assert tt.as_tensor(shared) is shared
    assert tt.as_tensor(shared, dtype=tt.float32).dtype == tt.float32
    assert tt.as_tensor([1, 2]).tolist() == [1, 2]


def test_lists_may_hold_tensors():
    assert tt.tensor([tt.tensor(1.0), tt.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert tt.tensor([[tt.tensor(1), 2], [3, 4]]).dtype == tt.int64


@pytest.mark.parametrize(
    ("mistake", "error", "text"),
    [
        (lambda: tt.tensor("text"), TypeError, "expected numbers or booleans"),
        (lambda: tt.tensor([1.0], device="cuda"), ValueError, "expected device 'cpu'"),
        (
            lambda: tt.tensor([1], requires_grad=True),
            RuntimeError,
            "only floating point tensors have gradients",
        ),
        (lambda: tt.from_numpy([1.0]), TypeError, r"from_numpy: expected an ndarray, got list"),
        (
            lambda: tt.from_numpy(np.zeros(1, np.float16)),
            TypeError,
            "from_numpy: dtype float16 cannot be shared",
        ),
        (lambda: tt.zeros(-1), ValueError, r"zeros: expected lengths from 0 on, got \(-1,\)"),
        (lambda: tt.zeros(1.5), TypeError, r"zeros: expected whole numbers as lengths, got \(1.5,\)"),
        (lambda: tt.arange(0, 5, 0), ValueError, "arange: expected a step that leads from 0 to 5, got 0"),
        (lambda: tt.arange(5, 0), ValueError, "arange: expected a step that leads from 5 to 0, got 1"),
        (lambda: tt.rand(2, dtype=tt.int64), TypeError, "rand: expected dtype float32 or float64, got int64"),
        (lambda: tt.randint(5, 2, (3,)), ValueError, "randint: expected high above low, got 5 and 2"),
        (lambda: tt.randint(5, 3), TypeError, r"randint: expected a shape such as \(3,\), got 3"),
        (
            lambda: tt.normal(0.0, -1.0, (3,)),
            ValueError,
            "normal: expected a standard deviation not below 0, got -1.0",
        ),
        (
            lambda: tt.bernoulli(tt.tensor([1.5])),
            ValueError,
            "bernoulli: expected probabilities from 0 to 1, got 1.5",
        ),
        (
            lambda: tt.bernoulli(tt.tensor([1])),
            TypeError,
            "bernoulli: expected floating point probabilities, got int64",
        ),
        (
            lambda: tt.multinomial(tt.tensor([-1.0, 2.0]), 1),
            ValueError,
            "multinomial: expected rows of finite numbers",
        ),
        (
            lambda: tt.multinomial(tt.tensor([0.0, 2.0]), 2),
            ValueError,
            "multinomial: expected 2 numbers above 0",
        ),
        (lambda: tt.multinomial(tt.zeros(1, 1, 1), 1), ValueError, "multinomial: expected 1 or 2 dimensions"),
        (lambda: tt.manual_seed("0"), TypeError, "manual_seed: expected an integer, got '0'"),
        (lambda: tt.set_rng_state(tt.zeros(3)), ValueError, "set_state: expected the two whole numbers"),
        (lambda: tt.Generator("cuda"), ValueError, "Generator: expected device 'cpu', got 'cuda'"),
        (lambda: tt.no_such_name, AttributeError, "module 'tinytorch' has no attribute 'no_such_name'"),
    ],
)
def test_mistakes_are_named(mistake, error, text):
    with pytest.raises(error, match=text):
        mistake()


# --- from a rule ----------------------------------------------------------------------------------------


def test_constants():
    assert tt.zeros(2, 3).tolist() == [[0.0] * 3] * 2
    assert tt.ones((2, 3)).tolist() == tt.ones([2, 3]).tolist() == [[1.0] * 3] * 2
    assert tt.full((2,), 7).dtype == tt.int64
    assert tt.full((2,), 7.5).dtype == tt.float32
    assert tt.full((2,), True).dtype == tt.bool
    assert tt.full(2, 7.0, dtype=tt.float64).tolist() == [7.0, 7.0]
    assert tt.empty(2, 0).shape == (2, 0)
    assert tt.zeros(()).shape == ()
    assert tt.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert tt.zeros(2, requires_grad=True).requires_grad


def test_like_another():
    x = tt.zeros(2, 3, dtype=tt.float64)
    for like in (tt.zeros_like, tt.ones_like, tt.empty_like, tt.rand_like, tt.randn_like):
        assert (like(x).shape, like(x).dtype) == ((2, 3), tt.float64)
        assert like(x, dtype=tt.float32, requires_grad=True).dtype == tt.float32
    assert tt.full_like(x, 3).dtype == tt.float64


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((5,), [0, 1, 2, 3, 4]),
        ((2, 5), [2, 3, 4]),
        ((5, 0, -2), [5, 3, 1]),
        ((0, 1, 0.25), [0.0, 0.25, 0.5, 0.75]),
        ((1.0, 3.0), [1.0, 2.0]),
        ((0,), []),
    ],
)
def test_arange(arguments, expected):
    x = tt.arange(*arguments)
    assert x.tolist() == expected
    assert x.dtype == (tt.float32 if any(isinstance(a, float) for a in arguments) else tt.int64)


def test_grids():
    assert tt.linspace(-1, 1, 3).tolist() == [-1.0, 0.0, 1.0]
    rows, columns = tt.meshgrid(tt.arange(2), tt.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert tt.meshgrid([tt.arange(2), tt.arange(3)], indexing="xy")[0].shape == (3, 2)
    a, b = tt.broadcast_tensors(tt.zeros(2, 1), tt.ones(3))
    assert a.shape == b.shape == (2, 3)


def test_names_of_a_shape():
    for create in (tt.zeros, tt.ones, tt.empty, tt.rand, tt.randn):
        assert create(size=(2, 3)).shape == create(2, 3).shape == (2, 3)
        assert create(size=(2,), device="cpu").shape == (2,)
    with pytest.raises(
        TypeError, match=r"zeros: expected a shape by position or as size, got \(2,\) and \(3,\)"
    ):
        tt.zeros(2, size=(3,))
    x = tt.ones(2)
    for like in (tt.zeros_like, tt.ones_like, tt.empty_like, tt.rand_like, tt.randn_like):
        assert like(x, device=x.device).shape == (2,)
    assert tt.full_like(x, 7.0, device=x.device).tolist() == [7.0, 7.0]
    with pytest.raises(ValueError, match="expected device 'cpu'"):
        tt.zeros_like(x, device="cuda")
    assert tt.randint(10, size=(3,)).shape == tt.randint(high=10, size=(3,)).shape == (3,)
    assert tt.randint(low=5, high=6, size=(2,)).tolist() == [5, 5]


# --- random numbers -------------------------------------------------------------------------------------


def test_uniform_numbers_are_uniform():
    x = tt.rand(100_000, generator=tt.Generator().manual_seed(1)).numpy()
    counts, _ = np.histogram(x, 10, (0.0, 1.0))
    assert counts.sum() == x.size
    assert np.abs(counts - 10_000).max() < 5 * math.sqrt(9_000)


def test_normal_numbers_are_normal():
    x = tt.randn(100_000, generator=tt.Generator().manual_seed(1)).numpy().astype(np.float64)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1.0) < 0.02
    assert abs(np.mean(x**4) - 3.0) < 0.15
    y = tt.normal(5.0, 2.0, (100_000,), generator=tt.Generator().manual_seed(1)).numpy()
    np.testing.assert_allclose(y, x * 2.0 + 5.0, rtol=1e-5, atol=1e-5)


def test_whole_numbers_and_permutations():
    tt.manual_seed(0)
    x = tt.randint(-2, 3, (10_000,))
    assert x.dtype == tt.int64
    assert np.unique(x.numpy()).tolist() == [-2, -1, 0, 1, 2]
    assert tt.randint(3, (2, 2)).shape == (2, 2)
    order = tt.randperm(100)
    assert order.tolist() != list(range(100))
    assert sorted(order.tolist()) == list(range(100))


def test_bernoulli():
    tt.manual_seed(0)
    x = tt.bernoulli(tt.full((10_000,), 0.3))
    assert set(x.tolist()) == {0.0, 1.0}
    assert abs(x.mean().item() - 0.3) < 0.02


def test_multinomial_draws_in_proportion():
    tt.manual_seed(0)
    weights = tt.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
    draws = tt.multinomial(weights, 10_000, replacement=True)
    assert draws.shape == (2, 10_000)
    assert abs((draws[0] == 1).float().mean().item() - 0.75) < 0.02
    assert (draws[1] == 2).all()
    once = tt.multinomial(tt.tensor([1.0, 9.0, 5.0, 0.0]), 3)
    assert sorted(once.tolist()) == [0, 1, 2]
    first = [tt.multinomial(tt.tensor([1.0, 3.0]), 1).item() for _ in range(2000)]
    assert abs(np.mean(first) - 0.75) < 0.05


DRAWS = {
    "rand": lambda: tt.rand(5),
    "randn": lambda: tt.randn(5),
    "rand float64": lambda: tt.rand(5, dtype=tt.float64),
    "randint": lambda: tt.randint(1000, (5,)),
    "randperm": lambda: tt.randperm(20),
    "bernoulli": lambda: tt.bernoulli(tt.full((50,), 0.5)),
    "multinomial": lambda: tt.multinomial(tt.ones(50), 5),
    "uniform_": lambda: tt.zeros(5).uniform_(),
    "normal_": lambda: tt.zeros(5).normal_(),
    "dropout": lambda: tt.dropout(tt.ones(50)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_repeats_and_the_state_continues(name):
    draw = DRAWS[name]
    tt.manual_seed(3)
    first, state, second = draw(), tt.get_rng_state(), draw()
    assert not tt.equal(first, second)
    tt.manual_seed(3)
    assert tt.equal(draw(), first)
    assert tt.equal(draw(), second)
    tt.set_rng_state(state)
    assert tt.equal(draw(), second)
    tt.manual_seed(4)
    assert not tt.equal(draw(), first)


def test_generators_do_not_disturb_each_other():
    tt.manual_seed(0)
    expected = tt.rand(3)
    tt.manual_seed(0)
    mine = tt.Generator().manual_seed(9)
    a = tt.rand(3, generator=mine)
    assert tt.equal(tt.rand(3), expected)
    assert not tt.equal(tt.rand(3, generator=mine), a)
    assert mine.initial_seed() == 9
    assert repr(tt.Generator().manual_seed(2)) == "Generator(seed=2, position=0)"


def test_a_seed_that_nobody_knows():
    before = tt.get_rng_state()
    seed = tt.seed()
    a = tt.rand(3)
    assert tt.initial_seed() == seed
    tt.manual_seed(seed)
    assert tt.equal(tt.rand(3), a)
    tt.set_rng_state(before)


def test_dropout_keeps_the_expectation_and_its_mask():
    tt.manual_seed(0)
    x = tt.ones(10_000, requires_grad=True)
    y = tt.dropout(x, 0.25)
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02
    y.sum().backward()
    assert tt.equal(x.grad, y.detach())
    assert tt.dropout(x, 0.25, training=False) is x
    with pytest.raises(ValueError, match=r"dropout: expected a probability p from 0 to 1, got -0\.1"):
        tt.dropout(x, -0.1)


# --- the package ----------------------------------------------------------------------------------------


def test_subpackages_come_without_an_import_of_their_own():
    assert tt.nn.Linear(2, 3).weight.shape == (3, 2)
    assert hasattr(tt.optim, "SGD")
    assert {"nn", "optim", "data", "save", "load", "warmup"} <= set(dir(tt))


def test_is_tensor_and_allclose():
    assert tt.is_tensor(tt.ones(1))
    assert not tt.is_tensor(np.ones(1))
    assert tt.allclose(tt.ones(2), tt.ones(2) + 1e-7)
    assert not tt.allclose(tt.ones(2), tt.zeros(2))
    assert tt.equal(tt.ones(2), tt.ones(2))
    assert not tt.equal(tt.ones(2), tt.ones(1))


def test_warmup_leaves_the_random_state_alone(monkeypatch):
    monkeypatch.setattr(_warmup, "_ROWS", (2,))  # the serial kernels alone: compiling all of them takes long
    tt.manual_seed(5)
    before = tt.get_rng_state()
    assert tt.warmup() > 0.0
    assert tt.equal(tt.get_rng_state(), before)
