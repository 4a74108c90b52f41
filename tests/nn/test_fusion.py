"""Batch norms folded into the layers before them."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn.utils import fuse_batch_norms
from tinytorch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

pytestmark = pytest.mark.nojit_ok


def trained(*layers):
    """A model whose batch norms have seen something, in evaluation mode."""
    tt.manual_seed(0)
    model = nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            size = module.num_features
            module.running_mean._data[:] = tt.randn(size)._data
            module.running_var._data[:] = 0.5 + tt.rand(size)._data
            if module.weight is not None:
                module.weight._data[:] = tt.randn(size)._data
                module.bias._data[:] = tt.randn(size)._data
    return model.eval()


def assert_close(ours, expected):
    np.testing.assert_allclose(ours.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_one_layer_does_what_two_did(bias, affine):
    conv, bn = trained(nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=bias), nn.BatchNorm2d(6, affine=affine))
    before, x = conv.weight.detach().numpy().copy(), tt.randn(2, 4, 5, 5)
    fused = fuse_conv_bn_eval(conv, bn)
    assert type(fused) is nn.Conv2d
    assert_close(fused(x), bn(conv(x)))
    assert np.array_equal(conv.weight.detach().numpy(), before)
    linear, bn = trained(nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6, affine=affine))
    x = tt.randn(7, 4)
    assert_close(fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)))


def test_a_model_with_its_blocks():
    block = nn.Sequential({"conv": nn.Conv2d(5, 5, 3, padding=1), "bn": nn.BatchNorm2d(5), "act": nn.ReLU()})
    model = trained(
        nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(), block, block, nn.MaxPool2d(2),
        nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(45, 4), nn.BatchNorm1d(4),
    )  # fmt: skip
    x, before = tt.randn(2, 3, 8, 8), list(model.state_dict())
    fused = fuse_batch_norms(model)
    assert_close(fused(x), model(x))
    kinds = [type(module).__name__ for module in fused]
    assert kinds == [
        "Conv2d",
        "ReLU",
        "Sequential",
        "Sequential",
        "MaxPool2d",
        "BatchNorm2d",
        "Flatten",
        "Linear",
    ]
    assert fused[2] is fused[3]
    assert [name for name, _ in fused[2].named_children()] == ["conv", "act"]
    assert list(model.state_dict()) == before
    assert not fused.training


def test_a_layer_that_is_shared_is_folded_where_its_batch_norm_is():
    conv = nn.Conv2d(3, 3, 1)
    model, x = (
        trained(conv, nn.BatchNorm2d(3), nn.Tanh(), conv, nn.BatchNorm2d(3), conv),
        tt.randn(2, 3, 4, 4),
    )
    assert_close(fuse_batch_norms(model)(x), model(x))


def test_what_is_left_alone():
    class MyNorm(nn.BatchNorm2d):
        pass

    hooked = nn.Conv2d(3, 3, 1)
    hooked.register_forward_hook(lambda module, args, out: None)
    patched = nn.BatchNorm2d(3)
    patched.forward = lambda x: x
    for layers in (
        [nn.Conv2d(3, 3, 1), MyNorm(3)],
        [hooked, nn.BatchNorm2d(3)],
        [nn.Conv2d(3, 3, 1), patched],
        [nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)],
        [nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)],
    ):
        model = trained(*layers)
        assert len(fuse_batch_norms(model)) == len(model)


def test_refusals():
    conv, bn = trained(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    for call, text in (
        (lambda: fuse_conv_bn_eval(conv, nn.BatchNorm2d(4)), r"got a BatchNorm2d that is being trained"),
        (
            lambda: fuse_conv_bn_eval(conv, nn.BatchNorm2d(3).eval()),
            "expected a batch norm of 4 features, got 3",
        ),
        (
            lambda: fuse_conv_bn_eval(conv, nn.BatchNorm2d(4, track_running_stats=False).eval()),
            "fuse_conv_bn_eval: expected a batch norm with running statistics",
        ),
        (
            lambda: fuse_linear_bn_eval(nn.Linear(2, 4), bn),
            r"fuse_linear_bn_eval: expected .* evaluation mode, got a Linear .* Call \.eval\(\) first",
        ),
        (
            lambda: fuse_batch_norms(nn.Sequential(conv, nn.BatchNorm2d(4)).eval().append(nn.ReLU())),
            r"fuse_batch_norms: expected a model in evaluation mode, got '2' in training mode\. Call",
        ),
    ):
        with pytest.raises(ValueError, match=text):
            call()
