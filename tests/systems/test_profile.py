"""Costs equal what is counted by hand."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.autograd import registry
from tinytorch.kernels import _jit
from tinytorch.models import GPT, MLP, GPTConfig, LeNet, Perceptron
from tinytorch.systems import count_ops, latency, peak_memory, process_peak, profile

MIB = 1 << 20


def test_the_mnist_network_by_hand():
    costs = profile(MLP(784, (128, 64), 10), tt.zeros(1, 28, 28))
    products = 2 * (784 * 128 + 128 * 64 + 64 * 10)
    assert costs.params == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10 == 109_386
    assert costs.flops == products + (128 + 64 + 10) + (128 + 64) == 218_762
    assert costs.param_bytes == 4 * 109_386
    assert [layer.kind for layer in costs.layers] == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [layer.params for layer in costs.layers] == [0, 100_480, 0, 8_256, 0, 650]
    assert [layer.flops for layer in costs.layers] == [0, 200_832, 128, 16_448, 64, 1_290]
    assert [layer.output_bytes for layer in costs.layers] == [0, 512, 512, 256, 256, 40]
    assert [layer.output_shape for layer in costs.layers][-1] == (1, 10)
    assert costs.layers[1].name == "hidden.1"


def test_the_perceptron_by_hand():
    costs = profile(Perceptron(2), tt.zeros(1, 2))
    assert costs.params == 3
    assert costs.layers[0].flops == 2 * 2 + 1
    assert costs.flops == sum(layer.flops for layer in costs.layers)


def test_flops_grow_with_the_batch_and_parameters_do_not():
    model = MLP(8, (4,), 2)
    one, ten = profile(model, tt.zeros(1, 8)), profile(model, tt.zeros(10, 8))
    assert ten.flops == 10 * one.flops
    assert ten.params == one.params


def test_a_layer_that_runs_twice_has_two_entries_and_one_set_of_parameters():
    layer = nn.Linear(3, 3)
    costs = profile(nn.Sequential(layer, nn.Tanh(), layer), tt.zeros(1, 3))
    assert [entry.params for entry in costs.layers if entry.kind == "Linear"] == [12, 0]
    assert costs.params == 12


def test_a_convolution_by_hand():
    """Its result comes from the pool of buffers, as its input does."""
    model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    x = nn.functional.relu(tt.ones(1, 3, 32, 32))
    conv, relu, pool, flat = profile(model, x).layers
    assert (conv.params, conv.flops) == (3 * 32 * 9 + 32, 2 * 27 * 32 * 1024 + 32 * 1024)
    assert [layer.output_bytes for layer in (conv, relu, pool, flat)] == [131_072, 131_072, 32_768, 0]


def test_it_looks_at_the_model_as_it_is_used():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5).eval())
    before = model.state_dict()["0.running_mean"].data.copy()
    profile(model, tt.ones(4, 3))
    assert (model.state_dict()["0.running_mean"].data == before).all()
    assert [module.training for module in model.modules()] == [True, True, False]


def test_profiling_leaves_no_trace():
    model = MLP(8, (4,), 2)
    before = len(registry.observers)
    profile(model, tt.zeros(1, 8))
    with pytest.raises(ValueError, match="linear: expected an input with 8 features"):
        profile(model, tt.zeros(1, 7))
    assert len(registry.observers) == before
    assert all(module._hooks is None for module in model.modules())


def by_name(costs):
    return {layer.name: layer for layer in costs.layers}


ROWS, WIDTH = 12, 16


@pytest.mark.parametrize(
    ("layer", "shape", "params", "flops"),
    [
        (nn.Linear(7, 5), (7,), 7 * 5 + 5, 2 * 7 * 5 + 5),
        (nn.Linear(7, 5, bias=False), (3, 7), 7 * 5, 3 * 2 * 7 * 5),
        (nn.Conv2d(3, 8, 5), (3, 12, 12), 3 * 8 * 25 + 8, 64 * 8 * (2 * 3 * 25 + 1)),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), (4, 8, 8), 4 * 8 * 9, 16 * 8 * 2 * 4 * 9),
        (nn.Conv2d(4, 4, 3, groups=4), (4, 5, 5), 4 * 9 + 4, 9 * 4 * (2 * 9 + 1)),
        (nn.Conv1d(2, 3, 3), (2, 10), 2 * 3 * 3 + 3, 8 * 3 * (2 * 2 * 3 + 1)),
        (nn.MaxPool2d(2), (3, 8, 8), 0, 3 * 16 * 4),
        (nn.AvgPool2d(2), (3, 8, 8), 0, 3 * 64),
        (nn.AdaptiveAvgPool2d(1), (3, 8, 8), 0, 3 * 64),
        (nn.BatchNorm2d(3), (3, 8, 8), 6, 8 * 3 * 64),
        (nn.LayerNorm(WIDTH), (5, WIDTH), 2 * WIDTH, 8 * 5 * WIDTH),
        (nn.ReLU(), (10,), 0, 10),
        (nn.Softmax(-1), (10,), 0, 4 * 10),
        (nn.Flatten(), (2, 3, 4), 0, 0),
        (nn.Dropout(0.5), (10,), 0, 0),
        (nn.Embedding(11, 5), (7,), 11 * 5, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_by_hand(layer, shape, params, flops):
    costs = profile(layer, shape, repeats=0)
    assert (costs.params, costs.flops) == (params, flops)
    assert sum(entry.params for entry in costs.layers) == params
    assert profile(layer, shape, batch_size=3, repeats=0).flops == 3 * flops


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def test_attention_by_hand():
    """Three projections, the scores and the sums of values are its own; the last projection is a layer."""
    own, last = profile(Attends(), (ROWS, WIDTH), repeats=0).layers
    projections = ROWS * (2 * WIDTH * 3 * WIDTH + 3 * WIDTH)
    assert (own.name, own.params) == ("attention", 3 * WIDTH * WIDTH + 3 * WIDTH)
    assert own.flops == projections + 2 * 2 * ROWS * ROWS * WIDTH
    assert (last.params, last.flops) == (WIDTH * WIDTH + WIDTH, ROWS * (2 * WIDTH * WIDTH + WIDTH))


def test_a_whole_lenet_by_hand():
    costs = profile(LeNet(1, 28, channels=(6, 16), hidden=120), (1, 28, 28), repeats=0)
    conv1 = 28 * 28 * 6 * (2 * 9 + 1)
    conv2 = 14 * 14 * 16 * (2 * 6 * 9 + 1)
    fc1, fc2 = 120 * (2 * 16 * 49 + 1), 10 * (2 * 120 + 1)
    relus = 6 * 28 * 28 + 16 * 14 * 14 + 120
    pools = 4 * (6 * 14 * 14 + 16 * 7 * 7)
    assert costs.flops == conv1 + conv2 + fc1 + fc2 + relus + pools
    assert costs.params == (6 * 9 + 6) + (16 * 6 * 9 + 16) + (120 * 784 + 120) + (10 * 120 + 10)
    assert [layer.flops for layer in costs.layers if layer.params] == [conv1, conv2, fc1, fc2]


def test_a_gpt_block_by_hand():
    t, c, v = 10, 16, 11
    costs = profile(
        GPT(GPTConfig(vocab_size=v, block_size=t, n_layer=1, n_head=2, n_embd=c)), (t,), repeats=0
    )
    layers = by_name(costs)
    assert layers["wte"].params == v * c
    assert layers["wpe"].params == t * c, "it is read, though never called"
    assert layers["h.0.ln_1"].flops == 8 * t * c
    assert layers["h.0.attn.c_attn"].flops == t * 3 * c * (2 * c + 1)
    assert layers["h.0.attn"].flops == 4 * c * t * (t + 1) // 2, "each token and those before it"
    assert layers["h.0.attn.c_proj"].flops == t * c * (2 * c + 1)
    assert layers["h.0"].flops == 2 * t * c, "two sums"
    assert layers["h.0.mlp.c_fc"].flops == t * 4 * c * (2 * c + 1)
    assert layers["h.0.mlp"].flops == 8 * t * 4 * c, "GELU"
    assert layers["h.0.mlp.c_proj"].flops == t * c * (2 * 4 * c + 1)
    assert layers["gpt"].flops == t * c + 2 * t * c * v, "positions added, and the table as the last layer"
    assert costs.params == v * c + t * c + 6 * c + (c * 3 * c + 3 * c) + (c * c + c) + 2 * 4 * c * c + 5 * c
    assert costs.flops == sum(layer.flops for layer in costs.layers)


class Sums(nn.Module):
    def forward(self, a, b):
        return a + b


def test_shapes_batches_and_tokens():
    images = profile(nn.Conv2d(1, 2, 3), (1, 8, 8), batch_size=5, repeats=0)
    assert images.input_shapes == [(5, 1, 8, 8)]
    assert profile(nn.Linear(4, 2), 4, repeats=0).input_shapes == [(1, 4)]
    assert profile(nn.Linear(4, 2), np.zeros((6, 4), np.float32), repeats=0).input_shapes == [(6, 4)]
    table = nn.Embedding(9, 4)
    assert profile(table, (3,), repeats=0).layers[0].output_shape == (1, 3, 4)
    assert profile(table, np.array([[1, 2]]), repeats=0).layers[0].output_shape == (1, 2, 4)
    two = profile(Sums(), (tt.ones(5, 2), np.ones((5, 1), np.float32)), repeats=0)
    assert two.input_shapes == [(5, 2), (5, 1)]


def test_what_it_refuses():
    with pytest.raises(TypeError, match="profile: expected a module, got function"):
        profile(lambda x: x, (3,))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"profile: expected the shape of an example.*; got str"):
        profile(nn.Linear(3, 2), "three")
    with pytest.raises(ValueError, match=r"profile: expected sizes of 1 or more, got \(0,\)"):
        profile(nn.Linear(3, 2), (0,))
    with pytest.raises(ValueError, match="profile: expected repeats from 0 up, got -1"):
        profile(nn.Linear(3, 2), (3,), repeats=-1)
    with pytest.raises(TypeError, match=r"one element, got a tensor of shape \(1, 2\)"):
        profile(nn.Linear(3, 2), (3,), loss=lambda output: output)
    with pytest.raises(ValueError, match="conv2d") as caught:
        profile(nn.Conv2d(3, 4, 3), (2, 3, 8, 8))
    assert "batch_size= gives more examples" in caught.value.__notes__[0]


def test_all_the_time_is_somebodys():
    model = LeNet(1, 8, channels=(4, 8), hidden=16)
    y = tt.arange(16) % 10
    costs = profile(
        model, (1, 8, 8), batch_size=16, loss=lambda out: nn.CrossEntropyLoss()(out, y), repeats=4
    )
    layers = by_name(costs)
    loss, between = costs.rest
    assert costs.with_backward
    assert costs.repeats == 4
    assert costs.seconds == pytest.approx(costs.forward.seconds + costs.backward.seconds)
    assert costs.clock > 0
    for name in ("features.0", "features.2", "features.3", "head.1", "head.3"):
        assert layers[name].forward.seconds > 0
        assert layers[name].backward.seconds > 0, name
    assert loss.forward.seconds > 0
    assert loss.backward.seconds > 0
    assert 0 < between.seconds < costs.seconds / 2
    ops = {op.name: op for op in costs.ops}
    assert ops["conv2d"].calls == 2
    assert ops["conv2d"].backward.seconds > 0
    assert sum(op.seconds for op in costs.ops) < costs.seconds


def test_what_runs_is_what_runs_without_it():
    """Fused layers stay fused: the ReLU is computed in the product of its `Linear`, and has no time."""
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    first, relu, last = profile(model, (6,), batch_size=4, repeats=1).layers
    assert (first.flops, relu.flops) == (4 * (2 * 6 * 5 + 5), 4 * 5)
    assert (first.forward.flops, relu.forward.flops) == (4 * (2 * 6 * 5 + 5) + 4 * 5, 0)
    assert relu.seconds == 0
    assert first.forward.bytes == 4 * (4 * 6 + 6 * 5 + 5 + 4 * 5)
    assert first.forward.intensity == first.forward.flops / first.forward.bytes
    # The products for the gradients of weight and input, but there is none of the first input.
    assert last.backward.flops >= 2 * 2 * 4 * 5 * 2
    assert first.backward.flops >= 2 * 4 * 6 * 5


def test_a_relu_behind_the_pooling_does_a_quarter_of_the_work():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    conv, relu, pool = profile(model, (1, 8, 8), repeats=1).layers
    assert (relu.flops, relu.forward.flops) == (2 * 64, 2 * 16)
    assert pool.forward.flops == pool.flops
    assert conv.forward.flops == conv.flops


@pytest.mark.parametrize("fused", [True, False])
def test_what_the_backward_pass_keeps_by_hand(fused):
    """The first layer's input is the caller's; its result is kept once, by whoever saves it first."""
    relu = nn.ReLU() if fused else nn.Tanh()
    model = nn.Sequential(nn.Linear(6, 50), relu, nn.Linear(50, 2))
    costs = profile(model, (6,), batch_size=8, repeats=0)
    kept = 4 * 8 * 50
    assert [layer.activation_bytes for layer in costs.layers] == ([kept, 0, 0] if fused else [0, kept, 0])
    assert costs.activation_bytes == kept
    assert profile(model, (6,), backward=False, repeats=0).activation_bytes == 0


def test_it_leaves_gradients_modes_and_random_numbers_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    model(tt.ones(3, 4)).sum().backward()
    gradients = [p.grad for p in model.parameters()]
    mean = model[1].running_mean.numpy().copy()
    tt.manual_seed(3)
    expected = tt.rand(4)
    tt.manual_seed(3)
    profile(model, (4,), batch_size=5, repeats=2)
    assert tt.equal(tt.rand(4), expected)
    assert [p.grad for p in model.parameters()] == gradients
    np.testing.assert_array_equal(model[1].running_mean.numpy(), mean)
    assert all(module.training for module in model.modules())
    assert "_plan" not in model.__dict__ or all(
        at is None or "watched" not in at.__name__ for _, at in model._plan
    )


def test_watching_ends_with_it():
    call, forward = nn.Module.__call__, registry.REGISTRY["linear"].forward
    with pytest.raises(RuntimeError, match="stop"):
        profile(nn.Linear(3, 2), (3,), loss=lambda output: stop())
    assert nn.Module.__call__ is call
    assert registry.REGISTRY["linear"].forward is forward
    assert not registry.observers


def stop():
    raise RuntimeError("stop")


def test_a_model_without_gradients_has_no_backward_pass():
    costs = profile(nn.MaxPool2d(2), (1, 4, 4), repeats=1)
    assert not costs.with_backward
    assert costs.backward.seconds == 0
    assert costs.forward.seconds > 0


def test_the_table_and_the_dict():
    costs = profile(nn.Sequential(nn.Linear(784, 10), nn.ReLU()), (784,), batch_size=2, repeats=2)
    text = str(costs)
    for expected in ("input 2×784", "Linear 0", "ReLU 1", "7,850", "in all", "100.0%", "by the clock"):
        assert expected in text
    counted = str(profile(nn.Linear(3, 2), (3,), backward=False, repeats=0))
    assert "backward" not in counted
    assert "by the clock" not in counted
    found = json.loads(json.dumps(costs.to_dict()))
    assert found["params"] == 7850
    assert found["layers"][0]["forward"]["flops"] == costs.layers[0].forward.flops
    assert found["seconds"] == pytest.approx(costs.seconds)


def test_operations_of_a_training_step():
    model = nn.Linear(6, 5)
    with count_ops() as counted:
        model(tt.ones(4, 6)).sum().backward()
    ops = {op.name: op for op in counted.ops}
    assert ops["linear"].flops == 2 * 4 * 6 * 5 + 4 * 5
    assert ops["matmul_grad_b"].flops == 2 * 4 * 6 * 5
    assert ops["linear"].calls == 1
    assert ops["linear"].bytes == 4 * (4 * 6 + 5 * 6 + 5 + 4 * 5)
    assert counted.flops == sum(op.flops for op in counted.ops)
    assert all(op.seconds > 0 for op in counted.ops)


def test_time_between_operations_belongs_to_none_of_them():
    x = tt.ones(8)
    with count_ops() as counted:
        x + x
        time.sleep(0.05)
        x * x
    assert sum(op.seconds for op in counted.ops) < 0.05 <= counted.outside
    assert counted.seconds == pytest.approx(counted.outside + sum(op.seconds for op in counted.ops))


def test_compiling_is_not_the_time_of_an_operation(monkeypatch):
    op = registry.REGISTRY["relu"]
    monkeypatch.setattr(_jit._clock, "seconds", _jit._clock.seconds)

    def compiling(x, forward=op.forward):
        time.sleep(0.05)
        _jit._clock.seconds += 0.05
        return forward(x)

    monkeypatch.setattr(op, "forward", compiling)
    with count_ops() as counted:
        op(tt.ones(8))
    (relu,) = counted.ops
    assert relu.seconds < 0.05
    assert counted.seconds < 0.05


def test_a_warm_up_can_be_forgotten():
    x = tt.ones(8)
    with count_ops() as counted:
        x + x
        time.sleep(0.05)
        counted.reset()
        x * x
    assert [op.name for op in counted.ops] == ["mul"]
    assert counted.seconds < 0.05


def test_counters_in_any_order_leave_the_operations_as_they_were():
    op = registry.REGISTRY["add"]
    forward, x = op.forward, tt.ones(8)
    first, second = count_ops(), count_ops()
    first.__enter__()
    second.__enter__()
    x + x
    first.__exit__()
    assert op.forward is not forward, "somebody still measures its time"
    x + x
    second.__exit__()
    assert (first.ops[0].calls, second.ops[0].calls) == (1, 2)
    assert op.forward is forward


def test_peak_memory_counts_what_is_alive_together():
    with peak_memory() as peak:
        a = np.ones(3 * MIB, np.uint8)
        del a
        b = np.ones(2 * MIB, np.uint8)
    assert 3.0 <= peak.mib < 3.2
    del b


def test_peak_memory_counts_pooled_buffers_and_not_what_was_there():
    there = tt.ones(MIB)  # 4 MiB
    there + there  # has its kernel ready
    with peak_memory() as peak:
        there + there
    assert 4.0 <= peak.mib < 4.6


def test_peak_memory_of_a_step_is_what_was_counted():
    """Parameters, gradients, two moments and activations, and at most half as much again."""

    def steps():
        model = MLP(256, (512,), 10)
        optimizer = tt.optim.AdamW(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(model(x), y).backward()
            optimizer.step()

    batch = 64
    x, y = tt.zeros(batch, 256), tt.zeros(batch).to(np.int64)
    steps()
    with peak_memory() as peak:
        steps()
    params = 256 * 512 + 512 + 512 * 10 + 10
    counted = 4 * (4 * params + batch * (512 + 10))
    assert counted <= peak.bytes <= 1.5 * counted


def test_peaks_can_be_nested():
    with peak_memory() as outer, peak_memory() as inner:
        np.ones(MIB, np.uint8)
    assert inner.mib >= 1.0
    assert outer.mib >= inner.mib - 0.1


def test_the_process_is_larger_than_its_arrays():
    peak = process_peak()
    assert peak is None or peak > 30 * MIB


def test_latency_is_a_median():
    calls = []
    seconds = latency(lambda: calls.append(1), repeats=5, warmup=2)
    assert len(calls) == 7
    assert 0 < seconds < 0.01
    with pytest.raises(ValueError, match="latency: expected at least one repeat, got 0"):
        latency(lambda: None, repeats=0)
