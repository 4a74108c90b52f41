"""`autograd.Function`: a gradient written by hand."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.autograd import gradcheck, gradgradcheck


class Exp(tt.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        result = x.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, gradient):
        (result,) = ctx.saved_tensors
        return gradient * result


class Scaled(tt.autograd.Function):
    """`a * b * factor`, with a constant argument."""

    @staticmethod
    def forward(ctx, a, b, factor):
        ctx.save_for_backward(a, b)
        ctx.factor = factor
        return a * b * factor

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        to_a = gradient * b * ctx.factor if ctx.needs_input_grad[0] else None
        to_b = gradient * a * ctx.factor if ctx.needs_input_grad[1] else None
        return to_a, to_b, None


class Identity(tt.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 10.0, None


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def test_a_gradient_of_ones_own():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = Scaled.apply(a * 2.0, b, 5.0)
    assert y.tolist() == [30.0, 80.0]
    assert repr(y.grad_fn) == "<Scaled (2,)>"
    y.sum().backward()
    assert a.grad.tolist() == [30.0, 40.0]
    assert b.grad.tolist() == [10.0, 20.0]


def test_only_wanted_gradients_are_computed():
    a = leaf(1.0)
    Scaled.apply(a, tt.tensor([3.0]), 2.0).sum().backward()
    assert a.grad.tolist() == [6.0]


def test_it_has_derivatives_of_any_order():
    x, b = leaf(0.3, -0.7), leaf(1.5, 2.5)
    for function in (Exp.apply, lambda x: Scaled.apply(x, b, 2.0) * x):
        gradcheck(function, [x])
        gradgradcheck(function, [x])


def test_nothing_is_recorded_where_nothing_is_wanted():
    assert Exp.apply(tt.ones(1)).grad_fn is None
    with tt.no_grad():
        assert Exp.apply(leaf(1.0)).grad_fn is None


def test_mistakes_are_named():
    x = leaf(1.0)
    same = Identity.apply(x)
    assert same is not x
    assert x.is_leaf
    with pytest.raises(RuntimeError, match=r"Identity: expected backward to return 1 gradients, .* got 2"):
        same.sum().backward()
    y = Exp.apply(x)
    y.add_(1.0)
    with pytest.raises(RuntimeError, match=r"saved_tensors: a tensor of shape \(1,\) was changed in place"):
        y.sum().backward()
    y = Scaled.apply(x, x, 1.0).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="backward through 'Scaled' a second time"):
        y.backward()

    class Nothing(tt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 3.0

    with pytest.raises(TypeError, match="Nothing: expected forward to give one tensor, got float"):
        Nothing.apply(x)
    with pytest.raises(NotImplementedError, match=r"expected a static method backward\(ctx, gradient\)"):
        tt.autograd.Function.backward(None, x)
    with pytest.raises(NotImplementedError, match=r"expected a static method forward\(ctx, \.\.\.\)"):
        tt.autograd.Function.apply(x)
