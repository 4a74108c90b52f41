"""Frozen models answer as the models do, bit for bit; what a trace cannot see is refused."""

from __future__ import annotations

import copy
import threading
import tracemalloc

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import GPT, MLP, GPTConfig, LeNet
from tinytorch.models.cnn import SmallResNet
from tinytorch.systems import Frozen, count_ops, freeze, profile
from tinytorch.systems.inference.tape import CannotTrace, Tape

F = nn.functional


def settled(model):
    """With running statistics that are not 0 and 1."""
    rng = np.random.default_rng(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.data[...] = 0.1 * rng.standard_normal(module.num_features)
            module.running_var.data[...] = rng.uniform(0.5, 2, module.num_features)
            module.bias.data[...] = 0.1 * rng.standard_normal(module.num_features)
    return model.eval()


class Functional(nn.Module):
    """Layers called by hand, so that `Sequential` fuses nothing."""

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        x = F.gelu(self.one(x.flatten(1)))
        return F.relu(self.two(x)), x


MODELS = {
    "mlp": lambda: (MLP(12, (8, 8), 3), tt.randn(5, 12)),
    "lenet": lambda: (LeNet(1, 8, (4, 8), 16), tt.randn(2, 1, 8, 8)),
    "resnet": lambda: (settled(SmallResNet(1, (4, 8, 8))), tt.randn(2, 1, 16, 16)),
    "gpt": lambda: (GPT(GPTConfig(11, 8, 2, 2, 8)), tt.randint(0, 11, (2, 6))),
    "rotary": lambda: (GPT(GPTConfig(11, 8, 1, 2, 8, positions="rotary")), tt.randint(0, 11, (2, 6))),
    "functional": lambda: (Functional(), tt.randn(2, 1, 8, 8)),
    "lstm": lambda: (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Softmax(-1)), tt.randn(4, 2, 3)),
}


