"""Sequential with its fused pairs, ModuleList, ModuleDict, ParameterList."""

from __future__ import annotations

import copy
import functools
import itertools

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.autograd.registry import observers

pytestmark = pytest.mark.nojit_ok


@pytest.fixture
def ops_called():
    """Names of the ops that are carried out, with their activation."""
    names = []

    def note(op, inputs, params, result):
        names.append(op.name + (f"+{params['activation']}" if params.get("activation") else ""))

    observers.append(note)
    yield names
    observers.remove(note)


def test_linear_and_relu_become_one_operation(ops_called):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Sigmoid(), nn.ReLU())
    model(tt.ones(2, 3))
    assert ops_called == ["linear+relu", "linear", "sigmoid", "relu"]


FUSED = {
    "linear": (lambda: [nn.Linear(5, 33), nn.ReLU(), nn.Linear(33, 3)], ["linear+relu", "linear"]),
    "conv": (lambda: [nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU()], ["conv2d+relu"]),
    "conv same": (lambda: [nn.Conv2d(3, 6, 3, padding="same", groups=3), nn.ReLU()], ["conv2d+relu"]),
    "norm": (lambda: [nn.BatchNorm2d(3), nn.ReLU()], ["batch_norm+relu"]),
    "norm in evaluation": (lambda: [nn.BatchNorm2d(3).eval(), nn.ReLU()], ["batch_norm+relu"]),
    "pool": (lambda: [nn.ReLU(), nn.MaxPool2d(2)], ["max_pool2d", "relu"]),
    "overlapping pool": (lambda: [nn.ReLU(), nn.MaxPool2d(3, 2, 1)], ["max_pool2d", "relu"]),
    "conv and pool": (
        lambda: [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()],
        ["conv2d", "max_pool2d", "relu", "relu"],
    ),
    "conv, norm and pool": (
        lambda: [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)],
        ["conv2d", "batch_norm+relu", "max_pool2d"],
    ),
}
every_fused = pytest.mark.parametrize("name", FUSED)


def assert_the_same_bits(model, x):
    """Of results and gradients, when the layers of a Sequential are called by it and one by one."""
    tensors = (x.requires_grad_(), *model.parameters())
    buffers = {name: tensor.numpy().copy() for name, tensor in model.named_buffers()}
    found = []
    for forward in (model, lambda x: functools.reduce(lambda value, module: module(value), model, x)):
        for name, tensor in model.named_buffers():
            tensor._data[...] = buffers[name]
        out = forward(x)
        weights = np.random.default_rng(0).standard_normal(out.shape).astype(out.dtype)
        out.backward(tt.Tensor(weights))
        found.append([out.detach().numpy().copy()])
        found[-1] += [tensor.numpy().copy() for _, tensor in model.named_buffers()]
        for tensor in tensors:
            found[-1].append(tensor.grad.numpy().copy())
            tensor.grad = None
    for fused, apart in zip(*found, strict=True):
        assert fused.tobytes() == apart.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (7, 5), (64, 5), (2, 3, 5)])
def test_fused_gives_the_same_bits(shape, dtype):
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 33), nn.ReLU(), nn.Linear(33, 3)).to(dtype)
    assert_the_same_bits(model, tt.randn(*shape).to(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (5, 3, 9, 7)])
@pytest.mark.parametrize("name", [name for name in FUSED if name != "linear"])
def test_fused_images_have_the_same_bits(name, shape, dtype, ops_called):
    tt.manual_seed(0)
    layers, expected = FUSED[name]
    model, x = nn.Sequential(*layers()).to(dtype), tt.randn(*shape).to(dtype)
    ops_called.clear()
    model(x)
    assert ops_called == expected
    assert_the_same_bits(model, x)


@pytest.mark.parametrize("size", [(2, 2), (3, 2, 1)])
def test_pooling_before_the_relu_has_the_same_bits_with_ties_and_nan(size):
    tt.manual_seed(0)
    x = tt.randn(2, 3, 8, 8)
    x._data[0] = np.round(x._data[0])  # equals, and zeros of both signs
    x._data[1, 0] = -1
    x._data[1, 1, ::3, ::3] = np.nan
    x._data[1, 2, ::3, ::3] = np.inf
    assert_the_same_bits(nn.Sequential(nn.ReLU(), nn.MaxPool2d(*size)), x)


