"""`grad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`: values, shapes, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.autograd import functional as F
from tinytorch.autograd import grad


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def constant(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values))


# --- grad -----------------------------------------------------------------------------------------------


def test_grad_returns_a_tuple_and_touches_no_leaf():
    x, w = leaf(2.0, 3.0), leaf(5.0, 7.0)
    gx, gw = grad((x * w).sum(), (x, w))
    assert (gx.tolist(), gw.tolist()) == ([5.0, 7.0], [2.0, 3.0])
    assert x.grad is None
    assert w.grad is None


def test_grad_with_respect_to_a_result():
    x = leaf(2.0)
    y = x * x
    assert grad((y * y).sum(), y)[0].tolist() == [8.0]


def test_grad_with_respect_to_a_result_and_what_is_behind_it():
    x = leaf(2.0)
    y = x * x
    gy, gx = grad((y * 3.0).sum(), (y, x))
    assert (gy.tolist(), gx.tolist()) == ([3.0], [12.0])


def test_grad_of_the_same_input_twice():
    x = leaf(2.0)
    first, second = grad((x * x).sum(), (x, x))
    assert first.tolist() == second.tolist() == [4.0]


def test_grad_of_several_outputs_adds_up():
    x = leaf(2.0)
    (g,) = grad((x * 3.0, x * x), x, grad_outputs=(constant(1.0), constant(10.0)))
    assert g.tolist() == [43.0]


def test_grad_of_an_output_that_is_the_input():
    x = leaf(2.0, 3.0)
    assert grad(x, x, constant(5.0, 6.0))[0].tolist() == [5.0, 6.0]


def test_grad_computes_only_what_lies_between():
    x, w = leaf(2.0), leaf(3.0)
    seen = []
    side = w * 2.0
    side.register_hook(lambda g: seen.append(g))
    grad((x * side).sum(), x)
    assert seen == []


def test_grad_names_an_input_that_was_not_used():
    x, other = leaf(1.0), leaf(1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match=r"input 1, of shape \(3,\), was not used.*allow_unused=True"):
        grad((x * 2.0).sum(), (x, other))
    assert grad((x * 2.0).sum(), (x, other), allow_unused=True)[1] is None


def test_grad_names_an_input_without_a_gradient():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"input 0, of shape \(2,\), does not require a gradient"):
        grad((x * 2.0).sum(), constant(1.0, 2.0))


def test_grad_counts_its_vectors():
    x = leaf(1.0)
    with pytest.raises(ValueError, match=r"grad\(\): expected 1 vectors, one for each tensor, got 2"):
        grad(x * 2.0, x, grad_outputs=(constant(1.0), constant(1.0)))


def test_grad_takes_tensors():
    with pytest.raises(TypeError, match=r"expected a tensor in inputs\[0\], got float"):
        grad(leaf(1.0).sum(), [1.0])
    with pytest.raises(ValueError, match="at least one tensor in outputs"):
        grad([], leaf(1.0))


def test_grad_frees_the_graph_unless_told():
    x = leaf(1.0)
    y = (x * x).sum()
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(RuntimeError, match="'mul' a second time"):
        grad(y, x)


def test_backward_from_several_tensors():
    x = leaf(2.0)
    tt.autograd.backward([(x * 3.0).sum(), x * x], [None, constant(10.0)])
    assert x.grad.tolist() == [43.0]


# --- higher order ---------------------------------------------------------------------------------------


def test_third_and_fourth_derivatives():
    x = leaf(2.0)
    y, found = x * x * x * x, []
    for _ in range(4):
        (y,) = grad(y.sum(), x, create_graph=True)
        found.append(y.item())
    assert found == [32.0, 48.0, 48.0, 24.0]


def test_backward_with_create_graph():
    x = leaf(3.0)
    (x * x * x).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    assert (first.item(), x.grad.item()) == (27.0, 18.0)


def test_without_create_graph_the_gradient_is_a_constant():
    x = leaf(3.0)
    (g,) = grad((x * x).sum(), x)
    assert not g.requires_grad


def test_gradient_penalty():
    """The gradient of a gradient's length, as WGAN-GP and physics-informed networks need it."""
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (gx,) = grad((w * x * x).sum(), x, create_graph=True)
    (gx * gx).sum().backward()
    np.testing.assert_allclose(w.grad._data, 8 * w._data * x._data**2)


# --- products and matrices ------------------------------------------------------------------------------

MATRIX = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def linear(x: tt.Tensor) -> tt.Tensor:
    return tt.Tensor(MATRIX) @ x


def test_vjp_and_jvp_of_a_linear_map():
    x = constant(1.0, 1.0, 1.0)
    y, pulled = F.vjp(linear, x, constant(1.0, 10.0))
    assert y.tolist() == [6.0, 15.0]
    assert pulled.tolist() == [41.0, 52.0, 63.0]
    y, pushed = F.jvp(linear, x, constant(1.0, 0.0, 100.0))
    assert y.tolist() == [6.0, 15.0]
    assert pushed.tolist() == [301.0, 604.0]