def answers(model, *inputs):
    with tt.no_grad():
        result = model(*inputs)
    return [t.data.copy() for t in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("trace", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_frozen_model_has_the_same_bits(name, trace):
    tt.manual_seed(0)
    model, x = MODELS[name]()
    model.eval()
    frozen = freeze(model, x, trace=trace, fold=False)
    for inputs in (x, tt.Tensor(x.data[::-1].copy()), x):
        for ours, theirs in zip(answers(frozen, inputs), answers(model, inputs), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert frozen.misses == 0
    assert bool(frozen.operations) == trace


def test_folded_norms_are_gone_and_change_only_the_rounding():
    tt.manual_seed(0)
    model, x = MODELS["resnet"]()
    frozen = freeze(model, x)
    assert "batch_norm" in " ".join(freeze(model, x, fold=False).operations)
    assert "batch_norm" not in " ".join(frozen.operations)
    np.testing.assert_allclose(answers(frozen, x)[0], answers(model, x)[0], rtol=1e-4, atol=1e-5)


def test_activations_go_into_the_operation_before_them():
    tt.manual_seed(0)
    frozen = freeze(*MODELS["functional"]())
    assert frozen.operations == ["conv2d", "max_pool2d", "relu", "reshape", "linear+gelu", "linear+relu"]


def test_a_result_that_is_read_twice_is_not_fused_away():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            y = self.layer(x)
            return y.relu() + y

    tt.manual_seed(0)
    model, x = Twice(), tt.randn(3, 4)
    frozen = freeze(model, x)
    assert frozen.operations == ["linear", "relu", "add"]
    np.testing.assert_array_equal(answers(frozen, x)[0], answers(model, x)[0])


def test_work_on_weights_alone_is_done_while_tracing():
    tt.manual_seed(0)
    weight = nn.Parameter(tt.randn(3, 3))

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, x):
            (x * 2).exp()  # nobody reads it
            return x @ (self.weight.t() * 2).tanh()

    assert freeze(Tied(), tt.randn(2, 3)).operations == ["matmul"]


def test_a_later_call_does_not_overwrite_a_result():
    tt.manual_seed(0)
    model, x = MLP(12, (8,), 3), tt.randn(20, 12)
    frozen = freeze(model, x)
    first = frozen(x)
    before = first.data.copy()
    second = frozen(x * 2)
    np.testing.assert_array_equal(first.data, before)
    assert not np.shares_memory(first.data, second.data)


def test_the_model_itself_stays_as_it_is():
    tt.manual_seed(0)
    model, x = MODELS["resnet"]()
    model.train()
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    frozen = freeze(model, x)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    expected = answers(frozen, x)[0]
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.data, before[name])
        tensor.data[...] = 0
    np.testing.assert_array_equal(answers(frozen, x)[0], expected)


def test_other_shapes_are_planned_when_they_come():
    tt.manual_seed(0)
    model, x = MODELS["lenet"]()
    frozen = freeze(model, x)
    for n in (2, 5, 1, 5, 3, 4, 6, 7, 8, 9, 10, 2):
        images = tt.randn(n, 1, 8, 8)
        np.testing.assert_array_equal(answers(frozen, images)[0], answers(model, images)[0])
        assert frozen.plan.bytes > 0 or n == 1
    assert len(frozen._prepared) == 8
    with pytest.raises(ValueError, match="conv2d: expected an input of 1 channels"):
        frozen(tt.randn(1, 2, 8, 8))


def test_a_call_allocates_its_result_and_little_else():
    tt.manual_seed(0)
    model, x = LeNet(1, 32, (8, 16), 32).eval(), tt.randn(16, 1, 32, 32)
    frozen = freeze(model, x)
    frozen(x)
    tracemalloc.start()
    try:
        frozen(x)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        frozen(x)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    activations = 4 * 16 * (8 * 32 * 32 + 8 * 16 * 16)
    assert frozen.plan.bytes > activations * 0.9
    assert peak < 10_000 < activations
    assert frozen.plan.bytes < frozen.plan.unshared


def test_threads_share_a_frozen_model():
    tt.manual_seed(0)
    model, x = MODELS["lenet"]()
    model.eval()
    frozen = freeze(model, x)
    inputs = [tt.randn(2, 1, 8, 8) for _ in range(4)]
    expected = [answers(model, one)[0] for one in inputs]
    wrong = []

    def work(i):
        for _ in range(20):
            if not np.array_equal(frozen(inputs[i]).data, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_who_watches_sees_the_layers():
    model = MLP(12, (8,), 3)
    frozen = freeze(model, tt.randn(2, 12))
    x = tt.randn(2, 12)
    assert profile(frozen, x).flops == profile(model, x).flops
    with count_ops() as counted:
        frozen(x)
    assert sum(op.calls for op in counted.ops if op.name == "linear") == 2


def test_a_frozen_model_is_a_module_that_only_answers():
    tt.manual_seed(0)
    model, x = MODELS["lenet"]()
    frozen = freeze(model, x)
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not frozen(x).requires_grad
    assert frozen.eval() is frozen
    assert set(frozen.state_dict()) == {f"model.{name}" for name in model.state_dict()}
    assert "9 operations" in repr(frozen)
    twin = copy.deepcopy(frozen)
    np.testing.assert_array_equal(answers(twin, x)[0], answers(frozen, x)[0])
    with pytest.raises(RuntimeError, match="this model only answers"):
        frozen.train()
    with pytest.raises(RuntimeError, match="its weights are fixed"):
        frozen.load_state_dict(frozen.state_dict())
    with pytest.raises(RuntimeError, match="expected a call or prepare"):
        Frozen(model).plan  # noqa: B018


class Calls(nn.Module):
    """Whatever `function` does."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def in_place(x):
    y = x * 1
    y.data[...] = np.abs(y.data)
    return y * 2


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda x: x * x.mean().item(),
            "an argument of 'mul', of shape .*, is computed from the input outside",
        ),
        (
            lambda x: tt.Tensor(x.data * 2),
            r"the result, of shape \(4, 3\), is computed from the input outside",
        ),
        (lambda x: tt.Tensor(np.tanh(x.data)) + 1, "an argument of 'add', of shape"),
        (lambda x: x.exp() if x.data[0, 0] == 0.5 else x.relu(), "go through other operations"),
        (
            lambda x: F.leaky_relu(x, float(x.data[0, 1])),
            "a parameter of 'leaky_relu' depends on the values of the input",
        ),
        (in_place, "it changes an array in place, or computes beside its operations"),
        (lambda x: {"logits": x}, "expected a model that returns a tensor or several, got dict"),
    ],
)
def test_what_a_trace_cannot_see_is_refused(function, text):
    tt.manual_seed(0)
    x = tt.randn(4, 3)
    x.data[0, 0] = 0.5
    with pytest.raises(ValueError, match=f"freeze: cannot trace Calls: .*{text}"):
        freeze(Calls(function), x)
    with pytest.raises(CannotTrace, match=text):
        Tape.of(function, [x.data])


def test_without_a_trace_a_model_may_do_what_it_likes():
    tt.manual_seed(0)
    model, x = Calls(lambda x: x * x.mean().item()), tt.randn(4, 3)
    frozen = freeze(model, x, trace=False)
    for inputs in (x, x * 3):
        np.testing.assert_array_equal(answers(frozen, inputs)[0], answers(model, inputs)[0])


def test_what_cannot_be_frozen():
    with pytest.raises(TypeError, match="freeze: expected a module, got int"):
        freeze(3, tt.ones(1))
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(TypeError, match="expected a model that returns a tensor or several, got dict"):
        freeze(Calls(lambda x: {"logits": x}), tt.ones(1), trace=False)
    with pytest.raises(RuntimeError, match=r"expected a model without hooks, .*; 0 has some"):
        freeze(model, tt.ones(1, 2))
