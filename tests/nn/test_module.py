"""Module: what it finds among its attributes, its switches, hooks and repr."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn

pytestmark = pytest.mark.nojit_ok


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(tt.ones(1))
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.register_buffer("seen", tt.zeros(2))
        self.register_buffer("scratch", tt.zeros(1), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


NAMES = ["scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]


def test_parameters_are_found_in_the_order_of_their_assignment():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in net.named_parameters(prefix="net")] == ["net." + name for name in NAMES]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())


def test_modules_children_and_buffers():
    net = Net()
    assert [name for name, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert [name for name, _ in net.named_buffers()] == ["seen", "scratch"]
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.bias") is net.rest[1].bias


def test_names_that_are_not_there():
    with pytest.raises(
        AttributeError, match=r"Net has no module 'last'; it has: first, rest, rest.0, rest.1"
    ):
        Net().get_submodule("last")
    with pytest.raises(AttributeError, match=r"Net has no parameter 'bias'; it has: scale, first.weight"):
        Net().get_parameter("bias")
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'last'"):
        _ = Net().last


def test_a_shared_parameter_comes_once():
    net = Net()
    net.tied = nn.Linear(3, 4)
    net.tied.weight = net.first.weight
    assert [name for name, _ in net.named_parameters()] == [*NAMES, "tied.bias"]
    assert "tied.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert "tied.weight" in net.state_dict()


def test_a_shared_module_comes_once():
    net = Net()
    net.again = net.first
    assert len(list(net.parameters())) == len(NAMES)
    assert [name for name, _ in net.named_children()] == ["first", "rest"]


def test_a_module_works_without_calling_super_init():
    class Small(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(2, 1)

        def forward(self, x):
            return self.fc(x)

    assert len(list(Small().parameters())) == 2
    assert Small()(tt.zeros(5, 2)).shape == (5, 1)


def test_a_parameter_is_not_lost_by_assigning_something_else():
    net = Net()
    with pytest.raises(
        TypeError, match=r"Net.scale is a parameter: expected a Parameter or None, got Tensor"
    ):
        net.scale = tt.ones(1)
    net.scale = nn.Parameter(tt.zeros(1))
    assert [name for name, _ in net.named_parameters()] == NAMES
    net.scale = None
    assert [name for name, _ in net.named_parameters()] == NAMES[1:]


def test_a_buffer_stays_a_tensor_and_moves_with_its_name():
    net = Net()
    net.seen = tt.ones(2)
    assert net.state_dict()["seen"].tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match=r"Net.seen is a buffer: expected a Tensor or None, got list"):
        net.seen = [1.0, 2.0]
    del net.seen
    assert "seen" not in dict(net.named_buffers())
    with pytest.raises(KeyError, match="has another attribute of that name"):
        net.register_buffer("first", tt.zeros(1))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m.register_parameter("a.b", None), KeyError, "expected a name without dots"),
        (
            lambda m: m.register_parameter("w", tt.ones(1)),
            TypeError,
            "expected a Parameter or None, got Tensor",
        ),
        (lambda m: m.register_buffer("b", 3), TypeError, "expected a Tensor or None, got int"),
        (lambda m: m.add_module("m", 3), TypeError, "expected a Module or None, got int"),
        (lambda m: m.train("yes"), ValueError, "train: expected True or False, got 'yes'"),
        (lambda m: m.to("cuda"), ValueError, "expected the device 'cpu', the only one there is, got 'cuda'"),
        (lambda m: m.to(np.int64), TypeError, "expected float32 or float64 for a module, got int64"),
    ],
)
def test_what_a_module_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call(Net())


def test_get_buffer():
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].register_buffer("mean", tt.ones(2), persistent=False)
    assert net.get_buffer("0.mean") is net[0].mean
    with pytest.raises(AttributeError, match=r"Sequential has no buffer '0.weight'; it has: 0.mean"):
        net.get_buffer("0.weight")


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(\): define what it computes"):
        nn.Module()(1)


def test_train_and_eval_reach_all_modules():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_apply_reaches_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_requires_grad_freezes():
    net = Net()
    net.first.requires_grad_(False)
    net(tt.ones(2, 3)).sum().backward()
    assert net.first.weight.grad is None
    assert net.rest[1].weight.grad is not None


def test_zero_grad():
    net = Net()
    net(tt.ones(2, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert not net.scale.grad.numpy().any()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_converts_parameters_buffers_and_gradients():
    net = Net()
    net(tt.ones(2, 3)).sum().backward()
    assert net.double() is net
    assert {t.dtype for t in (*net.parameters(), *net.buffers())} == {np.dtype(np.float64)}
    assert net.scale.grad.dtype == np.float64
    assert net(tt.ones(2, 3).to(np.float64)).dtype == np.float64
    assert net.float().scale.dtype == np.float32
    assert net.to("cpu").cpu() is net
    assert net.to(tt.zeros(1).to(np.float64)).scale.dtype == np.float64


def test_hooks_see_and_replace():
    layer, calls = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(lambda m, args: calls.append(args) or (args[0] * 0,))
    after = layer.register_forward_hook(lambda m, args, out: calls.append(out) or out + 1)
    x = tt.ones(1, 2)
    assert np.array_equal(layer(x).detach().numpy(), layer.bias.detach().numpy()[None] + 1)
    assert len(calls) == 2
    assert calls[0][0] is x
    before.remove()
    before.remove()
    with after:
        assert layer._hooks is not None
    assert layer._hooks is None
    layer(x)
    assert len(calls) == 2


def test_deepcopy_owns_its_parameters():
    net = Net()
    other = copy.deepcopy(net)
    other.first.weight._data[:] = 0
    assert net.first.weight.detach().numpy().any()
    assert other.first.weight.requires_grad


def test_repr_counts_parameters():
    assert repr(nn.Linear(3, 4)) == "Linear(in_features=3, out_features=4, bias=True)  # 16 parameters"
    assert repr(Net()) == "\n".join(
        [
            "Net(",
            "  (first): Linear(in_features=3, out_features=4, bias=True)  # 16 parameters",
            "  (rest): Sequential(",
            "    (0): ReLU()",
            "    (1): Linear(in_features=4, out_features=2, bias=True)  # 10 parameters",
            "  )",
            ")  # 27 parameters",
        ]
    )


def test_a_parameter_shows_what_it_is():
    assert repr(nn.Parameter(tt.zeros(2))) == "Parameter containing:\ntensor([0., 0.], requires_grad=True)"
    with pytest.raises(RuntimeError, match="only floating point tensors have gradients"):
        nn.Parameter(tt.tensor([1]))
    assert not nn.Parameter(tt.tensor([1]), requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
