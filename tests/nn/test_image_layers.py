"""Padding, upsampling and dropout of whole channels beside PyTorch's layers: values, gradients, repr."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn import functional as F

RNG = np.random.default_rng(0)

LAYERS = {
    "zeros": ("ZeroPad2d", (2,), {}),
    "zeros cut": ("ZeroPad2d", ((1, -1, 0, 2),), {}),
    "constant": ("ConstantPad2d", ((1, 0, 2, 1), 3.5), {}),
    "reflection": ("ReflectionPad2d", ((1, 3, 0, 2),), {}),
    "replication": ("ReplicationPad2d", (5,), {}),
    "upsample": ("Upsample", (), {"scale_factor": 2}),
    "upsample to a size": ("Upsample", ((3, 9),), {"mode": "bilinear"}),
    "upsample corners": ("Upsample", (None, (1.6, 0.7), "bilinear", True), {}),
    "upsample recomputed": ("Upsample", (), {"scale_factor": 1.7, "recompute_scale_factor": True}),
    "nearest": ("UpsamplingNearest2d", (7,), {}),
    "bilinear": ("UpsamplingBilinear2d", (), {"scale_factor": 1.5}),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", LAYERS)
def test_like_torch(name):
    torch = pytest.importorskip("torch")
    kind, args, options = LAYERS[name]
    ours, theirs = (getattr(module, kind)(*args, **options) for module in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    x = RNG.standard_normal((2, 3, 4, 5))
    mine, other = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(mine), theirs(other)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = RNG.standard_normal(y.shape)
    y.backward(tt.tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_a_border_around_one_image():
    assert nn.ReflectionPad2d(1)(tt.ones(3, 4, 5)).shape == (3, 6, 7)


def test_upsampling_a_signal():
    assert nn.Upsample(scale_factor=3, mode="linear")(tt.ones(2, 3, 4)).shape == (2, 3, 12)


@pytest.mark.parametrize("padding", [(1, 2), 1.5, (1, 1, 1, 1, 1)])
def test_padding_is_one_number_or_four(padding):
    with pytest.raises(ValueError, match="ReflectionPad2d: expected padding to be a whole number, or four"):
        nn.ReflectionPad2d(padding)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout2d(0.25), (40, 50, 3, 2)), (nn.Dropout1d(0.25), (40, 50, 6))]
)
def test_dropout_drops_whole_channels(layer, shape):
    tt.manual_seed(0)
    x = tt.ones(*shape, requires_grad=True)
    y = layer(x)
    channels = y.detach().numpy().reshape(2000, 6)
    assert (channels == channels[:, :1]).all()
    values, counts = np.unique(channels[:, 0], return_counts=True)
    assert values.tolist() == pytest.approx([0.0, 1 / 0.75])
    assert counts[0] == pytest.approx(500, abs=75)
    y.sum().backward()
    assert tt.equal(x.grad, y.detach())
    tt.manual_seed(0)
    assert tt.equal(layer(x), y)
    assert not tt.equal(layer(x), y)
    assert layer.eval()(x) is x
    assert repr(layer) == f"{type(layer).__name__}(p=0.25)"


def test_dropout1d_takes_one_signal():
    tt.manual_seed(0)
    rows = F.dropout1d(tt.ones(200, 3), 0.5).numpy()
    assert (rows == rows[:, :1]).all()
    assert set(rows[:, 0]) == {0.0, 2.0}


def test_dropout2d_reads_three_axes_as_signals():
    with pytest.warns(UserWarning, match=r"dropout2d: an input of shape \(2, 3, 4\) is read as"):
        y = F.dropout2d(tt.ones(2, 3, 4), 1.0)
    assert not y.numpy().any()


def test_dropout_of_channels_draws_from_the_generator_it_is_given():
    first, second = (
        F.dropout2d(tt.ones(4, 8, 2, 2), generator=tt.Generator().manual_seed(5)) for _ in range(2)
    )
    assert tt.equal(first, second)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: F.dropout1d(tt.ones(2, 3, 4, 5)), r"dropout1d: expected an input .* got \(2, 3, 4, 5\)"),
        (lambda: F.dropout2d(tt.ones(2, 3)), r"dropout2d: expected an input .* got \(2, 3\)"),
        (lambda: F.dropout2d(tt.ones(2, 3, 4, 5), 2.0), "dropout2d: expected a probability p .* got 2.0"),
        (lambda: nn.Dropout2d(-1.0), "Dropout2d: expected a probability p from 0 to 1, got -1.0"),
    ],
)
def test_what_dropout_of_channels_refuses(call, text):
    with pytest.raises(ValueError, match=text):
        call()
