"""nn.functional takes PyTorch's arguments, by position and by name, and gives PyTorch's results."""

from __future__ import annotations

import inspect
import math
import warnings

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn import functional as F

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
TF = torch.nn.functional

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


X, W, B, P = normal(3, 4), normal(2, 4), normal(2), RNG.uniform(0.1, 0.9, (3, 4))
LOG_P = np.log(RNG.dirichlet(np.ones(4), 3))
LABELS = np.array([0, 3, 1])
WEIGHT = RNG.uniform(0.5, 2.0, 4)

CALLS = {  # function of a namespace F, and of the arrays
    "linear": (lambda F, x, w: F.linear(x, w), X, W),
    "linear_names": (lambda F, x, w, b: F.linear(input=x, weight=w, bias=b), X, W, B),
    "relu": (lambda F, x: F.relu(x + 0.0, True), X),
    "relu_names": (lambda F, x: F.relu(input=x, inplace=False), X),
    "leaky_relu": (lambda F, x: F.leaky_relu(x + 0.0, 0.2, True), X),
    "leaky_relu_names": (lambda F, x: F.leaky_relu(input=x, negative_slope=0.2), X),
    "elu": (lambda F, x: F.elu(x, 0.5, inplace=False), X),
    "silu": (lambda F, x: F.silu(input=x, inplace=False), X),
    "gelu": (lambda F, x: F.gelu(input=x, approximate="tanh"), X),
    "softplus": (lambda F, x: F.softplus(x, 2, 3), X),
    "sigmoid": (lambda F, x: F.sigmoid(input=x), X),
    "tanh": (lambda F, x: F.tanh(input=x), X),
    "softmax": (lambda F, x: F.softmax(x, 1), X),
    "softmax_name": (lambda F, x: F.softmax(input=x, dim=0), X),
    "log_softmax": (lambda F, x: F.log_softmax(x, dim=-1), X),
    "dropout": (lambda F, x: F.dropout(x, 0.5, False, False), X),
    "pad": (lambda F, x: F.pad(x, (1, 2)), X),
    "pad_value": (lambda F, x: F.pad(x, [1, 0, 0, -1], "constant", 2.0), X),
    "pad_reflect": (lambda F, x: F.pad(x, (1, 2), "reflect"), X),
    "pad_replicate": (lambda F, x: F.pad(input=x, pad=[3, 0], mode="replicate", value=0), X),
    "pad_circular": (lambda F, x: F.pad(x[None, None], (4, 1, -1, 2), "circular"), X),
    "interpolate": (lambda F, x: F.interpolate(x[None], None, 1.5), X),
    "interpolate_names": (
        lambda F, x: F.interpolate(
            input=x[None, None], size=(5, 3), scale_factor=None, mode="bilinear", align_corners=True,
            recompute_scale_factor=None, antialias=False,
        ), X,
    ),
    "dropout1d": (lambda F, x: F.dropout1d(x, 0.5, False, False), X),
    "dropout2d": (lambda F, x: F.dropout2d(input=x[None, None], p=0.0, training=True, inplace=False), X),
    "pad_names": (lambda F, x: F.pad(input=x, pad=(0, 1), mode="constant", value=None), X),
    "mse_loss": (lambda F, x, t: F.mse_loss(input=x, target=t, reduction="sum"), X, P),
    "l1_loss": (lambda F, x, t: F.l1_loss(input=x, target=t), X, P),
    "smooth_l1_loss": (lambda F, x, t: F.smooth_l1_loss(input=x, target=t, beta=0.5), X, P),
    "huber_loss": (lambda F, x, t: F.huber_loss(x, t, "none", 0.5), X, P),
    "binary_cross_entropy": (lambda F, x, t: F.binary_cross_entropy(input=x, target=t), P, P[::-1].copy()),
    "with_logits": (
        lambda F, x, t: F.binary_cross_entropy_with_logits(x, target=t, pos_weight=x.new_tensor(WEIGHT)), X, P
    ),
    "cross_entropy": (
        lambda F, x, t: F.cross_entropy(input=x, target=t, weight=x.new_tensor(WEIGHT), label_smoothing=0.1),
        X, LABELS,
    ),
    "nll_loss": (
        lambda F, x, t: F.nll_loss(x, t, x.new_tensor(WEIGHT), ignore_index=1, reduction="sum"), X, LABELS
    ),
    "kl_div": (lambda F, x, t: F.kl_div(input=x, target=t, reduction="batchmean"), LOG_P, P),
    "embedding": (lambda F, w, i: F.embedding(i, w, padding_idx=-1), W, np.array([[0, 1], [1, 1]])),
    "normalize": (lambda F, x: F.normalize(x, 3.0, 0), X),
    "normalize_inf": (lambda F, x: F.normalize(x, p=math.inf), X),
    "normalize_1": (lambda F, x: F.normalize(x, p=1, dim=-1), X),
    "normalize_zeros": (lambda F, x: F.normalize(x), X * np.array([[1.0], [0.0], [1e-20]])),
    "normalize_inf_zeros": (lambda F, x: F.normalize(x, math.inf), X * np.array([[1.0], [0.0], [1.0]])),
    "cosine_similarity": (lambda F, a, b: F.cosine_similarity(a, b), X, P),
    "cosine_similarity_zeros": (
        lambda F, a, b: F.cosine_similarity(a, b, dim=0), X * np.array([1.0, 0.0, 1.0, 1.0]), P[:1]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    call, *arrays = CALLS[name]
    ours = [tt.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, expected = call(F, *ours), call(TF, *theirs)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-12)
    g = normal(*y.shape)
    y.backward(tt.tensor(g))
    expected.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-9, 1e-12)


@pytest.mark.parametrize(
    "name",
    ["relu", "leaky_relu", "elu", "silu", "pad", "softmax", "log_softmax", "huber_loss", "interpolate"],
)
def test_the_order_of_the_arguments_is_pytorchs(name):
    ours, theirs = (list(inspect.signature(getattr(module, name)).parameters) for module in (F, TF))
    assert ours == theirs[: len(ours)]


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_converts_first(name):
    ours = getattr(F, name)(tt.tensor([1, 2]), dim=0, dtype=tt.float64)
    theirs = getattr(TF, name)(torch.tensor([1, 2]), dim=0, dtype=torch.float64)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 2)])
def test_softmax_without_a_dimension(name, shape):
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[name]
    x = normal(*shape)
    text = f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X"
    with pytest.warns(UserWarning, match=text) as caught:
        ours = [getattr(F, name)(tt.tensor(x)), getattr(nn, kind)()(tt.tensor(x))]
    assert [w.filename for w in caught] == [__file__] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(TF, name)(torch.tensor(x))
    for y in ours:
        np.testing.assert_allclose(y.numpy(), expected.numpy(), 1e-12)
