"""Distillation: the loss against its formula, PyTorch and finite differences; the loop; hints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch import nn
from tinytorch.autograd import gradcheck
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.models import MLP
from tinytorch.systems import DistillationLoss, captured, distill, feature_loss, prune_magnitude, sparsity


def _naive(student, teacher, labels, temperature, alpha):
    def softmax(x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    p, q = softmax(teacher / temperature), softmax(student / temperature)
    soft = (p * (np.log(p) - np.log(q))).sum(1).mean()
    hard = -np.log(softmax(student))[np.arange(len(labels)), labels].mean()
    return alpha * temperature**2 * soft + (1 - alpha) * hard


@given(n=st.integers(1, 5), classes=st.integers(1, 6), temperature=st.floats(0.5, 20), alpha=st.floats(0, 1))
def test_the_formula(n, classes, temperature, alpha):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, n, classes)) * 3
    labels = rng.integers(0, classes, n)
    got = DistillationLoss(temperature, alpha)(tt.tensor(student), tt.tensor(teacher), tt.tensor(labels))
    np.testing.assert_allclose(got.item(), _naive(student, teacher, labels, temperature, alpha), atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_gradients(alpha):
    student = tt.randn(3, 4, dtype=tt.float64, requires_grad=True)
    teacher, labels = tt.randn(3, 4, dtype=tt.float64), tt.tensor([0, 3, 1])
    assert gradcheck(lambda s: DistillationLoss(3.0, alpha)(s, teacher, labels), (student,))


def test_the_teacher_gets_no_gradient():
    student, teacher = (tt.randn(3, 4, requires_grad=True) for _ in range(2))
    DistillationLoss()(student, teacher, tt.tensor([0, 3, 1])).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_the_temperature_leaves_the_gradient_its_size():
    """For high T the gradient tends to (student - teacher) / classes, each less its mean, whatever T is."""
    teacher, student = tt.randn(1, 5, dtype=tt.float64), tt.randn(1, 5, dtype=tt.float64, requires_grad=True)
    DistillationLoss(1000.0, 1.0)(student, teacher).backward()
    difference = (student - teacher).detach().numpy()
    np.testing.assert_allclose(student.grad.numpy(), (difference - difference.mean()) / 5, atol=2e-3)


def test_sequences_are_examples_side_by_side():
    student, teacher = tt.randn(2, 3, 5), tt.randn(2, 3, 5)
    labels = tt.tensor([[0, 1, 2], [3, 4, 0]])
    loss = DistillationLoss(2.0, 0.5)
    flat = loss(student.reshape(6, 5), teacher.reshape(6, 5), labels.reshape(6))
    assert loss(student, teacher, labels).item() == flat.item()


@pytest.mark.parity
def test_parity_with_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 6, 4))
    labels = rng.integers(0, 4, 6)
    ours = tt.tensor(student, requires_grad=True)
    value = DistillationLoss(3.0, 0.8)(ours, tt.tensor(teacher), tt.tensor(labels))
    value.backward()
    theirs = torch.tensor(student, requires_grad=True)
    functional = torch.nn.functional
    soft = functional.kl_div(
        functional.log_softmax(theirs / 3, 1),
        functional.softmax(torch.tensor(teacher) / 3, 1),
        reduction="batchmean",
    )
    expected = 0.8 * 9 * soft + 0.2 * functional.cross_entropy(theirs, torch.tensor(labels))
    expected.backward()
    assert value.item() == pytest.approx(expected.item())
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


def _models_and_loader():
    tt.manual_seed(0)
    x = tt.randn(64, 6)
    loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).to(np.int64)), batch_size=16, shuffle=True)
    return MLP(6, (4,), 2), MLP(6, (16, 8), 2), loader, x


def test_a_student_becomes_like_its_teacher():
    student, teacher, loader, x = _models_and_loader()
    teacher.train()
    before = [p.data.copy() for p in teacher.parameters()]
    optimizer = tt.optim.AdamW(student.parameters(), lr=0.03)
    schedule = tt.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.03, total_steps=60)
    history = distill(
        student, teacher, loader, optimizer, epochs=15, loss=DistillationLoss(2.0, 1.0), schedule=schedule
    )
    assert len(history) == 15
    assert history[-1] < 0.2 * history[0]
    assert all((p.data == b).all() for p, b in zip(teacher.parameters(), before, strict=True))
    assert all(p.grad is None for p in teacher.parameters())
    assert all(module.training for module in (*teacher.modules(), *student.modules()))
    assert schedule.last_epoch == 60
    difference = student(x) - teacher(x)
    assert (difference - difference.mean(1, keepdim=True)).abs().mean().item() < 0.1


def test_hints_and_projections_are_trained_too():
    student, teacher, loader, x = _models_and_loader()
    projection = nn.Linear(4, 8)
    optimizer = tt.optim.AdamW([*student.parameters(), *projection.parameters()], lr=0.03)
    with captured(teacher, ["hidden"]) as shown, captured(student, ["hidden"]) as own:
        teacher(x), student(x)
        before = feature_loss(own["hidden"], shown["hidden"], projection).item()
    distill(
        student, teacher, loader, optimizer, epochs=10, features={"hidden": "hidden"},
        projections={"hidden": projection}, feature_weight=10.0,
    )  # fmt: skip
    with captured(teacher, ["hidden"]) as shown, captured(student, ["hidden"]) as own:
        teacher(x), student(x)
        after = feature_loss(own["hidden"], shown["hidden"], projection).item()
    assert after < 0.5 * before
    assert all(module._hooks is None for model in (student, teacher) for module in model.modules())


def test_inputs_are_prepared_and_zeros_kept():
    student, teacher, loader, _ = _models_and_loader()
    pruner = prune_magnitude(student, 0.5)
    seen = []

    def prepare(x):
        seen.append(x.shape)
        return x * 2

    optimizer = tt.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
    distill(student, teacher, loader, optimizer, epochs=2, prepare=prepare, after_step=pruner.apply)
    assert seen == [(16, 6)] * 8
    assert sparsity(student) == 0.5


def test_hint_is_the_mean_square_and_the_teacher_is_given():
    student, teacher = (tt.randn(3, 4, requires_grad=True) for _ in range(2))
    loss = feature_loss(student, teacher)
    loss.backward()
    np.testing.assert_allclose(
        loss.item(), np.square(student.detach().numpy() - teacher.detach().numpy()).mean(), rtol=1e-6
    )
    assert teacher.grad is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DistillationLoss(0.0), "expected a temperature above 0, got 0.0"),
        (lambda: DistillationLoss(2.0, 1.5), "expected alpha from 0 to 1, got 1.5"),
        (
            lambda: DistillationLoss()(tt.ones(2, 3), tt.ones(2, 4)),
            r"one shape, got \(2, 3\) of the student and \(2, 4\) of the teacher",
        ),
        (lambda: DistillationLoss()(tt.ones(3), tt.ones(3)), r"expected logits \(..., classes\)"),
        (lambda: DistillationLoss()(tt.ones(2, 3), tt.ones(2, 3)), "expected labels for alpha=0.9, got none"),
        (
            lambda: feature_loss(tt.ones(2, 3), tt.ones(2, 4)),
            r"got \(2, 3\) of the student and \(2, 4\) of the teacher. Give a projection",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refusals_of_the_loop():
    student, teacher, loader, _ = _models_and_loader()
    optimizer = tt.optim.SGD(student.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"projections for \['hidden'\], which are not among the features"):
        distill(student, teacher, loader, optimizer, epochs=1, projections={"hidden": nn.Linear(4, 8)})
    with pytest.raises(ValueError, match="the loader gave no batches"):
        distill(student, teacher, [], optimizer, epochs=1)
    with pytest.raises(AttributeError, match="MLP has no module 'x'"):
        distill(student, teacher, loader, optimizer, epochs=1, features={"x": "hidden"})