def test_a_pooling_that_returns_places_stays_behind_its_relu():
    values, places = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True))(-tt.ones(1, 1, 2, 2))
    assert (values.item(), places.item()) == (0, 0)


@every_fused
def test_hooks_see_each_result(name):
    layers = FUSED[name][0]()
    model, x = nn.Sequential(*layers), tt.randn(*((2, 5) if name == "linear" else (2, 3, 8, 8)))
    expected, seen = model(x).detach().numpy(), []
    for layer in layers:
        layer.register_forward_hook(lambda module, args, out: seen.append((module, args[0], out)))
    assert np.array_equal(model(x).detach().numpy(), expected)
    assert [module for module, _, _ in seen] == layers
    assert all(after[1] is before[2] for before, after in itertools.pairwise(seen))


@every_fused
def test_a_patched_forward_of_any_fused_layer_is_called(name):
    layers = FUSED[name][0]()
    model, x = nn.Sequential(*layers), tt.randn(*((2, 5) if name == "linear" else (2, 3, 8, 8)))
    expected = model(x).detach().numpy()
    for layer in layers:
        seen, original = [], layer.forward
        layer.forward = lambda value, seen=seen, original=original: seen.append(value) or original(value)
        assert np.array_equal(model(x).detach().numpy(), expected)
        assert len(seen) == 1
        del layer.forward


def test_a_hook_or_a_subclass_ends_the_fusing(ops_called):
    class MyReLU(nn.ReLU):
        pass

    seen = []
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), MyReLU())
    model(tt.ones(2, 3))
    assert ops_called == ["linear+relu", "linear", "relu"]
    ops_called.clear()
    with model[0].register_forward_hook(lambda m, args, out: seen.append(out)):
        model(tt.ones(2, 3))
    assert ops_called == ["linear", "relu", "linear", "relu"]
    assert len(seen) == 1


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("index", [0, 1])
def test_a_patched_forward_is_called(index, warm):
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), tt.ones(2, 3)
    if warm:
        model(x)
    model[index].forward = lambda x: tt.full(x.shape, 7.0)
    assert model(x).numpy().max() == 7.0
    del model[index].forward
    assert np.array_equal(model(x).detach().numpy(), model[0](x).relu().detach().numpy())


def test_another_class_ends_the_fusing():
    class Double(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), tt.ones(2, 3)
    before = model(x).detach().numpy()
    model[0].__class__ = Double
    assert np.array_equal(model(x).detach().numpy(), 2 * before)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (nn.Linear, "forward"),
        (nn.ReLU, "forward"),
        (nn.Module, "__call__"),
        (nn.ReLU, "__call__"),
    ],
)
def test_a_patched_class_is_called(monkeypatch, kind, name):
    model, x, seen = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), tt.ones(2, 3), []
    before, original = model(x).detach().numpy(), getattr(kind, name)

    def spy(self, *args):
        seen.append(type(self).__name__)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, spy)
        assert np.array_equal(model(x).detach().numpy(), before)
    assert seen[-1] == ("ReLU" if kind is nn.Module else kind.__name__)


def test_the_plan_follows_changes(ops_called):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model(tt.ones(2, 3))
    model[1] = nn.Tanh()
    model(tt.ones(2, 3))
    model.append(nn.Linear(4, 1))
    assert model(tt.ones(2, 3)).shape == (2, 1)
    assert ops_called == ["linear+relu", "linear", "tanh", "linear", "tanh", "linear"]


def test_a_copy_has_a_plan_of_its_own():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = tt.ones(2, 3)
    before = model(x).detach().numpy().copy()
    other = copy.deepcopy(model)
    other[0].weight._data[:] = 0
    other[0].bias._data[:] = 0
    assert not other(x).detach().numpy().any()
    assert np.array_equal(model(x).detach().numpy(), before)


