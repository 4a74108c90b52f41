"""Hooks: functions that see, and may replace, a gradient on its way."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def test_a_leaf_hook_sees_the_whole_gradient_once():
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2.0 + x * 3.0).sum().backward()
    assert seen == [[5.0, 5.0]]
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_hook_on_a_result_sees_its_gradient():
    x, seen = leaf(1.0), []
    y = x * 3.0
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 7.0).sum().backward()
    assert seen == [[7.0]]


def test_what_a_hook_returns_goes_on():
    x = leaf(1.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    y.sum().backward()
    assert x.grad.tolist() == [31.0]


def test_hooks_run_in_the_order_they_came():
    x = leaf(1.0)
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 10.0)
    x.sum().backward()
    assert x.grad.tolist() == [20.0]


def test_a_removed_hook_is_silent():
    x, seen = leaf(1.0), []
    remove = x.register_hook(lambda g: seen.append(1))
    x.sum().backward()
    remove()
    remove()
    x.sum().backward()
    assert seen == [1]


def test_a_hook_is_removed_by_its_handle():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda g: seen.append(1))
    handle.remove()
    x.sum().backward()
    assert seen == []


def test_a_gradient_kept_by_a_hook_is_not_the_leafs_own():
    x, kept = leaf(1.0, 2.0), []
    x.register_hook(lambda g: kept.append(g))
    (x * 2.0).sum().backward()
    x.grad._data *= 100.0
    assert kept[0].tolist() == [2.0, 2.0]


def test_hooks_run_for_grad_too():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 2.0)
    assert tt.autograd.grad((x * 3.0).sum(), x)[0].tolist() == [6.0]


def test_a_hook_needs_a_gradient_to_look_at():
    with pytest.raises(RuntimeError, match="expected a tensor that requires a gradient, got one without"):
        tt.Tensor(np.ones(2)).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_a_result():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    assert x.grad.tolist() == [18.0, 36.0]
    with pytest.raises(RuntimeError, match="retain_grad: expected a tensor that requires a gradient"):
        tt.Tensor(np.ones(2)).retain_grad()


def test_a_retained_gradient_has_its_own_memory():
    x, seed = leaf(1.0, 2.0), tt.ones(2, dtype=tt.float64)
    y = x * 3.0
    z = y + 1.0
    y.retain_grad()
    z.retain_grad()
    z.backward(seed)
    z.grad._data *= 100.0
    assert seed.tolist() == y.grad.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_retained_gradient_is_what_the_other_hooks_left():
    x = leaf(1.0)
    y = x * 3.0
    y.register_hook(lambda g: g + 1.0)
    y.retain_grad()
    y.register_hook(lambda g: g * 10.0)
    y.sum().backward()
    assert y.grad.tolist() == [20.0]


def test_a_gradient_retained_twice_counts_once():
    y = leaf(1.0) * 3.0
    y.retain_grad()
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    assert y.grad.tolist() == [1.0]
    y.sum().backward()
    assert y.grad.tolist() == [2.0]
