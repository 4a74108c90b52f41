"""Each optimiser, twelve steps with its options, and each schedule over its range, beside PyTorch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import optim

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
schedules, theirs = optim.lr_scheduler, torch.optim.lr_scheduler

SHAPES = [(7, 5), (7,), (1, 7), ()]
OPTIONS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "sgd momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    "sgd nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    "sgd maximize": ("SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    "adam": ("Adam", {}),
    "adam options": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adam amsgrad": ("Adam", {"lr": 0.02, "amsgrad": True}),
    "adam maximize": ("Adam", {"lr": 0.02, "weight_decay": 0.1, "maximize": True}),
    "adamw": ("AdamW", {}),
    "adamw options": ("AdamW", {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.5, "amsgrad": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop options": ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop momentum": ("RMSprop", {"lr": 0.02, "momentum": 0.9}),
    "rmsprop centered": ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.5}),
    "rmsprop maximize": ("RMSprop", {"lr": 0.02, "maximize": True}),
}


def twins(dtype, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    mine = [tt.tensor(v, requires_grad=True) for v in values]
    return mine, [torch.tensor(v, requires_grad=True) for v in values]


def assert_equal(mine, other, tolerance):
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIONS)
def test_twelve_steps(name, dtype):
    kind, options = OPTIONS[name]
    mine, other = twins(dtype)
    ours, reference = getattr(optim, kind)(mine, **options), getattr(torch.optim, kind)(other, **options)
    rng = np.random.default_rng(1)
    for _ in range(12):
        for a, b in zip(mine, other, strict=True):
            g = rng.standard_normal(a.shape).astype(dtype)
            a.grad, b.grad = tt.tensor(g), torch.tensor(g)
        ours.step()
        reference.step()
        assert_equal(mine, other, 1e-11 if dtype == np.float64 else 2e-5)


@pytest.mark.parametrize("name", ["sgd dampening", "adam", "rmsprop momentum"])
def test_parameters_that_have_a_gradient_only_sometimes(name):
    kind, options = OPTIONS[name]
    mine, other = twins(np.float64)
    ours, reference = getattr(optim, kind)(mine, **options), getattr(torch.optim, kind)(other, **options)
    rng = np.random.default_rng(2)
    for _ in range(12):
        for a, b in zip(mine, other, strict=True):
            g = rng.standard_normal(a.shape)
            present = rng.random() < 0.6
            a.grad, b.grad = (tt.tensor(g), torch.tensor(g)) if present else (None, None)
        ours.step()
        reference.step()
        assert_equal(mine, other, 1e-11)
    assert set(ours.state_dict()["state"]) == set(reference.state_dict()["state"])


def test_groups_and_added_groups():
    mine, other = twins(np.float64)
    ours = optim.SGD([{"params": mine[:1]}, {"params": mine[1:2], "lr": 0.5}], lr=0.1, momentum=0.9)
    reference = torch.optim.SGD(
        [{"params": other[:1]}, {"params": other[1:2], "lr": 0.5}], lr=0.1, momentum=0.9
    )
    for step in range(6):
        if step == 3:
            ours.add_param_group({"params": mine[2:], "momentum": 0.0})
            reference.add_param_group({"params": other[2:], "momentum": 0.0})
        for a, b in zip(mine, other, strict=True):
            a.grad, b.grad = tt.tensor(a.detach().numpy() + 1), (b.detach() + 1)
        ours.step()
        reference.step()
        assert_equal(mine, other, 1e-12)


@pytest.mark.parametrize("name", ["sgd momentum", "adam amsgrad", "adamw", "rmsprop centered"])
def test_state_dicts_have_pytorchs_layout(name):
    kind, options = OPTIONS[name]
    mine, other = twins(np.float64)
    ours, reference = getattr(optim, kind)(mine, **options), getattr(torch.optim, kind)(other, **options)
    for a, b in zip(mine, other, strict=True):
        a.grad, b.grad = tt.ones(*a.shape, dtype=np.float64), torch.ones_like(b)
    ours.step()
    reference.step()
    got, expected = ours.state_dict(), reference.state_dict()
    assert got["param_groups"][0]["params"] == expected["param_groups"][0]["params"]
    assert set(got["param_groups"][0]) <= set(expected["param_groups"][0])
    for index, state in expected["state"].items():
        assert set(got["state"][index]) == set(state)
        for key, value in state.items():
            np.testing.assert_allclose(np.asarray(got["state"][index][key]), np.asarray(value), 1e-12)


# --- schedules ------------------------------------------------------------------------------------------

SCHEDULES = {
    "step": lambda m, o: m.StepLR(o, 3, 0.5),
    "multi step": lambda m, o: m.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.9),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 7, 0.001),
    "linear": lambda m, o: m.LinearLR(o, 0.1, 0.8, 6),
    "constant": lambda m, o: m.ConstantLR(o, 0.3, 4),
    "polynomial": lambda m, o: m.PolynomialLR(o, 9, 1.5),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 4, eta_min=0.001),
    "longer restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "lambda": lambda m, o: m.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "lambdas": lambda m, o: m.LambdaLR(o, [lambda epoch: 0.9**epoch, lambda epoch: 1.0]),
    "one cycle": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=20),
    "one cycle linear": lambda m, o: m.OneCycleLR(
        o, 0.5, epochs=4, steps_per_epoch=5, anneal_strategy="linear"
    ),
    "one cycle three": lambda m, o: m.OneCycleLR(o, [0.5, 0.2], 20, three_phase=True, pct_start=0.4),
    "one cycle options": lambda m, o: m.OneCycleLR(
        o, 0.5, 20, pct_start=0.25, base_momentum=0.7, max_momentum=0.9, div_factor=10, final_div_factor=100
    ),
    "one cycle without momentum": lambda m, o: m.OneCycleLR(o, 0.5, 20, cycle_momentum=False),
    "warm-up": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, 12)], milestones=[4]
    ),
    "constant, then restarts": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.5, 10), m.CosineAnnealingWarmRestarts(o, 5), m.PolynomialLR(o, 4)], [3, 14]
    ),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.StepLR(o, 2), m.ExponentialLR(o, 0.5), m.MultiStepLR(o, [3])], milestones=[5, 9]
    ),
}


def optimizers(kind="SGD", groups=2):
    mine, other = twins(np.float64)
    options = {"lr": 0.1, "momentum": 0.9} if kind == "SGD" else {"lr": 0.1}
    result = []
    for library, params in ((optim, mine), (torch.optim, other)):
        parts = [{"params": params[:2]}, {"params": params[2:], "lr": 0.03}][:groups]
        result.append(getattr(library, kind)(parts, **options))
    return result


def settings(optimizer):
    return [[g["lr"], g.get("momentum"), *g.get("betas", ())] for g in optimizer.param_groups]


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_value_by_value(name, kind):
    ours, reference = optimizers(kind)
    mine, other = SCHEDULES[name](schedules, ours), SCHEDULES[name](theirs, reference)
    assert settings(ours) == settings(reference)
    for _ in range(20):
        for optimizer in (ours, reference):
            optimizer.step()
        mine.step()
        other.step()
        assert settings(ours) == settings(reference)
        assert mine.get_last_lr() == other.get_last_lr()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_from_a_state_dict(name):
    straight, reference = optimizers()
    schedule, _ = SCHEDULES[name](schedules, straight), reference
    for _ in range(7):
        straight.step()
        schedule.step()
    saved = copy.deepcopy((straight.state_dict(), schedule.state_dict()))
    resumed, _ = optimizers()
    again = SCHEDULES[name](schedules, resumed)
    resumed.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for _ in range(10):
        for optimizer, s in ((straight, schedule), (resumed, again)):
            optimizer.step()
            s.step()
        assert settings(resumed) == settings(straight)


@pytest.mark.parametrize("longer", [1, 2])
def test_restarts_at_parts_of_an_epoch(longer):
    ours, reference = optimizers()
    mine = schedules.CosineAnnealingWarmRestarts(ours, 3, longer)
    other = theirs.CosineAnnealingWarmRestarts(reference, 3, longer)
    for epoch in [0.25 * i for i in range(50)]:
        for optimizer, schedule in ((ours, mine), (reference, other)):
            optimizer.step()
            schedule.step(epoch)
        assert mine.last_epoch == other.last_epoch
        np.testing.assert_allclose(mine.get_last_lr(), other.get_last_lr(), 1e-12)


def test_two_schedules_multiply():
    ours, reference = optimizers()
    mine = [schedules.ExponentialLR(ours, 0.9), schedules.StepLR(ours, 3)]
    other = [theirs.ExponentialLR(reference, 0.9), theirs.StepLR(reference, 3)]
    for _ in range(10):
        for optimizer in (ours, reference):
            optimizer.step()
        for schedule in (*mine, *other):
            schedule.step()
        assert settings(ours) == settings(reference)


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau(mode, threshold_mode):
    options = {"factor": 0.5, "patience": 2, "threshold": 0.05, "cooldown": 1, "min_lr": [0.01, 0.02]}
    ours, reference = optimizers()
    mine = schedules.ReduceLROnPlateau(ours, mode, threshold_mode=threshold_mode, **options)
    other = theirs.ReduceLROnPlateau(reference, mode, threshold_mode=threshold_mode, **options)
    rng = np.random.default_rng(3)
    for step in range(40):
        measure = 1 / (1 + step) + 0.3 * rng.random()
        mine.step(measure)
        other.step(measure)
        assert settings(ours) == settings(reference)
        assert mine.num_bad_epochs == other.num_bad_epochs