def test_sequential_is_a_list():
    layers = [nn.Linear(2, 2), nn.ReLU(), nn.Tanh()]
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert model[-1] is layers[2]
    assert list(model[1:]) == layers[1:]
    model.insert(0, nn.Identity())
    assert [type(m).__name__ for m in model] == ["Identity", "Linear", "ReLU", "Tanh"]
    del model[0]
    assert list(model) == layers
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert len(model.extend([nn.ReLU(), nn.ReLU()])) == 5
    assert model.pop(1) is layers[1]
    assert len(model.pop(slice(2, None))) == 2
    assert list(model) == [layers[0], layers[2]]
    both = model + nn.Sequential(nn.Identity())
    assert [name for name, _ in both.named_children()] == ["0", "1", "2"]
    assert both[0] is layers[0]
    assert len(model) == 2
    model += [nn.Identity()]
    assert len(model) == 3


def test_sequential_takes_names_and_may_be_empty():
    model = nn.Sequential({"fc": nn.Linear(2, 3), "act": nn.ReLU()})
    assert [name for name, _ in model.named_parameters()] == ["fc.weight", "fc.bias"]
    assert model.fc is model[0]
    x = tt.ones(2)
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.Sequential(nn.ReLU), TypeError, r"expected modules, got type; did you mean ReLU\(\)\?"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, "Sequential: expected modules, got list"),
        (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "index 1 is out of range for 1 modules"),
        (lambda: nn.ModuleList([3]), TypeError, "ModuleList: expected a Module, got int"),
        (lambda: nn.ModuleList([nn.ReLU()])[-2], IndexError, "index -2 is out of range for 1 entries"),
        (lambda: nn.ParameterList([3]), TypeError, "ParameterList: expected a Parameter, got int"),
        (lambda: nn.ModuleDict({"a": 3}), TypeError, "ModuleDict: expected a Module for 'a', got int"),
        (lambda: nn.ModuleDict({"train": nn.ReLU()}), KeyError, "'train' is the name of an attribute"),
        (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], KeyError, "no module 'b'; there are: a"),
    ],
)
def test_what_containers_refuse(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_module_list():
    first, second, third = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    modules = nn.ModuleList([first, third])
    modules.insert(1, second)
    assert list(modules) == [first, second, third]
    assert list(modules[1:]) == [second, third]
    modules[1] = nn.Tanh()
    modules += [second]
    assert [name for name, _ in modules.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    del modules[0]
    assert [name for name, _ in modules.named_parameters()] == ["1.weight", "1.bias"]
    assert len(modules) == 3
    assert modules.pop() is second
    both = modules + nn.ModuleList([first])
    assert [type(m).__name__ for m in both] == ["Tanh", "Linear", "Linear"]
    assert isinstance(both, nn.ModuleList)
    assert modules.pop(0) is both[0]
    assert list(modules) == [third]


def test_module_dict():
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.Linear(2, 2)
    heads.update([("c", nn.ReLU())])
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"]
    assert [name for name, _ in heads.items()] == ["a", "b", "c"]
    assert "b" in heads
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    heads["a"] = nn.ReLU()
    assert heads.pop("b").out_features == 2
    assert [type(m).__name__ for m in heads.values()] == ["ReLU", "ReLU"]
    heads.clear()
    assert len(heads) == 0


def test_module_dict_sees_attributes():
    heads = nn.ModuleDict({"a": nn.ReLU()})
    heads.b = nn.Tanh()
    assert list(heads) == ["a", "b"]
    assert heads["b"] is heads.b
    assert len(heads) == 2
    assert "(b): Tanh()" in repr(heads)
    del heads.a
    assert heads.keys() == ["b"]
    assert "a" not in heads
    with pytest.raises(KeyError, match="no module 'a'; there are: b"):
        heads["a"]


def test_parameter_list():
    scales = nn.ParameterList([tt.ones(2), nn.Parameter(tt.zeros(3))])
    assert [name for name, _ in scales.named_parameters()] == ["0", "1"]
    assert isinstance(scales[0], nn.Parameter)
    assert "(1): Parameter of shape (3,), float32" in repr(scales)
