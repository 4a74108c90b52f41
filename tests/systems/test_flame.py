"""What memray finds: its peak, the activations that a profile counts, and a page that needs no network."""

from __future__ import annotations

import gc
import re

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.models import LeNet
from tinytorch.systems import (
    memory_flame_graph,
    memray_available,
    memray_peak,
    profile,
)
from tinytorch.systems.profiling import flame

needs_memray = pytest.mark.skipif(not memray_available(), reason="memray is not installed")
MIB = 1 << 20


@needs_memray
def test_the_peak_is_what_was_alive_together():
    def work():
        a = np.ones(3 * MIB, np.uint8)
        del a
        return np.ones(2 * MIB, np.uint8)

    assert 3.0 <= memray_peak(work) / MIB < 3.2


@needs_memray
def test_the_activations_of_a_profile_are_what_memray_finds_alive(tmp_path):
    import memray

    model, x = LeNet(3, 32, channels=(16, 16), hidden=64), tt.ones(16, 3, 32, 32)
    costs = profile(model, x, repeats=1)
    assert sum(layer.activation_bytes for layer in costs.layers) == costs.activation_bytes
    gc.collect()
    tt.empty_cache()
    with memray.Tracker(tmp_path / "capture.bin"):
        kept = model(x)
        tt.empty_cache()
    with memray.FileReader(tmp_path / "capture.bin") as reader:
        alive = sum(record.size for record in reader.get_leaked_allocation_records(merge_threads=True))
    assert kept.shape == (16, 10)
    assert costs.activation_bytes == pytest.approx(alive, rel=0.05)


@needs_memray
def test_the_peaks_of_a_profile_are_memrays():
    model, x = LeNet(3, 32, channels=(16, 16), hidden=64), tt.ones(16, 3, 32, 32)

    def whole():
        model(x).sum().backward()
        model.zero_grad()

    costs = profile(model, x, repeats=1)
    assert costs.peak_forward_bytes == pytest.approx(memray_peak(lambda: model(x)), rel=0.05)
    assert costs.peak_bytes == pytest.approx(memray_peak(whole), rel=0.05)


@needs_memray
def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    path = memory_flame_graph(lambda: np.ones(MIB, np.uint8), tmp_path / "folder" / "memory.html")
    page = path.read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None
    assert page.index(policy[0]) < page.index("<script")
    assert "default-src 'none'" in policy[1]
    assert "http" not in policy[1]
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=\s*["\']?(?:https?:)?//', page)
    assert "test_flame.py" in page


def test_without_memray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(flame, "memray_available", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=r"memray_peak: expected memray.*pip install memray"):
        memray_peak(lambda: None)
    with pytest.raises(ModuleNotFoundError, match="memory_flame_graph: expected memray"):
        memory_flame_graph(lambda: None, tmp_path / "memory.html")
