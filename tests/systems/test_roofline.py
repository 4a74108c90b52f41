"""The roofline's arithmetic, and measurements that can be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tinytorch import nn
from tinytorch.systems import Machine, bandwidth, profile, roofline
from tinytorch.systems import machine as measured
from tinytorch.systems.profiling.roofline import last_level_cache, processor

MACHINE = Machine(100.0, 20.0, 50.0, 2, "one", 1 << 20, 1 << 22)


def test_the_roof_by_hand():
    assert MACHINE.ridge == 5.0
    assert MACHINE.attainable(1.0) == 20.0
    assert MACHINE.attainable(5.0) == MACHINE.attainable(500.0) == 100.0
    assert json.loads(json.dumps(MACHINE.to_dict()))["ridge"] == 5.0


def test_layers_under_the_roof():
    model = nn.Sequential(nn.Linear(256, 256), nn.Tanh(), nn.Flatten())
    costs = profile(model, (256,), batch_size=64, repeats=2)
    linear, tanh = roofline(costs, MACHINE)
    assert (linear.name, tanh.name) == ("0", "1"), "what computes nothing is left out"
    assert (linear.bound, tanh.bound) == ("compute", "memory")
    assert linear.attainable == 100.0
    assert tanh.attainable == pytest.approx(20.0 * tanh.flops / tanh.bytes)
    assert linear.reached == pytest.approx(costs.layers[0].work.flops / costs.layers[0].seconds / 1e9)
    assert linear.efficiency == pytest.approx(linear.reached / 100.0)
    assert linear.share + tanh.share <= 1


def test_a_profile_without_times_is_refused():
    with pytest.raises(ValueError, match="roofline: expected a profile with times, got one of repeats=0"):
        roofline(profile(nn.Linear(3, 2), (3,), repeats=0), MACHINE)


def test_bandwidth_is_a_rate():
    assert 0.01 < bandwidth(1 << 20, seconds=0.01) < 1e5


def test_what_is_measured_is_remembered(monkeypatch):
    from tinytorch.systems import machine as call

    module = __import__("sys").modules[call.__module__]
    monkeypatch.setattr(module, "last_level_cache", lambda: 1 << 20)
    monkeypatch.setattr(module, "_SMALLEST", 1 << 21)
    found = measured(refresh=True)
    try:
        assert found.peak_gflops > 0
        assert found.array_bytes == 1 << 21
        assert np.isfinite(found.ridge)
        assert measured() is found
    finally:
        module._measured.cache_clear()


def test_the_processor_has_a_name():
    assert processor().endswith("cores")
    assert last_level_cache() >= 0
