"""Schedules without PyTorch beside them: known values, order of calls, state, errors."""

from __future__ import annotations

import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

pytestmark = pytest.mark.nojit_ok


def sgd(lr=1.0, **options):
    return optim.SGD([nn.Parameter(tt.zeros(1))], lr=lr, **options)


def run(optimizer, schedule, steps):
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
        (lambda o: MultiStepLR(o, [1, 3], 0.5), [1, 0.5, 0.5, 0.25, 0.25]),
        (lambda o: ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (lambda o: CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1]),
        (lambda o: LinearLR(o, 0.5, total_iters=2), [0.5, 0.75, 1, 1, 1]),
        (lambda o: ConstantLR(o, 0.5, 2), [0.5, 0.5, 1, 1, 1]),
        (lambda o: PolynomialLR(o, 2, 2), [1, 0.25, 0, 0, 0]),
        (lambda o: CosineAnnealingWarmRestarts(o, 2), [1, 0.5, 1, 0.5, 1]),
        (lambda o: LambdaLR(o, lambda step: step), [0, 1, 2, 3, 4]),
        (
            lambda o: SequentialLR(o, [LinearLR(o, 0.5, total_iters=2), ExponentialLR(o, 0.5)], [2]),
            [0.5, 0.75, 1, 0.5, 0.25],
        ),
    ],
)
def test_values(make, expected):
    optimizer = sgd()
    assert run(optimizer, make(optimizer), 4) == pytest.approx(expected, abs=1e-12)


def test_one_cycle_goes_up_and_down_and_the_momentum_the_other_way():
    optimizer = sgd(momentum=0.9)
    schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=0.6)
    momenta = [optimizer.param_groups[0]["momentum"]]
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(10):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
    peak = max(range(11), key=rates.__getitem__)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] == pytest.approx(1 / 25e4)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert momenta[0] == pytest.approx(0.95)
    assert momenta[-1] == pytest.approx(0.95)
    assert momenta.index(min(momenta)) == peak


def test_one_cycle_ends():
    optimizer = sgd()
    schedule = OneCycleLR(optimizer, 1.0, total_steps=2)
    run(optimizer, schedule, 2)
    with pytest.raises(ValueError, match="step 3 is beyond the cycle of 2 steps"):
        schedule.step()


def test_one_cycle_of_few_steps():
    for total in range(1, 8):
        optimizer = sgd()
        rates = run(optimizer, OneCycleLR(optimizer, 1.0, total_steps=total), total - 1)
        assert all(0 < rate <= 1.0 for rate in rates)


def test_plateau_waits_reduces_and_stops():
    optimizer = sgd()
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.25)
    rates = []
    for loss in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]:
        schedule.step(tt.tensor(loss))
        rates.append(schedule.get_last_lr()[0])
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]
    other = ReduceLROnPlateau(sgd())
    other.load_state_dict(schedule.state_dict())
    assert other.best == 0.5
    assert other.num_bad_epochs == 0


def test_a_schedule_before_the_optimizer_warns():
    schedule = StepLR(sgd(), 1)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) was called before optimizer.step\(\)"):
        schedule.step()


def test_last_epoch_goes_on():
    optimizer = sgd()
    rates = run(optimizer, CosineAnnealingLR(optimizer, 10), 6)
    other = sgd()
    other.load_state_dict(optimizer.state_dict())
    schedule = CosineAnnealingLR(other, 10, last_epoch=5)
    assert schedule.last_epoch == 6
    assert other.param_groups[0]["lr"] == pytest.approx(rates[6])
    with pytest.raises(KeyError, match=r"last_epoch=3 goes on with a schedule, but param_groups\[0\] has no"):
        StepLR(sgd(), 1, last_epoch=3)


def test_state_of_lambdas():
    class Warm:
        def __init__(self):
            self.length = 4

        def __call__(self, step):
            return step / self.length

    schedule = LambdaLR(sgd(), Warm())
    state = schedule.state_dict()
    assert state["lr_lambdas"] == [{"length": 4}]
    state["lr_lambdas"] = [{"length": 8}]
    schedule.load_state_dict(state)
    assert schedule.lr_lambdas[0].length == 8
    assert LambdaLR(sgd(), lambda step: 1.0).state_dict()["lr_lambdas"] == [None]