def test_jvp_of_a_curved_function_with_two_inputs():
    a, b = constant(1.0, 2.0), constant(3.0, 4.0)
    _, pushed = F.jvp(lambda a, b: (a * b, a.exp()), (a, b), (constant(1.0, 0.0), constant(0.0, 1.0)))
    np.testing.assert_allclose(pushed[0]._data, [3.0, 2.0])
    np.testing.assert_allclose(pushed[1]._data, [np.e, 0.0])


def test_jacobian_of_a_linear_map_is_its_matrix():
    assert F.jacobian(linear, constant(1.0, 1.0, 1.0)).tolist() == MATRIX.tolist()


def test_jacobian_nests_results_outside_and_inputs_inside():
    a, b = constant(1.0, 2.0), constant(3.0)
    blocks = F.jacobian(lambda a, b: (a * b, a.sum()), (a, b))
    assert [[block.shape for block in row] for row in blocks] == [[(2, 2), (2, 1)], [(2,), (1,)]]
    assert blocks[0][0].tolist() == [[3.0, 0.0], [0.0, 3.0]]
    assert blocks[0][1].tolist() == [[1.0], [2.0]]
    assert blocks[1][1].tolist() == [0.0]


def test_jacobian_of_matrices_has_both_shapes():
    x = tt.Tensor(np.ones((2, 3)))
    assert F.jacobian(lambda x: (x * 2.0).sum(1), x).shape == (2, 2, 3)


def test_jacobian_of_nothing():
    assert F.jacobian(lambda x: x[:0] * 2.0, constant(1.0, 2.0)).shape == (0, 2)


def test_jacobian_can_be_differentiated():
    x = leaf(1.0, 2.0)
    F.jacobian(lambda x: x * x * x, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_hessian_of_a_quadratic_form():
    a = np.array([[2.0, 1.0], [1.0, 6.0]])
    h = F.hessian(lambda x: 0.5 * (x @ (tt.Tensor(a) @ x)), constant(3.0, -1.0))
    np.testing.assert_allclose(h._data, a)


def test_hessian_blocks_of_two_inputs():
    (aa, ab), (ba, bb) = F.hessian(lambda a, b: (a * a * b).sum(), (constant(1.0, 2.0), constant(5.0, 7.0)))
    assert aa.tolist() == [[10.0, 0.0], [0.0, 14.0]]
    assert ab.tolist() == ba.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert bb.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_hessian_of_a_linear_function_is_zero():
    assert F.hessian(lambda x: (x * 3.0).sum(), constant(1.0, 2.0)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_hvp_is_the_hessian_times_the_vector():
    def func(x: tt.Tensor) -> tt.Tensor:
        return (x.exp() * x[:1]).sum()

    x, v = constant(0.5, 1.0, -1.0), constant(1.0, 2.0, 3.0)
    value, product = F.hvp(func, x, v)
    np.testing.assert_allclose(product._data, F.hessian(func, x)._data @ v._data, rtol=1e-12)
    assert value.item() == func(x).item()


def test_hessian_needs_a_scalar():
    expected = r"hessian\(\): expected func to give one tensor.*got shape \(2,\)"
    with pytest.raises(RuntimeError, match=expected):
        F.hessian(lambda x: x * 2.0, constant(1.0, 2.0))


def test_the_callers_tensors_stay_as_they_were():
    x = constant(1.0, 2.0)
    F.jacobian(lambda x: x * x, x)
    F.jvp(lambda x: x * x, x, x)
    assert not x.requires_grad
    assert x.grad is None


def test_they_work_inside_no_grad():
    with tt.no_grad():
        assert F.jacobian(lambda x: x * x, constant(3.0)).tolist() == [[6.0]]
        assert F.jvp(lambda x: x * x, constant(3.0), constant(1.0))[1].tolist() == [6.0]


def test_what_nothing_depends_on_is_zero_or_with_strict_an_error():
    a, b = constant(1.0), constant(2.0)
    assert F.vjp(lambda a, b: a * 3.0, (a, b), constant(1.0))[1][1].tolist() == [0.0]
    assert F.jvp(lambda a: a.detach() * 2.0, a, constant(1.0))[1].tolist() == [0.0]
    with pytest.raises(RuntimeError, match=r"input 1, of shape .* was not used"):
        F.vjp(lambda a, b: a * 3.0, (a, b), constant(1.0), strict=True)
    with pytest.raises(RuntimeError, match=r"jacobian\(\): .*cut by \.detach\(\)"):
        F.jacobian(lambda a: a.detach() * 2.0, a, strict=True)


def test_vectors_are_checked():
    with pytest.raises(RuntimeError, match=r"vjp\(\): expected v of shape \(2,\), got none"):
        F.vjp(linear, constant(1.0, 1.0, 1.0))
    with pytest.raises(RuntimeError, match=r"jvp\(\): expected v of shape \(3,\), got \(2,\)"):
        F.jvp(linear, constant(1.0, 1.0, 1.0), constant(1.0, 1.0))
