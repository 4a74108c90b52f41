"""Costs equal what is counted by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.autograd import registry
from tinytorch.kernels import _jit
from tinytorch.models import MLP, Perceptron
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
    assert [layer.activation_bytes for layer in costs.layers] == [0, 512, 512, 256, 256, 40]
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
    assert [layer.activation_bytes for layer in (conv, relu, pool, flat)] == [131_072, 131_072, 32_768, 0]


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
