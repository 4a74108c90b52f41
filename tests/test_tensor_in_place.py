"""Changes in place, by methods, operators and assignment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt

pytestmark = pytest.mark.nojit_ok


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


IN_PLACE: dict[str, tuple[Callable, Callable]] = {
    "add_": (lambda x: x.add_(2.0, alpha=3), lambda x: x + 6),
    "sub_": (lambda x: x.sub_(2.0), lambda x: x - 2),
    "mul_": (lambda x: x.mul_(2.0), lambda x: x * 2),
    "div_": (lambda x: x.div_(2.0), lambda x: x / 2),
    "pow_": (lambda x: x.pow_(2), lambda x: x**2),
    "neg_": (lambda x: x.neg_(), lambda x: -x),
    "abs_": (lambda x: x.abs_(), np.abs),
    "exp_": (lambda x: x.exp_(), np.exp),
    "log_": (lambda x: x.abs_().log_(), lambda x: np.log(np.abs(x))),
    "sqrt_": (lambda x: x.abs_().sqrt_(), lambda x: np.sqrt(np.abs(x))),
    "*= itself": (lambda x: x.__imul__(x), lambda x: x * x),
    "relu_": (lambda x: x.relu_(), lambda x: np.maximum(x, 0)),
    "sigmoid_": (lambda x: x.sigmoid_(), lambda x: 1 / (1 + np.exp(-x))),
    "tanh_": (lambda x: x.tanh_(), np.tanh),
    "clamp_": (lambda x: x.clamp_(-0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5)),
    "clip_": (lambda x: x.clip_(max=0.0), lambda x: np.minimum(x, 0)),
    "masked_fill_": (lambda x: x.masked_fill_(x > 0, 9.0), lambda x: np.where(x > 0, 9, x)),
    "copy_": (lambda x: x.copy_(tt.arange(4)), lambda x: np.broadcast_to(np.arange(4.0), x.shape)),
    "fill_": (lambda x: x.fill_(3), lambda x: np.full_like(x, 3)),
    "zero_": (lambda x: x.zero_(), np.zeros_like),
    "setitem": (lambda x: x.__setitem__((slice(None), 1), 5.0), lambda x: np.where(np.arange(4) == 1, 5, x)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_changes_the_tensor_and_its_views(name):
    change, reference = IN_PLACE[name]
    array = values(3, 4)
    x = tt.tensor(array)
    memory, view = x.numpy(), x[1:]
    change(x)
    assert x.numpy() is memory
    np.testing.assert_allclose(x.numpy(), reference(array), rtol=1e-5)
    assert tt.equal(view, x[1:])


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_changes_are_recorded(name):
    """The gradient is that of the same steps out of place, which finite differences tell."""
    change, reference = IN_PLACE[name]
    array = values(3, 4).astype(np.float64)
    leaf = tt.tensor(array, requires_grad=True)
    x = leaf * 1.0
    change(x)
    x.sum().backward()
    step = 1e-6
    with np.errstate(all="ignore"):
        numeric = (reference(array + step) - reference(array - step)) / (2 * step)
    np.testing.assert_allclose(leaf.grad.numpy(), numeric, rtol=1e-4, atol=1e-6)


def test_augmented_assignment_is_in_place():
    x = tt.tensor([1.0, 2.0])
    before = x
    x += 1
    x -= 0.5
    x *= 4
    x /= 2
    x //= 1
    x **= 2
    x %= 7
    assert x is before
    assert x.tolist() == [2.0, 4.0]


def test_random_in_place():
    tt.manual_seed(0)
    x = tt.zeros(1000).uniform_(2.0, 3.0)
    assert 2.0 <= x.min().item() <= x.max().item() < 3.0
    x.normal_(10.0, 0.1)
    assert abs(x.mean().item() - 10.0) < 0.05
    with pytest.raises(RuntimeError, match="uniform_: a leaf that requires a gradient cannot be changed"):
        tt.zeros(2, requires_grad=True).uniform_()


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (
            lambda: tt.ones(2).add_(tt.ones(3, 2)),
            r"add_: expected a result of this tensor's shape \(2,\), got \(3, 2\)",
        ),
        (
            lambda: tt.tensor([1]).add_(0.5),
            "add_: a result of dtype float32 cannot be stored in one of dtype int64",
        ),
        (
            lambda: tt.ones(2, requires_grad=True).add_(1),
            "add_: a leaf that requires a gradient cannot be changed",
        ),
    ],
)
def test_impossible_changes_are_named(mistake, text):
    with pytest.raises(RuntimeError, match=text):
        mistake()


def test_a_stale_value_is_not_used_for_a_gradient():
    x = tt.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    loss = (y * y).sum()
    y.add_(1.0)
    with pytest.raises(RuntimeError, match=r"backward through 'mul': its argument \d, .* changed in place"):
        loss.backward()


def test_assignment_where_a_graph_is_recorded():
    x, v = tt.zeros(4, requires_grad=True), tt.tensor([3.0, 4.0], requires_grad=True)
    y = x * 1.0
    y[1:3] = v
    (y * tt.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1000.0]
    assert v.grad.tolist() == [10.0, 100.0]


def test_assignment_does_not_fit():
    with pytest.raises(ValueError, match=r"expected a value that broadcasts to shape \(3,\), got \(2,\)"):
        tt.zeros(3)[:] = tt.ones(2)
