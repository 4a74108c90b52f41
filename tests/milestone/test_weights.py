"""Pre-trained weights: saved as small as accuracy allows, refused when they do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.milestone import Run, weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trained(milestones):
    milestone = milestones["perceptron_trained"]
    data = milestone.load(tt.datasets.DatasetManager(), 0)
    return Run(milestone, data, epochs=20, batch_size=1000, lr=0.5, seed=0).train()


def test_saved_and_loaded(trained, tmp_path):
    reached = trained.evaluate(trained.data.test)
    path = tmp_path / "weights" / "w.safetensors"
    told = weights.save(trained, path, reached, "python x.py --save-weights")
    assert told.startswith("float16")
    fresh = trained.milestone.build()
    facts = weights.load(fresh, path, "")
    assert facts == {
        "command": "python x.py --save-weights",
        "seed": 0,
        "accuracy": round(reached, 4),
        "dtype": "float16",
    }
    expected = trained.model.linear.weight.data.astype(np.float16)
    assert np.array_equal(fresh.linear.weight.data, expected.astype(np.float32))


def test_float32_where_float16_would_cost_accuracy(trained, tmp_path):
    trained.model.linear.weight.data[:] *= 1e6  # infinite in float16
    reached = trained.evaluate(trained.data.test)
    told = weights.save(trained, tmp_path / "w.safetensors", reached, "")
    assert told.startswith("float32")
    assert trained.evaluate(trained.data.test) == reached


def test_missing_or_foreign_weights_end_with_3_and_the_command(run, milestones, tmp_path, monkeypatch):
    milestone = milestones["perceptron_trained"]
    elsewhere = property(lambda self: tmp_path / "w.safetensors")
    monkeypatch.setattr(type(milestone), "weights_file", elsewhere)
    for make in (
        lambda: None,
        lambda: (tmp_path / "w.safetensors").write_bytes(b"nonsense"),
        lambda: tt.save({"weights": tt.nn.Linear(3, 1).state_dict()}, tmp_path / "w.safetensors"),
    ):
        make()
        done = run("perceptron_trained", "--use-pretrained", "--no-plots")
        assert done.code == 3
        assert "The pre-trained weights cannot be used." in done.err
        assert "python milestones/01_1957_perceptron/perceptron_trained.py --save-weights" in done.err


def test_every_file_that_ships_tells_the_metric_of_its_milestone_and_that_it_was_reached(milestones):
    """`--use-pretrained` prints them; a metric that was renamed would end it with a KeyError."""
    shipped = 0
    for milestone in milestones.values():
        choices = [dict(zip(milestone.choices, [name], strict=True)) for options in milestone.choices.values()
                   for name in options]  # fmt: skip
        for chosen in choices or [{}]:
            variant = milestone.choose(chosen)
            if variant.weights_file.exists():
                facts = weights.load(variant.build(), variant.weights_file, "")
                assert variant.metric.reaches(facts[variant.metric.name], variant.threshold)
                assert f"{variant.script}.py" in facts["command"]
                shipped += 1
    assert shipped == len(list((ROOT / "milestones" / "weights").iterdir()))


def test_save_weights_flag_makes_them_the_pretrained_ones(run, milestones, tmp_path, monkeypatch):
    milestone = milestones["perceptron_trained"]
    monkeypatch.setattr(type(milestone), "weights_file", property(lambda self: tmp_path / "w.safetensors"))
    made = run("perceptron_trained", "--epochs", "20", "--no-plots", "--save-weights")
    assert f"weights saved to {tmp_path / 'w.safetensors'} (float16" in made.out
    used = run("perceptron_trained", "--use-pretrained", "--no-plots")
    assert used.details["weights"]["command"].endswith(
        "--epochs 20 --batch-size 1000 --lr 0.5 --seed 0 --save-weights"
    )
    assert dataclasses.replace(milestone).weights_file == tmp_path / "w.safetensors"
