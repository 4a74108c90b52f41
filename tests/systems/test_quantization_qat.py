"""Training through rounding, and the int8 model that it was for."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.models import MLP, LeNet
from tinytorch.systems.quantization import (
    FakeQuantize,
    QuantizedLinear,
    UncalibratedModel,
    calibrate,
    convert,
    prepare_qat,
    quantize_static,
)


@pytest.fixture(autouse=True)
def seeded():
    tt.manual_seed(0)


def blobs(n=120, classes=3, width=6):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    centres = 2 * rng.standard_normal((classes, width))
    return tt.Tensor((centres[labels] + rng.standard_normal((n, width))).astype(np.float32)), tt.Tensor(
        labels
    )


def fit(model, x, y, steps=40, lr=0.02):
    optimizer, losses = optim.Adam(model.parameters(), lr=lr), []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_it_learns_and_its_int8_model_says_what_it_says():
    x, y = blobs()
    aware = prepare_qat(MLP(6, (16, 8), 3))
    losses = fit(aware, x, y)
    assert losses[-1] < 0.5 * losses[0]
    small = convert(aware)
    assert aware.training
    aware.eval()
    with tt.no_grad():
        fake, real = aware(x).numpy(), small(x).numpy()
    step = np.abs(fake).max() / 255
    assert np.quantile(np.abs(fake - real), 0.95) < step
    assert np.abs(fake - real).max() < 4 * step
    assert (fake.argmax(1) == real.argmax(1)).mean() > 0.98
    assert isinstance(small.output, QuantizedLinear)
    assert set(small.state_dict()) == {
        f"{layer}.{name}" for layer in ("hidden.1", "hidden.3", "output")
        for name in ("codes", "scale", "bias", "activation")
    }  # fmt: skip


def test_it_repairs_what_rounding_broke():
    """Weights of very different sizes in one row: the small ones round to nothing, until they are trained."""
    x, y = blobs()
    model = MLP(6, (16,), 3)
    fit(model, x, y)
    for row in model.hidden[1].weight._data:
        row[0] = 200 * np.abs(row).max()  # takes the scale for itself
    x._data[:, 0] = 0  # and has no effect
    with tt.no_grad():
        wanted = nn.functional.cross_entropy(model(x), y).item()
        broken = nn.functional.cross_entropy(quantize_static(model, [x])(x), y).item()
    aware = prepare_qat(model)
    fit(aware, x, y, steps=60)
    with tt.no_grad():
        repaired = nn.functional.cross_entropy(convert(aware)(x), y).item()
    assert broken > 1.5 * wanted
    assert repaired < 0.5 * (broken + wanted)


@pytest.mark.nojit_ok
def test_convolutions_and_batch_norms():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12, 2),
    )  # fmt: skip
    x = tt.rand(6, 1, 4, 4)
    model(x)
    aware = prepare_qat(model)
    assert model.training
    assert [type(layer).__name__ for layer in aware] == [
        "FakeQuantized",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "FakeQuantized",
    ]
    loss = (aware(x) ** 2).mean()
    loss.backward()
    for parameter in aware.parameters():
        assert parameter.grad is not None
        assert np.isfinite(parameter.grad.numpy()).all()
        assert parameter.grad.numpy().any()
    small = convert(aware)
    aware.eval()
    with tt.no_grad():
        np.testing.assert_allclose(small(x).numpy(), aware(x).numpy(), atol=0.02)


@pytest.mark.nojit_ok
def test_it_starts_from_calibration_too_and_keeps_ranges_in_evaluation():
    model, x = LeNet(1, 4, (2, 2), 4), tt.rand(3, 1, 4, 4)
    aware = prepare_qat(model, "minmax").eval()
    with pytest.raises(UncalibratedModel, match="nothing was observed yet"):
        aware(x)
    calibrate(aware, [x])
    high = aware.features[0].observer.high.item()
    aware(3 * x)
    assert aware.features[0].observer.high.item() == high
    aware.train()
    aware(3 * x)
    assert aware.features[0].observer.high.item() == np.float32(3 * high)


@pytest.mark.nojit_ok
def test_its_state_can_be_saved():
    x = tt.rand(5, 6)
    first, other = prepare_qat(MLP(6, (4,), 2)), prepare_qat(MLP(6, (4,), 2))
    first(x)
    other.load_state_dict(first.state_dict())
    first.eval()
    other.eval()
    assert np.array_equal(first(x).detach().numpy(), other(x).detach().numpy())


@pytest.mark.nojit_ok
def test_fake_quantisation_as_a_layer():
    layer = FakeQuantize("minmax")
    x = tt.tensor([-0.5, 0.26, 2.0], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    layer.eval()
    x.grad = None
    out = layer(x * 2)
    out.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0]
    assert abs(out.max().item() - 2.0) < 0.01


@pytest.mark.parity
@pytest.mark.nojit_ok
def test_weights_are_rounded_as_torch_rounds_them():
    torch = pytest.importorskip("torch")
    layer = nn.Linear(5, 4)
    aware = prepare_qat(layer)
    x = tt.rand(3, 5)
    got = aware(x).detach().numpy()
    p = aware.observer.qparams()
    weight = torch.from_numpy(layer.weight.detach().numpy().copy())
    scale = weight.abs().max(1).values / 127
    rounded = torch.fake_quantize_per_channel_affine(
        weight, scale, torch.zeros(4, dtype=torch.int32), 0, -127, 127
    )
    inputs = torch.fake_quantize_per_tensor_affine(
        torch.from_numpy(x.numpy()), p.scale.item(), p.zero.item(), 0, 255
    )
    wanted = torch.nn.functional.linear(inputs, rounded, torch.from_numpy(layer.bias.detach().numpy().copy()))
    np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-6)
