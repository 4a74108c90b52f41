"""State dicts: what is in them, and the error that lists all that does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok


def mlp(hidden: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def test_names_and_sharing():
    model = mlp()
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert not any(t.requires_grad for t in state.values())
    assert np.shares_memory(state["0.weight"].numpy(), model[0].weight.data)
    assert model.state_dict(keep_vars=True)["0.weight"] is model[0].weight
    assert next(iter(model.state_dict(prefix="net."))) == "net.0.weight"


def test_loading_copies_values():
    source, target = mlp(), mlp()
    weight = target[0].weight
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert target[0].weight is weight
    assert np.array_equal(weight.data, source[0].weight.data)
    assert not np.shares_memory(weight.data, source[0].weight.data)


def test_assign_takes_the_arrays_over():
    source, target = mlp(), mlp()
    target.load_state_dict(source.state_dict(), assign=True)
    assert np.shares_memory(target[0].weight.data, source[0].weight.data)


def test_integers_are_not_assigned_to_a_parameter():
    model = mlp()
    state = {**model.state_dict(), "2.bias": np.array([1, 2])}
    before = model[0].weight.data
    with pytest.raises(
        RuntimeError, match=r"wrong dtype: 2.bias: expected floating point numbers, got int64"
    ):
        model.load_state_dict(state, assign=True)
    assert model[0].weight.data is before
    model.load_state_dict(state)
    assert model[2].bias.tolist() == [1.0, 2.0]
    counter = nn.Module()
    counter.register_buffer("steps", tt.tensor([0]))
    counter.load_state_dict({"steps": np.array([7])}, assign=True)
    assert counter.steps.tolist() == [7]


def test_arrays_and_other_dtypes_are_accepted():
    source, target = mlp().double(), mlp()
    target.load_state_dict({name: t.numpy() for name, t in source.state_dict().items()})
    assert target[0].weight.dtype == np.float32
    assert np.allclose(target[0].weight.data, source[0].weight.data)


def test_non_persistent_buffers_stay_out():
    model = nn.Linear(2, 2)
    model.register_buffer("mean", tt.zeros(2))
    model.register_buffer("scratch", tt.zeros(2), persistent=False)
    assert list(model.state_dict()) == ["weight", "bias", "mean"]


def test_the_error_lists_everything():
    model = mlp(hidden=4)
    state = mlp(hidden=5).state_dict()
    state["0.wieght"] = state.pop("0.weight")
    state["head"] = tt.zeros(1)
    before = model[2].bias.data.copy()
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict: the state does not fit Sequential, and nothing was loaded.",
        "  missing (the module has it, the state does not): 0.weight",
        "  unexpected (the state has it, the module does not): 0.wieght (for 0.weight?), head",
        "  wrong shape: 0.bias: expected (4,), got (5,)",
        "  wrong shape: 2.weight: expected (2, 4), got (2, 5)",
        "Build the module with the sizes that the state was saved from.",
    ]
    assert np.array_equal(model[2].bias.data, before)


def test_names_only():
    with pytest.raises(RuntimeError, match="or pass strict=False to load the names in common"):
        mlp().load_state_dict({})


def test_not_strict_loads_what_is_there():
    model = mlp()
    result = model.load_state_dict({"0.bias": np.arange(4.0), "extra": np.zeros(1)}, strict=False)
    assert model[0].bias.data.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert result.missing_keys == ["0.weight", "2.weight", "2.bias"]
    assert result.unexpected_keys == ["extra"]
    with pytest.raises(RuntimeError, match=r"wrong shape: 0.bias: expected \(4,\), got \(3,\)"):
        model.load_state_dict({"0.bias": np.zeros(3)}, strict=False)


def test_what_is_no_state_dict():
    with pytest.raises(
        TypeError, match=r"expected a dict of names and tensors, got str.*tinytorch.load\(path\)"
    ):
        mlp().load_state_dict("model.safetensors")
    with pytest.raises(TypeError, match=r"expected a tensor or an array for '0.bias', got list"):
        mlp().load_state_dict({"0.bias": [1.0]})


def test_a_graph_from_before_the_loading_refuses_to_run():
    model = mlp()
    loss = model(tt.ones(1, 3)).sum()
    model.load_state_dict(mlp().state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