def test_nested_sequences():
    optimizer = sgd()
    inner = SequentialLR(
        optimizer, [LinearLR(optimizer, 0.5, total_iters=1), ExponentialLR(optimizer, 0.5)], [1]
    )
    outer = SequentialLR(optimizer, [ExponentialLR(optimizer, 0.1), inner], [1])
    assert run(optimizer, outer, 3) == pytest.approx([1.0, 0.5, 1.0, 0.5])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: StepLR("sgd", 1), TypeError, "StepLR: expected an optimizer first, got str"),
        (lambda: StepLR(sgd(), 0), ValueError, "expected step_size above 0, got 0"),
        (lambda: CosineAnnealingLR(sgd(), 0), ValueError, "expected T_max above 0, got 0"),
        (lambda: LinearLR(sgd(), 0.0), ValueError, "expected start_factor above 0 and up to 1, got 0.0"),
        (lambda: LinearLR(sgd(), 0.5, 2.0), ValueError, "expected end_factor from 0 to 1, got 2.0"),
        (lambda: LinearLR(sgd(), total_iters=0), ValueError, "expected total_iters above 0, got 0"),
        (lambda: ConstantLR(sgd(), 0), ValueError, "expected a factor above 0 and up to 1, got 0"),
        (lambda: PolynomialLR(sgd(), 0), ValueError, "PolynomialLR: expected total_iters above 0, got 0"),
        (
            lambda: CosineAnnealingWarmRestarts(sgd(), 2.5),
            ValueError,
            "expected a whole number above 0 for T_0, got 2.5",
        ),
        (
            lambda: CosineAnnealingWarmRestarts(sgd(), 2).step(-1),
            ValueError,
            "expected an epoch from 0 up, got -1",
        ),
        (
            lambda: LambdaLR(sgd(), [abs, abs]),
            ValueError,
            "expected 1 functions, one a parameter group, got 2",
        ),
        (lambda: OneCycleLR(sgd(), 1.0), ValueError, "expected total_steps, or epochs and steps_per_epoch"),
        (lambda: OneCycleLR(sgd(), 1.0, 2.5), ValueError, "a whole number of steps above 0, got 2.5"),
        (lambda: OneCycleLR(sgd(), 1.0, 5, pct_start=2), ValueError, "expected pct_start from 0 to 1, got 2"),
        (lambda: OneCycleLR(sgd(), 1.0, 5, anneal_strategy="x"), ValueError, "'cos' or 'linear', got 'x'"),
        (lambda: OneCycleLR(sgd(), [1.0, 2.0], 5), ValueError, "expected 1 values for max_lr.*got 2"),
        (
            lambda: SequentialLR(sgd(), [], []),
            ValueError,
            "one schedule more than milestones, got 0 .* and 0",
        ),
        (
            lambda: SequentialLR(o := sgd(), [ReduceLROnPlateau(o)], []),
            ValueError,
            "got ReduceLROnPlateau at index 0",
        ),
        (
            lambda: SequentialLR(sgd(), [StepLR(sgd(), 1)], []),
            ValueError,
            "at index 0 belongs to another optimizer",
        ),
        (lambda: ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "expected a factor below 1, got 1.0"),
        (lambda: ReduceLROnPlateau(sgd(), "low"), ValueError, " expected mode 'min' or 'max', got 'low'"),
        (lambda: ReduceLROnPlateau(sgd(), threshold_mode="x"), ValueError, "'rel' or 'abs', got 'x'"),
        (lambda: ReduceLROnPlateau(sgd(), min_lr=[0, 0]), ValueError, "expected 1 values for min_lr, got 2"),
        (lambda: LRScheduler(sgd()), NotImplementedError, r"LRScheduler has no get_lr\(\)"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_one_cycle_needs_something_to_cycle():
    class Plain(optim.Optimizer):
        pass

    plain = Plain([nn.Parameter(tt.zeros(1))], {"lr": 1.0, "maximize": False})
    with pytest.raises(ValueError, match="Plain has neither momentum nor betas to cycle"):
        OneCycleLR(plain, 1.0, 5)
    assert OneCycleLR(plain, 1.0, 5, cycle_momentum=False).get_last_lr() == pytest.approx([1 / 25])
