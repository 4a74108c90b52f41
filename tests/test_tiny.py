"""The twenty things that must work. If one of these fails, look here first."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim


def test_a_tensor_holds_what_it_was_given():
    x = tt.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.shape == (2, 2)
    assert x.dtype == np.float32
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_plus():
    assert (tt.tensor([1.0, 2.0]) + tt.tensor([10.0, 20.0])).tolist() == [11.0, 22.0]


def test_numbers_on_either_side():
    x = tt.tensor([1.0, 2.0])
    assert (1 - x).tolist() == [0.0, -1.0]
    assert (2 / x).tolist() == [2.0, 1.0]
    assert (x**2 * 3).tolist() == [3.0, 12.0]


def test_broadcasting():
    assert (tt.ones(2, 1) * tt.tensor([1.0, 2.0, 3.0])).tolist() == [[1.0, 2.0, 3.0]] * 2


def test_matmul():
    assert (tt.tensor([[1.0, 2.0]]) @ tt.tensor([[3.0], [4.0]])).tolist() == [[11.0]]


def test_a_big_matmul_equals_numpys():
    a, b = np.random.default_rng(0).standard_normal((2, 100, 100)).astype(np.float32)
    np.testing.assert_allclose((tt.tensor(a) @ tt.tensor(b)).numpy(), a @ b, rtol=1e-4, atol=1e-4)


def test_reductions():
    x = tt.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert x.sum().item() == 12.0
    assert x.mean(0).tolist() == [2.0, 4.0]
    assert x.max().item() == 6.0
    assert x.argmax(1).tolist() == [1, 1]


def test_views_share_memory():
    x = tt.zeros(2, 3)
    x.reshape(6)[4] = 5.0
    x.transpose(0, 1)[0, 0] = 7.0
    assert x.tolist() == [[7.0, 0.0, 0.0], [0.0, 5.0, 0.0]]


def test_indexing():
    x = tt.arange(12).reshape(3, 4)
    assert x[1, 2].item() == 6
    assert x[:, -1].tolist() == [3, 7, 11]
    assert x[x > 9].tolist() == [10, 11]
    assert x[[0, 2], [1, 1]].tolist() == [1, 9]


def test_cat_and_stack():
    a, b = tt.tensor([1.0]), tt.tensor([2.0])
    assert tt.cat([a, b]).tolist() == [1.0, 2.0]
    assert tt.stack([a, b]).shape == (2, 1)


def test_backward():
    x = tt.tensor([2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_no_grad():
    x = tt.tensor([2.0], requires_grad=True)
    with tt.no_grad():
        assert not (x * 2).requires_grad


def test_second_derivative():
    x = tt.tensor([2.0], requires_grad=True)
    (g,) = tt.autograd.grad((x * x * x).sum(), x, create_graph=True)
    assert tt.autograd.grad(g.sum(), x)[0].tolist() == [12.0]


def test_a_cut_graph_says_where():
    y = (tt.tensor([2.0], requires_grad=True) * 3).detach()
    with pytest.raises(RuntimeError, match=r"cut by \.detach\(\) at .*test_tiny\.py"):
        y.sum().backward()


def test_the_seed_fixes_random_numbers():
    tt.manual_seed(1)
    first = tt.randn(5)
    tt.manual_seed(1)
    assert tt.randn(5).tolist() == first.tolist()


def test_to_numpy_and_back_shares_memory():
    a = np.zeros(3, np.float32)
    x = tt.from_numpy(a)
    x[0] = 1.0
    assert a[0] == x.numpy()[0] == 1.0


def test_a_linear_layer():
    layer = nn.Linear(3, 2)
    x = tt.tensor([[1.0, 2.0, 3.0]])
    expected = x.numpy() @ layer.weight.data.T + layer.bias.data
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5)


def test_cross_entropy():
    loss = nn.CrossEntropyLoss()(tt.zeros(4, 10), tt.tensor([0, 1, 2, 3]))
    assert loss.item() == pytest.approx(np.log(10), rel=1e-6)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1), lambda p: optim.Adam(p, lr=0.1)])
def test_an_optimiser_goes_down(make):
    tt.manual_seed(0)
    w = tt.tensor([3.0, -2.0], requires_grad=True)
    optimiser = make([w])
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


def test_a_network_learns_xor():
    tt.manual_seed(0)
    x = tt.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = tt.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimiser, loss_of = optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss()
    for _ in range(300):
        optimiser.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05
    assert ((model(x) > 0).float() == y).all()
