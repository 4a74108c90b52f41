"""Every layer and every loss, forward and backward, beside PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)


def compare(ours, theirs, *arrays, tolerance=1e-12):
    """Values, and gradients to every floating point argument, of two functions of the same arrays."""
    mine = [tt.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, expected = ours(*mine), theirs(*other)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), tolerance, tolerance)
    if y.requires_grad:
        g = RNG.standard_normal(y.shape)
        y.backward(tt.tensor(g))
        expected.backward(torch.tensor(g))
        for a, b in zip(mine, other, strict=True):
            if b.grad is not None:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), tolerance, tolerance)


def normal(*shape):
    return RNG.standard_normal(shape)


LAYERS = {
    "relu": (nn.ReLU(), torch.nn.ReLU()),
    "leaky_relu": (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    "sigmoid": (nn.Sigmoid(), torch.nn.Sigmoid()),
    "tanh": (nn.Tanh(), torch.nn.Tanh()),
    "gelu": (nn.GELU(), torch.nn.GELU()),
    "gelu_tanh": (nn.GELU("tanh"), torch.nn.GELU("tanh")),
    "silu": (nn.SiLU(), torch.nn.SiLU()),
    "softplus": (nn.Softplus(2.0, 3.0), torch.nn.Softplus(2.0, 3.0)),
    "elu": (nn.ELU(0.7), torch.nn.ELU(0.7)),
    "softmax": (nn.Softmax(1), torch.nn.Softmax(1)),
    "softmax_last": (nn.Softmax(-1), torch.nn.Softmax(-1)),
    "log_softmax": (nn.LogSoftmax(0), torch.nn.LogSoftmax(0)),
    "flatten": (nn.Flatten(0, 1), torch.nn.Flatten(0, 1)),
    "unflatten": (nn.Unflatten(1, (2, 2)), torch.nn.Unflatten(1, (2, 2))),
    "identity": (nn.Identity(), torch.nn.Identity()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_parameters(name):
    ours, theirs = LAYERS[name]
    compare(ours, theirs, 2.0 * normal(3, 4, 2))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5)])
def test_linear(shape, bias):
    ours, theirs = nn.Linear(5, 3, bias, dtype=np.float64), torch.nn.Linear(5, 3, bias, dtype=torch.float64)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    compare(ours, theirs, normal(*shape))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.grad.dtype == np.float64
        assert a.shape == tuple(b.shape)


@pytest.mark.parametrize("padding", [None, 1, -1])
def test_embedding(padding):
    indices = RNG.integers(0, 6, (4, 3))
    theirs = torch.nn.Embedding(6, 2, padding_idx=padding, dtype=torch.float64)
    ours = nn.Embedding(6, 2, padding_idx=padding, dtype=np.float64)
    ours.load_state_dict({"weight": theirs.weight.detach().numpy()})
    g = normal(4, 3, 2)
    ours(tt.tensor(indices)).backward(tt.tensor(g))
    theirs(torch.tensor(indices)).backward(torch.tensor(g))
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), 1e-12)


REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"])
def test_regression_losses(name, reduction):
    ours, theirs = getattr(nn, name)(reduction=reduction), getattr(torch.nn, name)(reduction=reduction)
    compare(ours, theirs, 2 * normal(4, 3), normal(4, 3))


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_smooth_l1_beta(beta):
    compare(nn.SmoothL1Loss(beta=beta), torch.nn.SmoothL1Loss(beta=beta), 2 * normal(4, 3), normal(4, 3))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_losses(reduction, weighted):
    weight, positive = (RNG.uniform(0.5, 2.0, 3) if weighted else None for _ in range(2))
    p, t = RNG.uniform(0.01, 0.99, (2, 4, 3))

    def both(values, library):
        return None if values is None else library.tensor(values)

    compare(
        nn.BCELoss(both(weight, tt), reduction=reduction),
        torch.nn.BCELoss(both(weight, torch), reduction=reduction),
        p, t, tolerance=1e-9,
    )  # fmt: skip
    compare(
        nn.BCEWithLogitsLoss(both(weight, tt), reduction=reduction, pos_weight=both(positive, tt)),
        torch.nn.BCEWithLogitsLoss(both(weight, torch), reduction=reduction, pos_weight=both(positive,
        torch)), 5 * normal(4, 3), t, tolerance=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy(reduction, ignore_index, weighted, smoothing):
    weight = RNG.uniform(0.5, 2.0, 4) if weighted else None
    labels = np.array([0, 2, 3, 1, 2, 3])
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": smoothing}
    ours = nn.CrossEntropyLoss(None if weight is None else tt.tensor(weight), **options)
    theirs = torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), **options)
    compare(lambda x: ours(x, tt.tensor(labels)), lambda x: theirs(x, torch.tensor(labels)), 3 * normal(6, 4))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_more_dimensions_and_of_probabilities(reduction):
    ours, theirs = nn.CrossEntropyLoss(reduction=reduction), torch.nn.CrossEntropyLoss(reduction=reduction)
    labels = RNG.integers(0, 4, (2, 5))
    compare(lambda x: ours(x, tt.tensor(labels)), lambda x: theirs(x, torch.tensor(labels)), normal(2, 4, 5))
    target = RNG.dirichlet(np.ones(4), 6)
    compare(ours, theirs, normal(6, 4), target)


@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll(reduction, weighted, ignore_index):
    weight = RNG.uniform(0.5, 2.0, 4) if weighted else None
    labels = np.array([0, 2, 3, 1, 2, 3])
    options = {"ignore_index": ignore_index, "reduction": reduction}
    ours = nn.NLLLoss(None if weight is None else tt.tensor(weight), **options)
    theirs = torch.nn.NLLLoss(None if weight is None else torch.tensor(weight), **options)
    compare(lambda x: ours(x, tt.tensor(labels)), lambda x: theirs(x, torch.tensor(labels)), normal(6, 4))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_without_a_batch(reduction):
    ours, theirs = nn.NLLLoss(reduction=reduction), torch.nn.NLLLoss(reduction=reduction)
    compare(lambda x: ours(x, tt.tensor(1)), lambda x: theirs(x, torch.tensor(1)), normal(4))
    assert ours(tt.randn(4), tt.tensor([1])).shape == ()
    with pytest.raises(ValueError, match=r"expected one label, of shape \(\), for input \(4,\), got \(2,\)"):
        ours(tt.randn(4), tt.tensor([1, 2]))


@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
def test_kl_divergence(reduction, log_target):
    x, target = (np.log(RNG.dirichlet(np.ones(4), 6)) for _ in range(2))
    ours = nn.KLDivLoss(reduction, log_target)
    theirs = torch.nn.KLDivLoss(reduction=reduction, log_target=log_target)
    compare(ours, theirs, x, target if log_target else np.exp(target))


def test_clip_grad_norm():
    gradients = [normal(3, 4), normal(5)]
    ours = [nn.Parameter(tt.zeros(*g.shape, dtype=np.float64)) for g in gradients]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
    for norm_type in (0, 1.0, 2.0, 3.0, float("inf"), -float("inf")):
        for a, b, g in zip(ours, theirs, gradients, strict=True):
            a.grad, b.grad = tt.tensor(g), torch.tensor(g)
        norm = nn.utils.clip_grad_norm_(ours, 0.7, norm_type)
        expected = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
        assert norm.item() == pytest.approx(expected.item(), rel=1e-12)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-12)


NAMES = ["uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"]


@pytest.mark.parametrize("name", NAMES)
def test_the_spread_of_initial_values(name):
    tt.manual_seed(0)
    torch.manual_seed(0)
    shape = (128, 32, 3, 3)
    ours = getattr(nn.init, name)(tt.zeros(*shape)).numpy().astype(np.float64)
    theirs = getattr(torch.nn.init, name)(torch.zeros(shape)).numpy().astype(np.float64)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.02 * theirs.std())
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)


def test_module_names_are_pytorchs():
    ours = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Sequential(torch.nn.Linear(4, 2))
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
