"""The backward pass: what arrives where, how deep it may go, and what it lets go of."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest

import tinytorch as tt


def leaf(*values: float, dtype=np.float64) -> tt.Tensor:
    return tt.Tensor(np.array(values, dtype), requires_grad=True)


# --- what arrives ---------------------------------------------------------------------------------------


def test_gradients_of_several_uses_add_up():
    x = leaf(2.0, 3.0)
    (x * x + x * 5.0 + x).sum().backward()
    assert x.grad.tolist() == [10.0, 12.0]


def test_gradients_of_several_passes_add_up():
    x = leaf(2.0, 3.0)
    for _ in range(3):
        (x * x).sum().backward()
    assert x.grad.tolist() == [12.0, 18.0]


def test_a_diamond_visits_each_operation_once():
    x = leaf(0.5)
    visits = []
    top = x.exp()
    top.register_hook(lambda g: visits.append(g.item()))
    left, right = top * 2.0, top * 3.0
    (left * right).sum().backward()
    np.testing.assert_allclose(visits, 12 * np.exp(0.5))
    np.testing.assert_allclose(x.grad._data, 12 * np.exp(1.0))


def test_a_ladder_of_diamonds_is_linear_in_time():
    """2**60 paths, 60 operations."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.sum().backward()
    assert x.grad.item() == 2.0**60


def test_backward_of_a_leaf():
    x = leaf(4.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_broadcasting_is_undone():
    a, b = leaf(1.0, 2.0, 3.0), tt.Tensor(np.ones((2, 1)), requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.tolist() == [2.0, 2.0, 2.0]
    assert b.grad.tolist() == [[6.0], [6.0]]


def test_gradients_have_the_dtype_of_their_leaf():
    single, double = leaf(1.0, 2.0, dtype=np.float32), leaf(3.0, 4.0)
    (single * double).sum().backward()
    assert (single.grad.dtype, double.grad.dtype) == (np.float32, np.float64)


def test_only_leaves_that_require_it_get_a_gradient():
    x, constant = leaf(1.0), tt.Tensor(np.array([2.0]))
    middle = x * constant
    middle.sum().backward()
    assert constant.grad is None
    assert middle.grad is None


# --- seeds ----------------------------------------------------------------------------------------------


def test_seed_weights_the_result():
    x = leaf(1.0, 2.0)
    (x * x).backward(tt.Tensor(np.array([10.0, 1.0])))
    assert x.grad.tolist() == [20.0, 4.0]


def test_seed_may_be_an_array_or_a_list():
    x = leaf(1.0, 2.0)
    (x * 1.0).backward(np.array([1.0, 2.0]))
    (x * 1.0).backward([1.0, 2.0])
    assert x.grad.tolist() == [2.0, 4.0]


def test_several_elements_need_a_seed():
    expected = r"expected a tensor with one element, got shape \(2,\).*\.sum\(\)"
    with pytest.raises(RuntimeError, match=expected):
        (leaf(1.0, 2.0) * 2.0).backward()


def test_seed_of_a_wrong_shape_is_refused():
    with pytest.raises(RuntimeError, match=r"expected a gradient of shape \(2,\), got \(3,\)"):
        (leaf(1.0, 2.0) * 2.0).backward(tt.Tensor(np.ones(3)))


def test_changing_the_seed_afterwards_does_not_reach_the_gradient():
    x, seed = leaf(1.0, 2.0), tt.Tensor(np.ones(2))
    (x + 0.0).backward(seed)
    seed._data[:] = 99.0
    assert x.grad.tolist() == [1.0, 1.0]


# --- memory ---------------------------------------------------------------------------------------------


def test_leaf_gradients_share_no_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).backward(tt.Tensor(np.ones(2)))
    a.grad._data *= 10
    assert b.grad.tolist() == [1.0, 1.0]
    assert a.grad.tolist() == [10.0, 10.0]


def test_gradients_that_are_expanded_become_writable():
    x = leaf(1.0, 2.0)
    x.sum().backward()
    x.grad._data[0] = 5.0
    assert x.grad.tolist() == [5.0, 1.0]


def test_accumulating_does_not_change_a_gradient_that_was_kept():
    x = leaf(1.0)
    (x * 2.0).sum().backward()
    kept = x.grad
    (x * 2.0).sum().backward()
    assert (kept.item(), x.grad.item()) == (2.0, 4.0)


def test_saved_arrays_are_freed_after_backward():
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y.exp()
    loss = z.sum()
    alive = [weakref.ref(y._data), weakref.ref(z._data)]
    del y, z
    assert all(ref() is not None for ref in alive)
    loss.backward()
    assert all(ref() is None for ref in alive)


def test_saved_arrays_are_freed_while_backward_goes_on():
    x = leaf(1.0, 2.0)
    first = x.exp()
    second = first.exp()
    third = second.exp()
    loss = third.sum()
    later = [weakref.ref(second._data), weakref.ref(third._data)]
    seen = []
    first.register_hook(lambda g: seen.append([ref() is None for ref in later]))
    del second, third
    loss.backward()
    assert seen == [[True, True]]


def test_dropping_the_result_frees_the_graph():
    x = leaf(1.0)
    y = x.exp()
    array = weakref.ref(y._data)
    z = y * y
    del y, z
    assert array() is None


# --- depth ----------------------------------------------------------------------------------------------


def test_twenty_thousand_operations_deep():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.item() == 1.0


def test_a_deep_graph_is_dropped_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y * 1.0
    last = weakref.ref(y)
    del y
    assert last() is None


# --- twice ----------------------------------------------------------------------------------------------


def test_a_second_backward_is_refused():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"'mul' a second time.*freed by the first.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_a_second_backward():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_a_shared_part_that_saved_nothing_serves_two_results():
    """As in PyTorch: only what was freed cannot be used again."""
    x = leaf(1.0, 2.0)
    shared = x + 1.0
    shared.sum().backward()
    (shared * 2.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_threads_walk_their_own_graphs():
    leaves = [leaf(float(i)) for i in range(4)]

    def work(x: tt.Tensor) -> None:
        for _ in range(50):
            (x * x).sum().backward()

    threads = [threading.Thread(target=work, args=(x,)) for x in leaves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [x.grad.item() for x in leaves] == [100.0 * i for i in range(4)]


def test_backward_to_some_inputs_only():
    x, w = tt.tensor([1.0, 2.0], requires_grad=True), tt.tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    y.sum().backward(inputs=[w, y], retain_graph=True)
    assert x.grad is None
    assert w.grad.tolist() == [1.0, 2.0]
    assert y.grad.tolist() == [1.0, 1.0]
    y.sum().backward(inputs=w)
    assert w.grad.tolist() == [2.0, 4.0]


def test_backward_to_inputs_gives_each_its_own_memory():
    a, b = tt.tensor([1.0], requires_grad=True), tt.tensor([1.0], requires_grad=True)
    seed = tt.ones(1)
    (a + b).backward(seed, inputs=[a, b])
    a.grad._data *= 5.0
    assert b.grad.tolist() == seed.tolist() == [1.0]


def test_backward_to_no_inputs_is_refused():
    with pytest.raises(RuntimeError, match=r"backward\(\): expected at least one tensor in inputs, got none"):
        tt.ones(1, requires_grad=True).sum().backward(inputs=[])


def test_the_gradient_of_a_power_of_integers():
    p = tt.tensor([1.5, 2.0, 3.0], requires_grad=True)
    (tt.tensor([0, 2, 1]) ** p).sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [0.0, 4.0 * np.log(2.0), 0.0], rtol=1e-6)
