"""The convolutional networks: shapes, what they are made of, and their weights in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.models import LeNet, Residual, SmallResNet


@pytest.mark.parametrize("size", [8, 16, 28])
def test_lenet_halves_the_image_twice(size):
    model = LeNet(1, size, channels=(4, 6), hidden=5, outputs=3)
    x = tt.rand(2, 1, size, size)
    assert model.features(x).shape == (2, 6, size // 4, size // 4)
    assert model(x).shape == (2, 3)


def test_a_size_that_cannot_be_halved_twice_is_refused():
    with pytest.raises(ValueError, match="LeNet: expected a size that can be halved twice, got 30"):
        LeNet(3, 30)


def test_the_seeds_network_has_about_a_million_parameters():
    assert sum(p.data.size for p in LeNet(3, 32).parameters()) == 1_070_794


def test_a_residual_block_adds():
    x = tt.rand(2, 3, 4, 4)
    block = Residual(tt.nn.Conv2d(3, 3, 3, padding=1))
    np.testing.assert_allclose(block(x).data, (x + block.layers(x)).data, rtol=1e-6)


@pytest.mark.parametrize(
    "model", [LeNet(1, 8, (4, 6), 5), SmallResNet(1, (4, 6, 8))], ids=["lenet", "resnet"]
)
def test_every_parameter_gets_a_gradient(model):
    tt.manual_seed(0)
    loss = tt.nn.functional.cross_entropy(model(tt.rand(4, 1, 8, 8)), tt.tensor([0, 1, 2, 3]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert np.abs(parameter.grad.data).max() > 0, name


@pytest.mark.parity
@pytest.mark.parametrize("training", [False, True])
def test_the_residual_network_is_the_same_in_torch(training):
    torch = pytest.importorskip("torch")
    tnn = torch.nn

    def stage(a, b, halve=False):
        pool = [tnn.MaxPool2d(2)] if halve else []
        return [tnn.Conv2d(a, b, 3, padding=1, bias=False), *pool, tnn.BatchNorm2d(b), tnn.ReLU()]

    class Block(tnn.Module):
        def __init__(self, n):
            super().__init__()
            self.layers = tnn.Sequential(*stage(n, n), *stage(n, n))

        def forward(self, x):
            return x + self.layers(x)

    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            self.features = tnn.Sequential(
                *stage(3, 4, True), *stage(4, 6, True), Block(6), *stage(6, 8, True), Block(8)
            )
            self.head = tnn.Sequential(tnn.AdaptiveMaxPool2d(1), tnn.Flatten(), tnn.Linear(8, 10))

        def forward(self, x):
            return self.head(self.features(x))

    tt.manual_seed(0)
    ours, theirs = SmallResNet(3, (4, 6, 8)).train(training), Net().train(training)
    weights = {name: torch.tensor(np.array(t.data)) for name, t in ours.state_dict().items()}
    theirs.load_state_dict(weights)
    x, y = tt.rand(5, 3, 16, 16), tt.tensor([1, 2, 3, 4, 5])
    loss = tt.nn.functional.cross_entropy(ours(x), y)
    loss.backward()
    expected = tnn.functional.cross_entropy(theirs(torch.tensor(x.numpy())), torch.tensor(y.numpy()))
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-4)
    grads = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad.data, grads[name].grad.numpy(), rtol=2e-3, atol=2e-5)
