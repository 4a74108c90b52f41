"""Convolution, pooling and normalisation layers beside PyTorch's: values, gradients, weights both ways."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


LAYERS = {
    "conv2d": ("Conv2d", (4, 6, 3), {"padding": 1}, (2, 4, 7, 6)),
    "conv2d same": ("Conv2d", (2, 3, (4, 3)), {"padding": "same", "dilation": 2}, (2, 2, 9, 8)),
    "conv2d valid": ("Conv2d", (2, 3, 3), {"padding": "valid", "bias": False}, (1, 2, 5, 5)),
    "conv2d strided": (
        "Conv2d", (4, 6, (3, 2)), {"stride": (2, 3), "padding": (1, 0), "groups": 2}, (2, 4, 7, 9),
    ),
    "conv2d depthwise": ("Conv2d", (4, 8, 3), {"groups": 4, "padding": 1}, (2, 4, 5, 5)),
    "conv1d": ("Conv1d", (3, 4, 3), {"stride": 2, "padding": 1}, (2, 3, 9)),
    "conv1d same": ("Conv1d", (3, 4, 4), {"padding": "same"}, (2, 3, 9)),
    "transpose": (
        "ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 5, 4),
    ),
    "transpose groups": (
        "ConvTranspose2d", (4, 6, (2, 3)), {"stride": (1, 2), "groups": 2, "dilation": 2, "bias": False},
        (1, 4, 4, 4),
    ),
    "max_pool2d": ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, (2, 3, 7, 8)),
    "max_pool2d ceil": ("MaxPool2d", ((3, 2),), {"stride": (2, 2), "ceil_mode": True}, (1, 2, 6, 7)),
    "max_pool2d dilated": ("MaxPool2d", (2,), {"dilation": 2, "padding": 1}, (1, 2, 6, 7)),
    "max_pool1d": ("MaxPool1d", (3,), {"padding": 1, "stride": 2}, (2, 3, 8)),
    "avg_pool2d": ("AvgPool2d", (3,), {"padding": 1, "stride": 2, "ceil_mode": True}, (2, 3, 7, 8)),
    "avg_pool2d inside": ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, (2, 3, 7, 8)),
    "adaptive_avg": ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    "adaptive_max": ("AdaptiveMaxPool2d", ((2, 3),), {}, (2, 3, 7, 5)),
    "batch_norm2d": ("BatchNorm2d", (3,), {}, (4, 3, 5, 6)),
    "batch_norm2d plain": ("BatchNorm2d", (3,), {"affine": False, "momentum": None}, (4, 3, 5, 6)),
    "batch_norm2d untracked": ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 5, 6)),
    "batch_norm1d": ("BatchNorm1d", (4,), {"eps": 0.1}, (6, 4)),
    "batch_norm1d signals": ("BatchNorm1d", (4,), {"momentum": 0.3}, (6, 4, 3)),
    "layer_norm": ("LayerNorm", ((4, 5),), {}, (3, 4, 5)),
    "layer_norm plain": ("LayerNorm", (5,), {"elementwise_affine": False, "eps": 0.1}, (3, 4, 5)),
    "rms_norm": ("RMSNorm", (5,), {}, (3, 4, 5)),
    "group_norm": ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
}  # fmt: skip


def both(name):
    kind, args, options, shape = LAYERS[name]
    theirs = getattr(torch.nn, kind)(*args, **options).double()
    ours = getattr(nn, kind)(*args, **options, **({"dtype": np.float64} if theirs.state_dict() else {}))
    return ours, theirs, shape


@pytest.mark.filterwarnings(
    "ignore:Using padding='same' with even kernel"
)  # PyTorch's, about a copy it makes
@pytest.mark.parametrize("name", LAYERS)
def test_like_torch(name):
    ours, theirs, shape = both(name)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.from_numpy(normal(*p.shape)))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: t.numpy() for key, t in theirs.state_dict().items()})
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        x = normal(*shape) + 0.5
        mine, other = tt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(mine), theirs(other)
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-10)
        g = normal(*y.shape)
        y.backward(tt.tensor(g))
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-8, atol=1e-9)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-8)
    for key, value in theirs.state_dict().items():  # running statistics among them
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-10)


@pytest.mark.parametrize("kind", ["Conv2d", "Conv1d", "ConvTranspose2d"])
def test_weights_start_as_in_torch(kind):
    """Uniform up to 1 / sqrt(fan-in), which a transposed convolution takes from its weight's second axis."""
    tt.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, kind)(40, 30, 3), getattr(torch.nn, kind)(40, 30, 3)
    bound = theirs.weight[0].numel() ** -0.5
    for name, p in theirs.named_parameters():
        mine = ours.get_parameter(name).data
        assert mine.shape == tuple(p.shape)
        for largest in (np.abs(mine).max(), p.abs().max().item()):
            assert 0.8 * bound < largest <= bound * (1 + 1e-6)
        assert mine.min() < 0 < mine.max()


def test_weights_go_both_ways_through_safetensors(tmp_path):
    from safetensors.torch import load_file, save_file

    def network(nn):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3, groups=1), nn.GroupNorm(1, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(5, 2),
        )  # fmt: skip

    ours, theirs = network(nn), network(torch.nn)
    x = normal(4, 3, 8, 8).astype(np.float32)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(tt.load(tmp_path / "theirs.safetensors"))
    expected = theirs.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours.eval()(tt.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    other = network(nn)
    tt.save(other.state_dict(), tmp_path / "ours.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    expected = other.eval()(tt.tensor(x)).detach().numpy()
    np.testing.assert_allclose(theirs(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_max_pool_returns_the_indices_of_torch():
    x = normal(2, 3, 7, 6)
    values, places = tt.nn.functional.max_pool2d(tt.tensor(x), 3, 2, 1, return_indices=True)
    expected, indices = torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), expected.numpy())
    np.testing.assert_array_equal(places.numpy(), indices.numpy())
