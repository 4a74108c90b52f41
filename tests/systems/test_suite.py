"""The suite: what it runs, what it writes, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.systems import SuiteResult, file_bytes, run_suite


class Seen(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.batches = nn.Linear(3, 2), []

    def forward(self, x):
        self.batches.append(len(x))
        return self.layer(x)


def small(**options):
    tt.manual_seed(0)
    model, x = Seen(), tt.randn(10, 3)
    with tt.no_grad():
        labels = model(x).data.argmax(1)
    labels[0] = 1 - labels[0]
    model.batches.clear()
    entries = {"seen": (model, x, labels), "other": (lambda t: t, x.data, None)}
    return model, run_suite(entries, rounds=6, warmup=0, batch=4, **options)


def test_both_scenarios_of_every_model():
    model, result = small(seed=3)
    assert [(row.model, row.scenario, row.batch) for row in result.rows] == [
        ("seen", "single_stream", 1), ("seen", "offline", 10),
        ("other", "single_stream", 1), ("other", "offline", 10),
    ]  # fmt: skip
    assert set(model.batches) == {1, 4, 2}
    first = result.rows[0]
    assert first.quality == 0.9
    assert first.bytes == file_bytes(model)
    assert (result.rows[2].quality, result.rows[2].bytes) == (None, None)
    for row in result.rows:
        assert len(row.blocks) == 6
        assert row.ci95[0] <= row.p50 <= row.ci95[1]
        assert row.throughput == row.batch / row.p50
    assert {name: len(blocks) for name, blocks in result.references.items()} == {
        "one thread": 6,
        "all threads": 6,
    }
    assert result.settings["seed"] == 3
    assert result.settings["rounds"] == 6
    assert model.training


def test_a_result_is_read_as_it_was_written(tmp_path):
    _, result = small(scenarios=("offline",))
    path = tmp_path / "suite.json"
    result.save(path)
    assert SuiteResult.load(path) == result
    content = json.loads(path.read_text())
    assert content["machine"]["threads"] >= 1
    assert content["machine"]["processor"]
    assert content["machine"]["simd_bits"] in (128, 256, 512)
    assert content["versions"]["numpy"] == np.__version__
    assert content["versions"]["tinytorch"] == tt.__version__
    path.write_text("{}")
    with pytest.raises(ValueError, match="to be a result file of the format 'tinytorch-suite-1', got None"):
        SuiteResult.load(path)


def test_quality_may_be_a_function_of_the_model():
    model = Seen()
    result = run_suite({"a": (model, tt.ones(2, 3), lambda m: 7.0 * (m is model))}, rounds=6, warmup=0)
    assert result.rows[0].quality == 7.0


@pytest.mark.parametrize(
    ("entries", "options", "error", "text"),
    [
        ({}, {}, ValueError, "expected at least one model, got none"),
        ({"a": 3}, {}, TypeError, r"expected \(model, inputs, labels or evaluate\) for 'a', got 3"),
        (
            {"a": (abs, np.ones((0, 3)), None)},
            {},
            ValueError,
            r"expected inputs \(n, ...\) of 'a', n of 1 or more",
        ),
        (
            {"a": (abs, np.ones(2), None)},
            {"scenarios": ("server",)},
            ValueError,
            "single_stream, offline, got",
        ),
        ({"a": (abs, np.ones(2), np.ones(3))}, {}, ValueError, r"expected 2 labels of 'a', got shape \(3,\)"),
    ],
)
def test_what_no_suite_can_be_made_of(entries, options, error, text):
    with pytest.raises(error, match=text):
        run_suite(entries, rounds=6, **options)
