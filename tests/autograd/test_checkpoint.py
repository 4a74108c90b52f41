"""`checkpoint`: the same values and gradients for less memory."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.autograd import checkpoint, grad, gradcheck, gradgradcheck


def leaf(*shape: int, seed: int = 0) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(seed).uniform(-1, 1, shape), requires_grad=True)


def test_values_and_gradients_are_the_same_bits():
    x, w = leaf(3, 4), leaf(4, 4, seed=1)

    def block(x: tt.Tensor) -> tt.Tensor:
        return (x @ w).tanh() * x

    plain = block(block(x)).sum()
    expected = grad(plain, (x, w))
    saved = checkpoint(block, checkpoint(block, x)).sum()
    found = grad(saved, (x, w))
    assert saved.item() == plain.item()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a._data, b._data)


def test_a_parameter_that_func_refers_to_gets_its_gradient():
    """Also where no input requires one, the trap of PyTorch's reentrant variant."""
    w = leaf(3)
    checkpoint(lambda x: (x * w).exp(), tt.Tensor(np.ones(3))).sum().backward()
    np.testing.assert_allclose(w.grad._data, np.exp(w._data))


def test_a_result_from_outside_that_func_refers_to():
    x = leaf(3)
    outside = x * 2.0
    checkpoint(lambda y: y * outside, x).sum().backward()
    np.testing.assert_allclose(x.grad._data, 4 * x._data)


def test_inner_results_are_freed_after_the_forward():
    inner = []

    def block(x: tt.Tensor) -> tt.Tensor:
        y = x.exp()
        inner.append(weakref.ref(y._data))
        return y.exp()

    y = checkpoint(block, leaf(3))
    assert inner[0]() is None
    y.sum().backward()
    assert len(inner) == 2
    assert inner[1]() is None


def test_derivatives_of_any_order():
    w = leaf(3, seed=1)
    assert gradcheck(lambda x, w: checkpoint(lambda x: (x * w).tanh(), x * 2.0), (leaf(3), w))
    assert gradgradcheck(lambda x, w: checkpoint(lambda x: (x * w).tanh(), x * 2.0), (leaf(3), w))


def test_checkpoints_nest():
    x = leaf(3)
    y = checkpoint(lambda x: checkpoint(lambda x: x.exp(), x) * x, x)
    np.testing.assert_allclose(grad(y.sum(), x)[0]._data, np.exp(x._data) * (1 + x._data))


def test_random_numbers_come_out_the_same():
    tt.manual_seed(0)
    x = tt.Tensor(np.ones((4, 16), np.float32), requires_grad=True)
    y = checkpoint(lambda x: x * tt.rand(4, 16), x)
    tt.rand(3)
    following = tt.rand(3)
    tt.manual_seed(0)
    tt.rand(4, 16), tt.rand(3)
    np.testing.assert_array_equal(tt.rand(3)._data, following._data)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad._data, y._data)


def test_backward_leaves_the_generator_where_it_was():
    x = tt.Tensor(np.ones(3, np.float32), requires_grad=True)
    tt.manual_seed(0)
    y = checkpoint(lambda x: x * tt.rand(3), x)
    expected = tt.rand(3)
    tt.manual_seed(0)
    tt.rand(3)
    y.sum().backward()
    np.testing.assert_array_equal(tt.rand(3)._data, expected._data)


def test_an_input_changed_since_is_refused():
    x = leaf(3)
    y = checkpoint(lambda x: x.exp(), x * 1.0).sum()
    z = checkpoint(lambda a: a * x, x * 1.0).sum()
    y.backward()
    with tt.no_grad():
        x += 1.0
    expected = r"'checkpoint': a tensor of shape \(3,\).*was changed in place since"
    with pytest.raises(RuntimeError, match=expected):
        z.backward()


def test_a_second_backward_is_refused():
    y = checkpoint(lambda x: x.exp(), leaf(3)).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="'checkpoint' a second time"):
        y.backward()


def test_func_must_give_a_tensor():
    with pytest.raises(TypeError, match="expected func to give one tensor, got tuple"):
        checkpoint(lambda x: (x, x), leaf(3))


def test_without_recording_it_only_calls():
    x = leaf(3)
    with tt.no_grad():
        assert not checkpoint(lambda x: x.exp(), x).requires_grad
    assert checkpoint(lambda x: x, x) is x
    assert not checkpoint(lambda x: x.exp(), tt.Tensor(np.ones(2))).requires_grad
