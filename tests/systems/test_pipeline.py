"""The pipeline: what is in the history was measured on the model of that step."""

from __future__ import annotations

import json

import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.models import MLP
from tinytorch.systems import (
    Pipeline,
    PipelineError,
    file_bytes,
    prune_channels,
    prune_magnitude,
    sparse_file_bytes,
)

X = tt.zeros(2, 16)


def _halve(model):
    return prune_channels(model, 0.5, example_input=X)


def _sparse(model):
    prune_magnitude(model, 0.5)
    return model


def _zeros(model):
    return float(sum((p.data == 0).sum() for p in model.parameters()))


def _pipeline(steps, **options):
    return Pipeline(steps, **{"evaluate": _zeros, "example_input": X, "seconds": 0.02, **options})


def test_every_step_is_measured():
    model = MLP(16, (256, 128), 3)
    pipeline = _pipeline({"halve": _halve, "sparse": _sparse}, metric="zeros")
    result = pipeline.run(model)
    original, halved, sparse = pipeline.history
    assert [stage.name for stage in pipeline.history] == ["original", "halve", "sparse"]
    assert original.bytes == file_bytes(model)
    assert halved.bytes == sparse.bytes == file_bytes(result)
    assert (original.metric, halved.metric, sparse.metric) == (0, 0, _zeros(result))
    assert sparse.metric > 0
    assert original.params == 16 * 256 + 256 + 256 * 128 + 128 + 128 * 3 + 3
    assert halved.params == sparse.params == sum(p.data.size for p in result.parameters())
    for stage in pipeline.history:
        assert stage.latency.p50 > 0
        assert stage.latency.batch == 2
        assert stage.speedup_ci95[0] <= stage.speedup <= stage.speedup_ci95[1]
    assert halved.seconds > 0
    assert _zeros(model) == 0, "no step changed the given model: the first made a copy"


def test_the_history_can_be_written_down():
    pipeline = _pipeline([("sparse", _sparse)], size=sparse_file_bytes, metric="zeros")
    pipeline.run(MLP(16, (64, 8), 3))
    told = json.loads(pipeline.to_json())
    assert told == json.loads(json.dumps(pipeline.to_dict()))
    assert told["metric"] == "zeros"
    assert [stage["name"] for stage in told["stages"]] == ["original", "sparse"]
    assert told["stages"][1]["latency"]["p50"] == pipeline.history[1].latency.p50
    assert told["stages"][1]["bytes"] < told["stages"][0]["bytes"]
    lines = pipeline.to_table().splitlines()
    assert lines[0].split()[:5] == ["step", "parameters", "bytes", "smaller", "zeros"]
    assert [line.split()[0] for line in lines[2:]] == ["original", "sparse"]
    assert f"{pipeline.history[1].bytes:,}" in lines[3]


def test_it_measures_in_evaluation_mode_and_restores_the_model():
    model, modes = nn.Sequential(nn.Linear(16, 4), nn.BatchNorm1d(4).eval(), nn.Dropout(0.5)), []

    def evaluate(model):
        modes.append([module.training for module in model.modules()])
        model.train()
        return 0.0

    _pipeline({"nothing": lambda model: model}, evaluate=evaluate).run(model)
    assert modes == [[False] * 4] * 2
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_a_second_run_begins_anew():
    pipeline = _pipeline({"halve": _halve})
    pipeline.run(MLP(16, (8,), 3))
    pipeline.run(MLP(16, (4,), 3))
    assert [stage.params for stage in pipeline.history] == [16 * 4 + 4 + 4 * 3 + 3, 16 * 2 + 2 + 2 * 3 + 3]


def test_a_failing_step_is_named_and_leaves_the_history():
    def fail(model):
        raise ZeroDivisionError("too small")

    pipeline = _pipeline({"halve": _halve, "fail": fail, "sparse": _sparse})
    with pytest.raises(
        PipelineError, match=r"step 2 of 3, 'fail', failed: too small\n.*original, halve"
    ) as e:
        pipeline.run(MLP(16, (8,), 3))
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    assert [stage.name for stage in pipeline.history] == ["original", "halve"]
    pipeline = _pipeline({"forgot": lambda model: None})
    with pytest.raises(PipelineError, match="'forgot', failed: expected a step to return a model, got None"):
        pipeline.run(MLP(16, (8,), 3))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "expected at least one step, got none"),
        ([("a", _halve), ("a", _halve)], "a name of its own for each step, got original, a, a"),
        ([("original", _halve)], "a name of its own for each step"),
    ],
)
def test_refusals(steps, message):
    with pytest.raises(ValueError, match=message):
        _pipeline(steps)
