"""`gradcheck` passes what is right, and finds what is wrong: in a new op, and in every rule that we have."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinytorch as tt
from tests.ops_sampler import call
from tinytorch.autograd import GradcheckError, gradcheck, gradgradcheck
from tinytorch.autograd.registry import REGISTRY, Op


def leaf(*shape: int, seed: int = 0) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(seed).uniform(0.5, 1.5, shape), requires_grad=True)


def cubed(rule, forward=lambda x, /: x**3) -> Op:
    """x ** 3 with the gradient `rule`, outside the registry."""
    return Op(name="cubed", forward=forward, saves=(0,), rule=rule)


right = cubed(lambda ctx, g: g * ctx[0] * ctx[0] * 3.0)
wrong_factor = cubed(lambda ctx, g: g * ctx[0] * ctx[0] * 3.001)
cut_inside = cubed(lambda ctx, g: g * (ctx[0] * ctx[0]).detach() * 3.0)


@pytest.mark.parametrize("fast", [False, True])
def test_a_right_rule_passes_both_orders(fast):
    assert gradcheck(right, leaf(2, 3), fast_mode=fast)
    assert gradgradcheck(right, leaf(2, 3), fast_mode=fast)


@pytest.mark.parametrize("fast", [False, True])
def test_a_wrong_rule_is_found(fast):
    with pytest.raises(GradcheckError, match="wrong gradient"):
        gradcheck(wrong_factor, leaf(2, 3), fast_mode=fast)
    assert gradcheck(wrong_factor, leaf(2, 3), fast_mode=fast, raise_exception=False) is False


@pytest.mark.parametrize("fast", [False, True])
def test_a_rule_whose_own_graph_is_cut_fails_the_second_order_only(fast):
    assert gradcheck(cut_inside, leaf(2, 3), fast_mode=fast)
    with pytest.raises(GradcheckError, match="gradgradcheck: wrong gradient"):
        gradgradcheck(cut_inside, leaf(2, 3), fast_mode=fast)
    assert gradgradcheck(cut_inside, leaf(2, 3), fast_mode=fast, raise_exception=False) is False


def test_the_message_names_the_input_the_element_and_both_numbers():
    def func(a, b):
        mask = np.ones((2, 3))
        mask[1, 2] = 0.0
        return a * (b * tt.Tensor(mask) + b.detach() * tt.Tensor(1 - mask))

    a, b = leaf(2, 3), leaf(2, 3, seed=1)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(func, (a, b))
    text = str(caught.value)
    assert "result 0 at (1, 2) with respect to input 1 at (1, 2) (shapes (2, 3) and (2, 3))" in text
    numbers = re.search(r"numerical (\S+), analytical (\S+), difference", text)
    numerical, analytical = map(float, numbers.groups())
    assert numerical == pytest.approx(a._data[1, 2])
    assert analytical == 0.0
    assert "1 of the 6 elements of that input differ" in text


def test_float32_is_refused_with_the_reason():
    x = tt.Tensor(np.ones(2, np.float32), requires_grad=True)
    with pytest.raises(GradcheckError, match=r"expected input 0 to be float64, got float32.*\.double\(\)"):
        gradcheck(right, x)
    with pytest.raises(GradcheckError, match="expected input 0 to be float64"):
        gradgradcheck(right, x)


def test_nothing_to_check_is_refused():
    with pytest.raises(GradcheckError, match="expected at least one input that requires a gradient, got 1"):
        gradcheck(right, tt.Tensor(np.ones(2)))


def test_a_cut_function_is_refused():
    with pytest.raises(GradcheckError, match=r"no result of func requires a gradient.*cut by \.detach\(\)"):
        gradcheck(lambda x: x.detach() * 2.0, leaf(2))


def test_a_random_function_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="two different results for the same inputs"):
        gradcheck(lambda x: x * generator.random(), leaf(2))


def test_nan_is_never_right():
    nan = cubed(lambda ctx, g: g * np.nan)
    assert not gradcheck(nan, leaf(2), raise_exception=False)
    assert not gradcheck(nan, leaf(2), raise_exception=False, fast_mode=True)


def test_several_results_integers_and_constants():
    index = tt.tensor([0, 2, 0])
    scale = tt.Tensor(np.array([1.0, 2.0, 3.0]))
    assert gradcheck(lambda x, i, s: (x[i] * s, i, x.exp()), (leaf(3), index, scale))


@pytest.mark.parametrize("fast", [False, True])
def test_a_number_is_an_input_too(fast):
    assert gradcheck(lambda x: x.clone().mul_(2.0).exp(), leaf(), fast_mode=fast)
    assert gradgradcheck(lambda x: x.clone().mul_(2.0).exp(), leaf(), fast_mode=fast)


def test_inputs_keep_their_values_and_get_no_gradient():
    x = leaf(2, 3)
    before = np.array(x._data)
    gradcheck(right, x)
    np.testing.assert_array_equal(x._data, before)
    assert x.grad is None


def test_gradgradcheck_takes_its_vectors():
    vector = tt.Tensor(np.ones((2, 3)))
    assert gradgradcheck(right, leaf(2, 3), grad_outputs=vector)
    assert not vector.requires_grad


# --- mutants: a rule that is a little wrong must not survive ---------------------------------------------


def scaled(rule):
    """Every gradient 1 % too large."""

    def mutant(ctx, g):
        found = rule(ctx, g)
        found = found if isinstance(found, tuple) else (found,)
        return tuple(None if f is None else f * 1.01 for f in found)

    return mutant


def negated(rule):
    return lambda ctx, g: rule(ctx, g * -1.0)


def forgotten(rule):
    """The first gradient that is asked for is missing, which counts as zero."""

    def mutant(ctx, g):
        found = rule(ctx, g)
        found = list(found) if isinstance(found, tuple) else [found]
        found[list(ctx.needs).index(True)] = None
        return tuple(found)

    return mutant


MUTANTS = ["add", "mul", "div", "exp", "tanh", "matmul", "linear", "sum", "relu", "cat", "log_softmax"]


@pytest.mark.parametrize("mutate", [scaled, negated, forgotten])
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_a_real_rule_is_found(name, mutate, monkeypatch):
    op = REGISTRY[name]
    c = call(op, 0)
    func = lambda *xs: op(*xs, **c.params)  # noqa: E731
    assert gradcheck(func, c.tensors(requires_grad=True))
    monkeypatch.setattr(op, "rule", mutate(op.rule))
    assert not gradcheck(func, c.tensors(requires_grad=True), raise_exception=False)
    assert not gradcheck(func, c.tensors(requires_grad=True), raise_exception=False, fast_mode=True)
