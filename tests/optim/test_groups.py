"""How an optimiser is made: groups, settings, names, what is accepted and what is refused; subclasses."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.kernels import optim as kernels
from tinytorch.kernels._jit import JIT

pytestmark = pytest.mark.nojit_ok

KINDS = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop]


def parameter(*values):
    return nn.Parameter(tt.tensor(list(values)))


def give_gradients(params, value=1.0):
    for p in params:
        p.grad = tt.full(p.shape, value, dtype=p.dtype)


def test_groups_have_their_settings():
    a, b = parameter(1.0), parameter(1.0)
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 1.0}], lr=0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 1.0]
    optimizer.param_groups[0]["lr"] = 0.25
    give_gradients([a, b])
    optimizer.step()
    assert (a.item(), b.item()) == (0.75, 0.0)


def test_a_group_keeps_keys_of_the_users_own():
    optimizer = optim.AdamW([{"params": parameter(1.0), "name": "head", "lr_scale": 0.5}])
    group = optimizer.param_groups[0]
    assert (group["name"], group["lr_scale"], group["weight_decay"]) == ("head", 0.5, 0.01)
    assert optimizer.state_dict()["param_groups"][0]["name"] == "head"


def test_parameters_with_their_names():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=1.0)
    group = optimizer.param_groups[0]
    assert group["param_names"] == ["weight", "bias"]
    assert group["params"] == list(model.parameters())
    assert "param_names" not in repr(optimizer)
    assert optim.SGD([{"params": model.named_parameters()}]).param_groups[0]["param_names"] == [
        "weight",
        "bias",
    ]


def test_numbers_of_any_kind():
    p = parameter(1.0)
    optimizer = optim.SGD([p], lr=tt.tensor(0.5), momentum=np.float32(0.0))
    assert type(optimizer.param_groups[0]["lr"]) is float
    give_gradients([p])
    optimizer.step()
    assert p.item() == 0.5
    optimizer.param_groups[0]["lr"] = tt.tensor(0.25)
    optimizer.step()
    assert p.item() == 0.25


@pytest.mark.skipif(not JIT, reason="plain Python compiles nothing")
@pytest.mark.parametrize(
    ("kind", "name"),
    [(optim.SGD, "_sgd_step"), (optim.AdamW, "_adam_step"), (optim.RMSprop, "_rmsprop_step")],
)
def test_whole_numbers_take_the_same_kernel(kind, name):
    p, kernel = parameter(1.0), getattr(kernels, name)[0]
    optimizer = kind([p], lr=0.5)
    give_gradients([p])
    optimizer.step()
    compiled = len(kernel.signatures)
    optimizer.param_groups[0].update(lr=1, weight_decay=0, eps=1)
    optimizer.step()
    assert len(kernel.signatures) == compiled


@pytest.mark.parametrize("kind", KINDS)
def test_how_pytorch_should_compute_is_of_no_effect(kind):
    names = {"foreach", "fused", "capturable", "differentiable"} & set(inspect.signature(kind).parameters)
    assert {"foreach", "differentiable"} <= names
    optimizer = kind([parameter(1.0)], **dict.fromkeys(names, True))
    assert not names & set(optimizer.param_groups[0])


def test_repr():
    optimizer = optim.SGD([parameter(1.0, 2.0)], lr=0.5)
    assert repr(optimizer).splitlines()[:3] == [
        "SGD (",
        "Parameter Group 0: 2 parameters",
        "    dampening: 0.0",
    ]


SHARED = parameter(1.0)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.SGD([]), ValueError, r"expected at least one parameter, got none.*ModuleList"),
        (lambda: optim.SGD(parameter(1.0)), TypeError, r"got one tensor. Put it into a list"),
        (lambda: optim.SGD([(SHARED, "w")]), TypeError, r"expected parameters \(tensors\), got tuple"),
        (
            lambda: optim.SGD([("w", SHARED), parameter(2.0)]),
            ValueError,
            "names for all parameters of a group or for none, got 1 names for 2 parameters",
        ),
        (lambda: optim.SGD([SHARED, SHARED]), ValueError, "some parameters appear in more than one place"),
        (
            lambda: optim.SGD([{"params": [SHARED]}, {"params": [SHARED]}]),
            ValueError,
            "in more than one place",
        ),
        (lambda: optim.SGD([SHARED * 2]), ValueError, "expected leaf tensors, got the result of 'mul'"),
        (lambda: optim.SGD([tt.tensor([1])]), TypeError, r"expected floating point parameters, got int64"),
        (lambda: optim.SGD([{"params": {SHARED}}]), TypeError, "got a set. Use a list"),
        (lambda: optim.SGD([{"lr": 1.0}]), TypeError, 'expected a dict with "params"'),
        (
            lambda: optim.SGD([{"params": SHARED, "momentun": 0.9}]),
            ValueError,
            "'momentun' is no setting of a parameter group. Did you mean 'momentum'?",
        ),
        (lambda: optim.SGD([SHARED], lr=-1.0), ValueError, "SGD: expected lr from 0 up, got -1.0"),
        (lambda: optim.SGD([SHARED], momentum=-0.1), ValueError, "expected momentum from 0 up, got -0.1"),
        (lambda: optim.SGD([SHARED], nesterov=True), ValueError, "nesterov=True expected a momentum above 0"),
        (
            lambda: optim.Adam([SHARED], betas=(0.9, 1.0)),
            ValueError,
            r"two betas from 0 up and below 1, got \(0.9, 1.0\)",
        ),
        (
            lambda: optim.AdamW([SHARED], weight_decay=-1),
            ValueError,
            "AdamW: expected weight_decay from 0 up, got -1",
        ),
        (lambda: optim.RMSprop([SHARED], alpha=-1), ValueError, "RMSprop: expected alpha from 0 up, got -1"),
        (lambda: optim.RMSprop([SHARED], lr=float("nan")), ValueError, "expected lr from 0 up, got nan"),
    ],
)
def test_refusals(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_parameters_over_the_same_memory_are_refused():
    values = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"two parameters share memory.*decoder.weight = encoder.weight"):
        optim.SGD([nn.Parameter(values), nn.Parameter(values.T)])


def test_an_optimizer_needs_a_rule():
    class Lazy(optim.Optimizer):
        pass

    p = parameter(1.0)
    lazy = Lazy([p], {"maximize": False})
    give_gradients([p])
    with pytest.raises(NotImplementedError, match=r"Lazy has no rule: define update\(.*\), or step\(\)"):
        lazy.step()


class Decaying(optim.Optimizer):
    """An optimiser written as in PyTorch: its own step, its state in dicts."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                p.data -= group["lr"] / state["count"] * p.grad.data


def test_an_optimizer_with_a_step_of_its_own():
    a, b = parameter(1.0), parameter(1.0)
    optimizer, other = Decaying([a], lr=0.5), Decaying([b], lr=0.5)
    for _ in range(2):
        give_gradients([a])
        optimizer.step()
    assert a.item() == 0.25
    assert optimizer.state_dict()["state"] == {0: {"count": 2}}
    other.load_state_dict(optimizer.state_dict())
    give_gradients([b])
    other.step()
    assert b.item() == pytest.approx(1 - 0.5 / 3)
    assert other.state[b]["count"] == 3


def test_a_step_of_its_own_counts_for_a_schedule():
    p = parameter(1.0)
    optimizer = Decaying([p], lr=0.5)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"called before optimizer.step\(\)"):
        copy.deepcopy(schedule).step()
    give_gradients([p])
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()
