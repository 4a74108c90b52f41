"""What all optimisers share: groups, flat buffers that nobody notices, state dicts, errors."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.kernels._jit import JIT
from tinytorch.optim._flat import FlatParameters

pytestmark = pytest.mark.nojit_ok

KINDS = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop]


def parameter(*values):
    return nn.Parameter(tt.tensor(list(values)))


def give_gradients(params, value=1.0):
    for p in params:
        p.grad = tt.full(p.shape, value, dtype=p.dtype)


# --- the buffer -----------------------------------------------------------------------------------------


def test_parameters_become_views_of_one_buffer():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = [p.data.copy() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters())
    flat = optimizer._flats[0][0]
    for p, values in zip(model.parameters(), before, strict=True):
        assert np.shares_memory(p.data, flat.data)
        assert np.array_equal(p.data, values)
        assert p.data.shape == values.shape
    assert flat.data.size == sum(values.size for values in before)


def test_each_dtype_has_a_buffer_of_its_own():
    a, b = parameter(1.0), nn.Parameter(tt.tensor([1.0], dtype=np.float64))
    optimizer = optim.Adam([a, b], lr=0.1)
    assert [flat.dtype for flat in optimizer._flats[0]] == [np.float32, np.float64]
    give_gradients([a, b])
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == pytest.approx(0.9)
    assert list(optimizer.state_dict()["state"]) == [0, 1]


def test_a_parameter_whose_data_was_replaced_comes_back():
    p = parameter(1.0, 2.0)
    optimizer = optim.SGD([p], lr=1.0)
    p.data = np.array([5.0, 6.0], np.float32)
    give_gradients([p])
    optimizer.step()
    assert p.tolist() == [4.0, 5.0]
    assert np.shares_memory(p.data, optimizer._flats[0][0].data)


def test_the_model_is_loaded_after_the_optimizer_was_made():
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    for assign in (False, True):
        model.load_state_dict(other.state_dict(), assign=assign)
        give_gradients(model.parameters())
        optimizer.step()
        assert np.array_equal(model.bias.data, other.bias.data - 1)


def test_the_model_changes_its_dtype_after_the_optimizer_was_made():
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters())
    give_gradients(model.double().parameters())
    with pytest.raises(
        RuntimeError, match=r"parameter 0 of its group was float32 .* is now float64.*new optimizer"
    ):
        optimizer.step()


def test_two_optimizers_over_the_same_parameters():
    p = parameter(1.0)
    first, second = optim.SGD([p], lr=0.5), optim.SGD([p], lr=0.25)
    for optimizer, expected in ((first, 0.5), (second, 0.25), (first, -0.25), (second, -0.5)):
        give_gradients([p])
        optimizer.step()
        assert p.item() == expected


def test_a_shared_parameter_is_updated_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    before = model[0].weight.data.copy()
    give_gradients(model.parameters())
    optimizer.step()
    assert np.array_equal(model[1].weight.data, before - 1)


def test_gradients_of_any_layout_and_dtype():
    p = nn.Parameter(tt.zeros(2, 3))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = tt.Tensor(np.arange(6.0).reshape(3, 2).T)
    optimizer.step()
    assert p.tolist() == [[-0.0, -2.0, -4.0], [-1.0, -3.0, -5.0]]
    p.grad = tt.ones(3, 2)
    with pytest.raises(
        RuntimeError, match=r"expected a gradient of the parameter's shape \(2, 3\), got \(3, 2\)"
    ):
        optimizer.step()


def test_gradients_are_held_until_the_kernel_has_read_them():
    params = [nn.Parameter(tt.zeros(2)) for _ in range(2)]
    flat = FlatParameters(params)
    give_gradients(params)
    gradients = [weakref.ref(p.grad._data) for p in params]
    pairs = flat.collect()
    ids, _ = next(pairs)
    for p in params:
        p.grad = None  # as another thread may do now
    assert [id(g()) for g in gradients] == ids.tolist()
    assert next(pairs, None) is None
    assert [g() for g in gradients] == [None, None]


def test_empty_and_zero_dimensional_parameters():
    empty, scalar = nn.Parameter(tt.zeros(0, 3)), nn.Parameter(tt.tensor(2.0))
    optimizer = optim.AdamW([empty, scalar], lr=0.1, weight_decay=0.0)
    give_gradients([empty, scalar])
    optimizer.step()
    assert scalar.item() == pytest.approx(1.9)
    assert scalar.shape == ()


def test_a_step_counts_as_a_change():
    p = parameter(1.0, 2.0)
    optimizer = optim.SGD([p])
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_parameter_without_a_gradient_rests():
    a, b = parameter(1.0), parameter(1.0)
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad = tt.ones(1)
    optimizer.step()
    assert b.item() == 1.0
    assert list(optimizer.state_dict()["state"]) == [0]
    b.grad = tt.ones(1)
    optimizer.step()
    state = optimizer.state_dict()["state"]
    assert (state[0]["step"], state[1]["step"]) == (2, 1)
    assert b.item() == pytest.approx(0.9)


# --- steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_descends(kind):
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    x = tt.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = tt.tensor([[0.0], [1.0], [1.0], [0.0]])
    optimizer, losses = kind(model.parameters(), lr=0.02), []
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.BCEWithLogitsLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(np.isfinite(losses))


@pytest.mark.skipif(not JIT, reason="plain Python has one thread")
def test_one_and_two_threads_give_the_same_bits():
    def train(threads):
        tt.set_num_threads(threads)
        tt.manual_seed(0)
        model = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 10))
        x, y = tt.randn(64, 300), tt.randint(0, 10, (64,))
        optimizer = optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
        return [p.data.copy() for p in model.parameters()]

    before = tt.get_num_threads()
    if before < 2:
        pytest.skip("one thread only: nothing to compare")
    try:
        one, two = train(1), train(2)
    finally:
        tt.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_closure_runs_with_gradients():
    p = parameter(2.0)
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tt.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert p.item() == 0.0


def test_zero_grad():
    p = parameter(1.0)
    optimizer = optim.SGD([p])
    give_gradients([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None


# --- state ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"momentum": 0.9, "dampening": 0.1}),
        (optim.Adam, {"amsgrad": True}),
        (optim.AdamW, {}),
        (optim.RMSprop, {"centered": True, "momentum": 0.5}),
    ],
)
def test_resumed_equals_uninterrupted(kind, options):
    def fresh():
        params = [nn.Parameter(tt.ones(3, 2)), nn.Parameter(tt.ones(4))]
        return params, kind(params, lr=0.1, **options)

    def train(params, optimizer, steps):
        for step in steps:
            give_gradients(params[: 1 + step % 2], 0.1 + step)
            optimizer.step()
            optimizer.zero_grad()

    params, optimizer = fresh()
    train(params, optimizer, range(4))
    values = [p.data.copy() for p in params]
    state = copy.deepcopy(optimizer.state_dict())
    train(params, optimizer, range(4, 9))
    others, resumed = fresh()
    for p, value in zip(others, values, strict=True):
        p.data = value
    resumed.load_state_dict(state)
    train(others, resumed, range(4, 9))
    assert all(np.array_equal(a.data, b.data) for a, b in zip(params, others, strict=True))


def test_state_shows_views():
    p = parameter(1.0, 2.0)
    optimizer = optim.Adam([p])
    assert optimizer.state == {}
    assert len(optimizer.state) == 0
    give_gradients([p])
    optimizer.step()
    assert set(optimizer.state[p]) == {"step", "exp_avg", "exp_avg_sq"}
    assert np.shares_memory(optimizer.state[p]["exp_avg"].numpy(), optimizer._flats[0][0].state["exp_avg"])


@pytest.mark.parametrize(
    "change",
    [
        lambda state, p: state.clear(),
        lambda state, p: state.pop(p),
        lambda state, p: state.update({p: {}}),
        lambda state, p: state.__setitem__(p, {}),
        lambda state, p: state[p].__setitem__("step", 0),
        lambda state, p: state[p].__delitem__("exp_avg"),
    ],
)
def test_state_does_not_pretend_to_be_changed(change):
    p = parameter(1.0)
    optimizer = optim.Adam([p])
    give_gradients([p])
    optimizer.step()
    with pytest.raises(TypeError, match=r"cannot be changed.*Write into a tensor.*load it"):
        change(optimizer.state, p)
    optimizer.state[p]["exp_avg"].zero_()
    assert not optimizer._flats[0][0].state["exp_avg"].any()
    state = optimizer.state_dict()
    state["state"] = {}
    optimizer.load_state_dict(state)
    assert optimizer.state == {}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.pop("state"), 'expected a dict with "state" and "param_groups"'),
        (
            lambda s: s["param_groups"][0]["params"].append(2),
            r"expected groups of \[2\] parameters, got \[3\]",
        ),
        (lambda s: s["state"][0].pop("step"), "parameter 0 has no 'step'"),
        (lambda s: s["state"][0].update(velocity=tt.ones(1)), r"has 'velocity', which Adam does not keep"),
        (
            lambda s: s["state"][1].update(exp_avg=tt.ones(5)),
            r"exp_avg of parameter 1 with shape \(2,\), got \(5,\)",
        ),
    ],
)
def test_states_that_do_not_fit(change, text):
    params = [parameter(1.0), parameter(1.0, 2.0)]
    optimizer = optim.Adam(params)
    give_gradients(params)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    change(state)
    with pytest.raises(ValueError, match=text):
        optimizer.load_state_dict(state)
    assert optimizer.state[params[0]]["step"] == 1


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_trains_on_its_own(copied):
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    give_gradients(model.parameters())
    optimizer.step()
    other_model, other = copied((model, optimizer))
    flat = other._flats[0][0]
    assert all(np.shares_memory(p.data, flat.data) for p in other_model.parameters())
    assert flat.dtype is flat.data.dtype is np.dtype(np.float32)
    before = model.weight.data.copy()
    for value in (1.0, -3.0):
        give_gradients(other_model.parameters(), value)
        other.step()
    assert np.array_equal(model.weight.data, before)
    for value in (1.0, -3.0):
        give_gradients(model.parameters(), value)
        optimizer.step()
    assert np.array_equal(model.weight.data, other_model.weight.data)
    assert not np.array_equal(model.weight.data, before)


def test_flat_state_is_made_on_demand():
    flat = FlatParameters([parameter(1.0), parameter(2.0, 3.0)])
    assert flat.state == {}
    assert flat.view("m", 1).tolist() == [0.0, 0.0]
    assert flat.offsets.tolist() == [0, 1, 3]
