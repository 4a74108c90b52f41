"""Batch norms folded into what stands before them, and what is left where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import SmallResNet
from tinytorch.systems.inference.folding import ChannelAffine, fold_batch_norm

pytestmark = pytest.mark.nojit_ok


def trained(*layers, negative=False):
    """A model whose batch norms have seen something, in evaluation mode."""
    tt.manual_seed(3)
    model = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            size = module.num_features
            module.running_mean._data[:] = tt.randn(size)._data
            module.running_var._data[:] = 0.5 + tt.rand(size)._data
            module.weight._data[:] = 0.2 + tt.rand(size)._data
            module.bias._data[:] = tt.randn(size)._data
            if negative:
                module.weight._data[0] *= -1
    return model.eval()


def kinds(model):
    return [type(layer).__name__ for layer in model]


def assert_same(model, folded, x):
    with tt.no_grad():
        np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_directly_behind_convolutions_and_linear_layers():
    model = trained(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4),
        nn.BatchNorm1d(4), negative=True,
    )  # fmt: skip
    folded = fold_batch_norm(model)
    assert kinds(folded) == ["Conv2d", "ReLU", "Flatten", "Linear"]
    assert_same(model, folded, tt.randn(5, 2, 5, 5))
    assert kinds(model)[1] == "BatchNorm2d"


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2), nn.MaxPool2d(3, 2, padding=1), nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ],
    ids=str,
)  # fmt: skip
def test_past_a_pool_with_positive_scales(pool):
    model = trained(nn.Conv2d(2, 3, 3), pool, nn.BatchNorm2d(3), nn.ReLU())
    folded = fold_batch_norm(model)
    assert kinds(folded) == ["Conv2d", type(pool).__name__, "ReLU"]
    assert_same(model, folded, tt.randn(2, 2, 8, 8))


def test_a_maximum_does_not_commute_with_a_negative_scale():
    model = trained(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3), negative=True)
    folded = fold_batch_norm(model)
    assert kinds(folded) == ["Conv2d", "MaxPool2d", "ChannelAffine"]
    assert_same(model, folded, tt.randn(2, 2, 8, 8))
    assert set(folded.state_dict()) == {"0.weight", "0.bias", "2.scale", "2.shift"}


def test_a_mean_does():
    model = trained(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.BatchNorm2d(3), negative=True)
    folded = fold_batch_norm(model)
    assert kinds(folded) == ["Conv2d", "AvgPool2d"]
    assert_same(model, folded, tt.randn(2, 2, 8, 8))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(2, 3, 3), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(3)),  # counts zeros of the border
        (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
        (nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3)),
    ],
)
def test_others_stay(layers):
    model = trained(*layers)
    assert kinds(fold_batch_norm(model)) == kinds(model)


def test_a_layer_with_a_hook_stays():
    model = trained(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3))
    with model[1].register_forward_hook(lambda *_: None):
        assert kinds(fold_batch_norm(model)) == ["Conv2d", "MaxPool2d", "BatchNorm2d"]


def test_a_residual_network_has_none_left():
    model = trained(SmallResNet(3, (4, 8, 8)))
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d | ChannelAffine) for module in folded.modules())
    assert_same(model, folded, tt.randn(2, 3, 8, 8))


def test_a_model_in_training_is_refused():
    with pytest.raises(ValueError, match="in training mode"):
        fold_batch_norm(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))


def test_what_is_left_has_a_gradient_for_its_input():
    layer = ChannelAffine(np.array([2.0, -1.0]), np.array([0.5, 0.0]))
    x = tt.ones(1, 2, 1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [[[[2.0, 2.0]], [[-1.0, -1.0]]]]
