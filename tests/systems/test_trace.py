"""A recorded training run: what is in the file, how it nests, and that nothing is left behind."""

from __future__ import annotations

import gzip
import json
import threading

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.autograd import graph, registry
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.models import LeNet
from tinytorch.systems import record


def loader(workers=0, transform=None):
    x, y = np.ones((8, 1, 8, 8), np.float32), np.arange(8) % 10
    data = TensorDataset(tt.from_numpy(x), tt.from_numpy(y))
    return DataLoader(data, batch_size=4, num_workers=workers, transform=transform)


def train(batches):
    model = LeNet(1, 8, channels=(2, 4), hidden=8)
    optimizer = tt.optim.Adam(model.parameters())
    criterion = nn.CrossEntropyLoss()
    for x, y in batches:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def events(path):
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        trace = json.load(file)
    return trace, [event for event in trace["traceEvents"] if event["ph"] == "X"]


@pytest.mark.parametrize("name", ["trace.json", "deeper/trace.json.gz"])
def test_a_training_run(tmp_path, name):
    with record(tmp_path / name) as trace, trace.phase("epoch 1"):
        train(loader())
    file, found = events(tmp_path / name)
    assert trace.events == len(found) == file["otherData"]["events"]
    names = [event["name"] for event in found]
    assert names.count("backward") == names.count("Adam.step") == names.count("LeNet") == 2
    assert names.count("conv2d") == 4
    assert names.count("wait for a batch") == 3, "the third finds the end"
    assert {"epoch 1", "Flatten head.0", "gradient of conv2d", "conv2d_grad_weight", "gather a batch"} <= set(
        names
    )
    assert set(trace.seconds) == {"waiting for batches", "forward", "backward", "optimizer step", "epoch 1"}
    whole = trace.seconds.pop("epoch 1")
    assert sum(trace.seconds.values()) < whole
    memory = [event for event in file["traceEvents"] if event["ph"] == "C"]
    assert len(memory) == 2
    assert all(event["args"]["MiB"] >= 0 for event in memory)


def test_events_nest_and_say_what_they_are_of(tmp_path):
    with record(tmp_path / "trace.json"):
        train(loader())
    _, found = events(tmp_path / "trace.json")
    for event in found:
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        assert {"name", "cat", "pid", "tid"} <= set(event)
    first = next(event for event in found if event["name"] == "conv2d")
    assert first["args"]["inputs"] == "4×1×8×8, 2×1×3×3, 2"
    assert first["args"]["result"] == "4×2×8×8"
    assert first["args"]["FLOPs"] == 4 * 2 * 64 * (2 * 9 + 1)
    model = next(event for event in found if event["name"] == "LeNet")
    assert model["ts"] <= first["ts"]
    assert first["ts"] + first["dur"] <= model["ts"] + model["dur"] + 1e-3
    ends: list[float] = []
    for event in sorted(found, key=lambda event: (event["ts"], -event["dur"])):
        while ends and ends[-1] <= event["ts"] + 1e-3:
            ends.pop()
        assert not ends or event["ts"] + event["dur"] <= ends[-1] + 1e-3, "neither beside nor inside"
        ends.append(event["ts"] + event["dur"])


def test_the_way_back_through_a_fused_linear_layer_has_its_flops(tmp_path):
    layer, x = nn.Linear(6, 5), tt.ones(4, 6, requires_grad=True)
    with record(tmp_path / "trace.json"):
        layer(x).sum().backward()
    _, found = events(tmp_path / "trace.json")
    back = next(event for event in found if event["name"] == "gradient of linear")
    inner = [e["name"] for e in found if e["cat"] == "backward" and e["name"].startswith("matmul")]
    assert back["args"].get("FLOPs") == (None if inner else 2 * 2 * 4 * 6 * 5 + 4 * 5)


def test_batches_that_a_thread_makes_stand_on_its_line(tmp_path):
    with record(tmp_path / "trace.json"):
        train(loader(workers=1, transform=lambda images, generator: images))
    file, found = events(tmp_path / "trace.json")
    names = {e["tid"]: e["args"]["name"] for e in file["traceEvents"] if e["name"] == "thread_name"}
    made = {names[event["tid"]] for event in found if event["name"] == "make a batch"}
    assert made == {"tinytorch-loader"}
    assert names[next(e["tid"] for e in found if e["name"] == "LeNet")] == threading.current_thread().name


def test_results_are_those_without_it(tmp_path):
    def losses():
        tt.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
        loss = model(tt.ones(3, 4)).sum()
        loss.backward()
        return loss.item(), [p.grad.numpy().copy() for p in model.parameters()]

    expected = losses()
    with record(tmp_path / "trace.json"):
        found = losses()
    assert found[0] == expected[0]
    for one, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_left_behind_and_the_file_is_written_after_an_error(tmp_path):
    before = nn.Module.__call__, graph.backward, graph._gradients, tt.optim.SGD.step, DataLoader._timed
    forward = registry.REGISTRY["linear"].forward
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    with pytest.raises(ValueError, match="linear"), record(tmp_path / "trace.json"):
        model(tt.ones(2, 3))
    after = nn.Module.__call__, graph.backward, graph._gradients, tt.optim.SGD.step, DataLoader._timed
    assert after == before
    assert registry.REGISTRY["linear"].forward is forward
    _, found = events(tmp_path / "trace.json")
    assert [event["name"] for event in found] == ["linear", "Sequential"]


def test_what_comes_after_so_many_events_is_counted_only(tmp_path):
    x = tt.ones(3)
    with record(tmp_path / "trace.json", max_events=2) as trace:
        for _ in range(5):
            x + x
    file, found = events(tmp_path / "trace.json")
    assert (len(found), trace.dropped) == (2, 3)
    assert file["otherData"]["not recorded"] == "3 events after the first 2"
    with pytest.raises(ValueError, match="record: expected max_events of 1 or more, got 0"):
        record(tmp_path / "trace.json", max_events=0)


def test_two_recordings_and_a_profile_at_once(tmp_path):
    layer = nn.Linear(3, 2)
    with record(tmp_path / "a.json") as a:
        with record(tmp_path / "b.json") as b:
            layer(tt.ones(1, 3))
        layer(tt.ones(1, 3))
    assert (a.events, b.events) == (4, 2)
