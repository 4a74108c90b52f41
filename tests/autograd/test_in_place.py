"""In-place changes: allowed where the gradient stays right, refused with the reason where it does not."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt


def leaf(*values: float) -> tt.Tensor:
    return tt.Tensor(np.array(values), requires_grad=True)


def test_an_argument_changed_after_use_is_refused():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with tt.no_grad():
        x += 1.0
    with pytest.raises(
        RuntimeError,
        match=r"'mul': its argument [01], of shape \(2,\), was changed in place after the operation used it "
        r"\(version 1, expected 0\).*\.clone\(\)",
    ):
        y.backward()


def test_a_result_changed_after_it_was_saved_is_refused():
    y = leaf(1.0, 2.0).exp()
    y += 1.0
    with pytest.raises(RuntimeError, match=r"'exp': its result, of shape \(2,\), was changed in place"):
        y.sum().backward()


def test_a_change_through_a_view_counts():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    z = (y * y).sum()
    with tt.no_grad():
        y[:1] += 5.0
    with pytest.raises(RuntimeError, match="changed in place after the operation used it"):
        z.backward()


def test_a_change_through_detach_counts():
    x = leaf(1.0, 2.0)
    z = (x * x).sum()
    x.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="changed in place after the operation used it"):
        z.backward()


def test_a_change_through_data_assignment_counts():
    x = leaf(1.0, 2.0)
    z = (x * x).sum()
    x.data = np.array([5.0, 6.0])
    with pytest.raises(RuntimeError, match="changed in place after the operation used it"):
        z.backward()


def test_what_no_gradient_needs_may_change():
    x = leaf(1.0, 2.0)
    y = x + 1.0
    y *= 3.0
    y += 1.0
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_leaf_cannot_be_changed_while_recording():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"a leaf that requires a gradient cannot be changed.*no_grad\(\)"):
        x += 1.0
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient cannot be changed"):
        x[0] = 3.0


def test_a_leaf_is_updated_inside_no_grad():
    x = leaf(1.0)
    (x * 2.0).sum().backward()
    with tt.no_grad():
        x -= 0.5 * x.grad
    assert x.tolist() == [0.0]
    assert x.requires_grad
    assert x.is_leaf


def test_assignment_into_a_result_is_recorded():
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    y = x * 2.0
    y[1:2] = v * 3.0
    (y * tt.Tensor(np.array([1.0, 10.0, 100.0]))).sum().backward()
    assert y.tolist() == [2.0, 30.0, 6.0]
    assert x.grad.tolist() == [2.0, 0.0, 200.0]
    assert v.grad.tolist() == [30.0]


def test_assignment_into_a_constant_makes_it_part_of_the_graph():
    buffer, v = tt.Tensor(np.zeros(3)), leaf(2.0)
    buffer[1:2] = v * v
    assert buffer.requires_grad
    buffer.sum().backward()
    assert v.grad.tolist() == [4.0]


def test_a_recorded_change_through_a_view_reaches_its_base():
    x, w = leaf(1.0, 2.0), leaf(10.0)
    y = x * 3.0
    y[1] += w[0]
    view = y[:1]
    view *= w
    assert y.tolist() == [30.0, 16.0]
    assert view.tolist() == [30.0]
    (y * tt.Tensor(np.array([1.0, 100.0]))).sum().backward()
    assert x.grad.tolist() == [30.0, 300.0]
    assert w.grad.tolist() == [103.0]


def test_a_recorded_change_through_a_chain_of_views():
    x, w = tt.Tensor(np.ones((2, 3)), requires_grad=True), leaf(5.0)
    y = x * 2.0
    y.transpose(0, 1)[1].reshape(2, 1)[0].mul_(w)
    expected = np.full((2, 3), 2.0)
    expected[0, 1] = 10.0
    assert y.tolist() == expected.tolist()
    y.sum().backward()
    assert x.grad.tolist() == expected.tolist()
    assert w.grad.tolist() == [2.0]


def test_a_change_through_a_view_makes_a_constant_part_of_the_graph():
    buffer, w = tt.Tensor(np.zeros(3)), leaf(2.0)
    buffer[1:2].add_(w * w)
    buffer.sum().backward()
    assert w.grad.tolist() == [4.0]


def test_a_recorded_change_through_repeated_memory_is_refused():
    stretched = (leaf(1.0) * 1.0).expand(3)
    with pytest.raises(RuntimeError, match=r"a view made by 'expand'.*base\[index\] \+= "):
        stretched += 1.0


def test_an_unrecorded_change_through_repeated_memory_is_refused():
    x = tt.zeros(1)
    for change in (lambda y: y.add_(1.0), lambda y: y.fill_(1.0), lambda y: y.__setitem__(0, 1.0)):
        for stretched in (x.expand(3), x.expand(3).detach(), x.expand(2, 1)[0]):
            with pytest.raises(RuntimeError, match=r"a view made by expand.*Change a \.clone\(\)"):
                change(stretched)
    assert x.tolist() == [0.0]


def test_a_read_only_array_is_copied_before_a_change():
    array = np.zeros(2)
    array.flags.writeable = False
    x = tt.Tensor(array)
    x.add_(1.0)
    assert x.tolist() == [1.0, 1.0]


def test_a_change_of_shape_in_place():
    x = tt.arange(3)
    assert x.unsqueeze_(1) is x
    assert x.shape == (3, 1)
    assert x.squeeze_().add_(1).tolist() == [1, 2, 3]
    w = leaf(1.0)
    with pytest.raises(RuntimeError, match="unsqueeze_: a leaf that requires a gradient cannot be changed"):
        w.unsqueeze_(0)
    with tt.no_grad():
        w.unsqueeze_(0)
    assert w.shape == (1, 1)
    assert w.requires_grad


def test_a_tensor_saved_in_another_shape_is_refused():
    y = leaf(1.0, 2.0) * 1.0
    loss = (y * y).sum()
    y.unsqueeze_(0)
    with pytest.raises(RuntimeError, match="changed in place after the operation used it"):
        loss.backward()


def test_a_recorded_change_through_a_reshaped_view_reaches_the_base():
    x, w = leaf(1.0, 2.0), leaf(5.0)
    y = x * 1.0
    row = y[1:]
    row.unsqueeze_(0).mul_(w)
    assert y.tolist() == [1.0, 10.0]
    (y * y).sum().backward()
    assert w.grad.tolist() == [40.0]
    assert x.grad.tolist() == [2.0, 100.0]


def test_a_view_from_before_a_change_of_shape_is_refused():
    y = leaf(1.0, 2.0) * 1.0
    view = y[:1]
    y.unsqueeze_(1)
    with pytest.raises(
        RuntimeError, match=r"mul_: this view, of shape \(1,\), was taken before its base got"
    ):
        view.mul_(leaf(2.0))


def test_logic_in_place():
    x = tt.tensor([True, False, True])
    same = x
    x &= tt.tensor([True, True, False])
    x |= tt.tensor([False, True, False])
    x ^= tt.tensor([True, True, False])
    assert x is same
    assert x.tolist() == [False, False, False]


def test_a_recorded_change_through_a_view_of_a_leaf_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient cannot be changed in place"):
        x[0].add_(1.0)
    with tt.no_grad():
        x[0].add_(1.0)
    assert x.tolist() == [2.0, 2.0]


def test_a_view_from_before_a_recorded_change_is_refused():
    y = leaf(1.0, 2.0) * 1.0
    view = y[:1]
    y *= leaf(3.0, 4.0) * 0.0 + 2.0
    expected = r"this view, of shape \(1,\), was taken before its base was changed"
    with pytest.raises(RuntimeError, match=expected):
        view.exp()
    assert y[:1].exp().requires_grad


def test_a_view_of_a_constant_from_before_a_recorded_change_is_refused():
    """It shows the new values, but knows nothing of the graph they came from."""
    buffer, w = tt.Tensor(np.zeros(3)), leaf(2.0)
    view = buffer[:1]
    buffer[:1] = w * 3.0
    expected = r"this view, of shape \(1,\), was taken before its base was changed"
    with pytest.raises(RuntimeError, match=expected):
        view.sum()
    with pytest.raises(RuntimeError, match=expected):
        w * view
    with tt.no_grad():
        assert view.sum().item() == 6.0


def test_a_reshape_that_copied_is_no_view():
    y = leaf(1.0, 2.0, 3.0, 4.0).reshape(2, 2) * 1.0
    copy = y.transpose(0, 1).reshape(4)
    copy += leaf(1.0)
    y *= leaf(2.0)
    assert copy.tolist() == [2.0, 4.0, 3.0, 5.0]
    copy.sum().backward()


def test_in_place_cannot_broadcast_its_target():
    x = tt.Tensor(np.ones(3))
    with pytest.raises(RuntimeError, match=r"expected a result of this tensor's shape \(3,\), got \(2, 3\)"):
        x += tt.Tensor(np.ones((2, 3)))


def test_in_place_cannot_lower_the_kind_of_number():
    x = tt.tensor([1, 2])
    expected = "a result of dtype float32 cannot be stored in one of dtype int64"
    with pytest.raises(RuntimeError, match=expected):
        x += 0.5
