"""From the flags to the exit code: results, files, and what is said when something is wrong."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import viz
from tinytorch.kernels import _jit
from tinytorch.milestone import Result

FIELDS = [
    "milestone",
    "script",
    "dataset",
    "metric",
    "value",
    "threshold",
    "passed",
    "params",
    "flops_forward",
    "peak_mib",
    "train_seconds",
    "compile_seconds",
    "eval_seconds",
    "epochs",
    "batch_size",
    "seed",
    "threads",
    "history",
    "versions",
]
QUICK = ("--epochs", "20", "--no-plots")


def test_a_run_that_passes(run):
    done = run("perceptron_trained", *QUICK)
    assert done.code == 0
    result = done.result
    assert list(result) == FIELDS == [field.name for field in dataclasses.fields(Result)]
    assert result["milestone"] == "01_1957_perceptron"
    assert result["script"] == "perceptron_trained"
    assert (result["metric"], result["threshold"], result["passed"]) == ("accuracy", 0.95, True)
    assert 0.95 <= result["value"] <= 1.0
    assert (result["params"], result["epochs"], result["batch_size"], result["seed"]) == (3, 20, 1000, 0)
    assert result["peak_mib"] > 0
    assert min(result["train_seconds"], result["eval_seconds"]) > 0
    assert [entry["epoch"] for entry in result["history"]] == list(range(1, 21))
    assert result["history"][-1]["accuracy"] == result["value"]
    assert result["history"][-1]["loss"] < result["history"][0]["loss"]
    assert set(result["versions"]) == {"python", "tinytorch", "numpy", "numba"}


def test_the_story_is_told_in_order(run):
    told = run("perceptron_trained", *QUICK).out
    chapters = [
        "The perceptron · 1957",
        "Data",
        "The network",
        "Before training",
        "Training",
        "epoch 20/20",
        "After training",
        "✓ pass 95%",
        "Measured",
        "on XOR",
        "What to take away",
        "written to",
    ]
    places = [told.find(chapter) for chapter in chapters]
    assert -1 not in places, f"missing: {chapters[places.index(-1)]}"
    assert places == sorted(places)


def test_a_single_layer_fails_on_xor(run):
    details = run("perceptron_trained", "--no-plots", "--json").details
    assert details["xor_accuracy"] <= 0.75


def test_the_hidden_layer_solves_xor(run):
    done = run("xor_solved", "--no-plots", "--json")
    assert done.code == 0
    assert done.result["value"] >= 0.99
    assert done.result["params"] == 17


def test_missing_the_threshold_is_1(run):
    done = run("xor_solved", "--epochs", "1", "--lr", "1e-9", "--no-plots")
    assert done.code == 1
    assert done.result["passed"] is False
    assert "✗ pass 90%" in done.out


def test_json_prints_the_result_and_nothing_else(run):
    done = run("perceptron_trained", *QUICK, "--json")
    assert json.loads(done.out) == done.result
    assert done.code == 0


def test_a_loss_that_is_not_finite_is_null_in_json(run):
    done = run("xor_solved", "--epochs", "3", "--lr", "1e30", "--no-plots", "--json")
    assert done.code == 1
    assert "NaN" not in done.out
    assert json.loads(done.out)["history"][-1]["loss"] is None


def test_test_only_trains_nothing_and_writes_nothing(run):
    for script in ("perceptron_trained", "xor_solved", "mlp_digits", "mlp_mnist"):
        done = run(script, "--test-only")
        assert done.code == 0
        assert "Nothing was trained" in done.out
        assert not done.folder.exists()


def test_test_only_as_json_measures_nothing(run):
    result = json.loads(run("mlp_mnist", "--test-only", "--json").out)
    assert list(result) == FIELDS
    assert [result[name] for name in ("value", "passed", "peak_mib", "train_seconds")] == [None] * 4
    assert (result["params"], result["epochs"], result["history"]) == (109_386, 0, [])


def test_missing_data_is_3_and_says_what_to_do(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYTORCH_OFFLINE", "1")
    done = run("mlp_mnist", "--json", "--data-dir", str(tmp_path / "nothing"))
    assert done.code == 3
    assert done.out == ""
    assert "train-images-idx3-ubyte.gz is not available" in done.err
    assert str(tmp_path / "nothing" / "mnist") in done.err
    assert "what to do:" in done.err


def test_a_folder_that_cannot_be_made_is_bad_usage(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run("perceptron_trained", output_dir=tmp_path / "file")
    assert done.code == 2
    assert "--output-dir: expected a folder that can be written to" in done.err


def test_more_threads_than_there_are_is_bad_usage(run):
    done = run("perceptron_trained", "--threads", "4096")
    assert done.code == 2
    assert re.search(r"argument --threads: .*expected a whole number from 1 to \d+, got 4096", done.err)


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(run, tmp_path):
    def weights(name, *flags):
        done = run("mlp_digits", "--epochs", "2", "--no-plots", "--json", *flags, output_dir=tmp_path / name)
        return (
            done.result["value"],
            done.result["history"][-1]["loss"],
            tt.load(done.folder / "weights.safetensors"),
        )

    one, again, other = weights("one", "--threads", "1"), weights("again"), weights("other", "--seed", "1")
    assert one[:2] == again[:2]
    assert all(np.array_equal(one[2][name].data, again[2][name].data) for name in one[2])
    assert any(not np.array_equal(one[2][name].data, other[2][name].data) for name in one[2])


def test_the_saved_weights_are_those_of_the_result(run, milestones):
    done = run("mlp_digits", "--epochs", "3", "--no-plots", "--json")
    milestone = milestones["mlp_digits"]
    model = milestone.build()
    model.load_state_dict(tt.load(done.folder / "weights.safetensors"))
    data = tt.datasets.digits()
    with tt.no_grad():
        answers = milestone.predict(model, data.test_images).argmax(1)
    assert float(np.mean(answers == data.test_labels)) == done.result["value"]


def test_pretrained_weights_pass_without_training(run):
    for script in ("perceptron_trained", "xor_solved", "mlp_digits"):
        done = run(script, "--use-pretrained", "--no-plots")
        result = done.result
        assert done.code == 0
        assert (result["epochs"], result["history"], result["train_seconds"]) == (0, [], 0.0)
        assert result["value"] == pytest.approx(done.details["weights"]["accuracy"], abs=0.003)
        assert "--save-weights" in done.details["weights"]["command"]


def test_a_crash_leaves_no_result_of_an_earlier_run(run, milestones):
    assert run("perceptron_trained", *QUICK).folder.joinpath("result.json").exists()
    broken = dataclasses.replace(milestones["perceptron_trained"], train=lambda model, data, run: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(broken)
    done = run("perceptron_trained", "--threads", "4096")
    assert not done.folder.joinpath("result.json").exists()


def test_pictures_of_an_earlier_run_are_gone(run):
    folder = run("perceptron_trained", *QUICK).folder
    (folder / "learning_curves.png").write_bytes(b"of another run")
    (folder / "notes.txt").write_text("not a script's")
    run("perceptron_trained", "--use-pretrained", "--no-plots")
    assert not list(folder.glob("*.png"))
    assert (folder / "notes.txt").exists()


def test_compile_seconds_are_those_of_the_whole_run(run, milestones, monkeypatch):
    monkeypatch.setattr(_jit._clock, "seconds", _jit._clock.seconds)

    def encore(run):
        _jit._clock.seconds += 1000
        return {}

    late = dataclasses.replace(milestones["perceptron_trained"], encore=encore)
    done = run(late, *QUICK, "--json")
    assert done.result["compile_seconds"] >= 1000
    assert json.loads(done.out) == done.result


def test_an_output_that_is_not_a_number_is_called_that(run):
    done = run("mlp_digits", "--epochs", "1", "--lr", "1e30", "--no-plots")
    assert re.search(r"\d, \d, \d: the output is not a number", done.out)
    assert "nan%" not in done.out


@pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")
@pytest.mark.parametrize("script", ["xor_solved", "mlp_digits"])
def test_a_run_that_diverged_has_pictures_all_the_same(run, script):
    done = run(script, "--epochs", "2", "--lr", "1e30", "--json")
    assert done.code == 1
    assert len(list(done.folder.glob("*.png"))) == 3


@pytest.mark.skipif(not viz.available(), reason="matplotlib is not installed")
@pytest.mark.parametrize(
    ("script", "pictures"),
    [
        ("perceptron_trained", {"boundary.png", "xor_failure.png", "learning_curves.png"}),
        ("xor_solved", {"boundary.png", "hidden_space.png", "learning_curves.png"}),
        ("mlp_digits", {"confusion.png", "mistakes.png", "learning_curves.png"}),
    ],
)
def test_pictures_are_saved_and_not_empty(run, script, pictures):
    done = run(script, "--demo-mode", "--json")
    assert {path.name for path in done.folder.glob("*.png")} == pictures
    assert all(path.stat().st_size > 10_000 for path in done.folder.glob("*.png"))


@pytest.mark.parametrize(
    ("flags", "count", "bent"), [(("--use-pretrained",), 1, False), (("--epochs", "9"), 6, True)]
)
def test_only_a_boundary_of_several_moments_is_said_to_have_bent(run, monkeypatch, flags, count, bent):
    drawn = []
    monkeypatch.setattr(
        viz, "boundary_over_time", lambda moments, *_, title, **__: drawn.append((len(moments), title))
    )
    monkeypatch.setattr(viz, "available", lambda: True)
    monkeypatch.setattr(viz, "hidden_space", lambda *_, **__: None)
    monkeypatch.setattr(viz, "learning_curves", lambda *_, **__: None)
    run("xor_solved", *flags, "--json")
    ((moments, title),) = drawn
    assert (moments, "bent" in title) == (count, bent)


def test_without_matplotlib_the_report_says_how_to_get_pictures(run, monkeypatch):
    monkeypatch.setattr(viz, "available", lambda: False)
    done = run("perceptron_trained", "--epochs", "20")
    assert done.code == 0
    assert "pip install 'tinytorch[plots]'" in done.out


def test_scaling_compares_the_sizes_of_the_seed(run, milestones):
    quick = dataclasses.replace(milestones["mlp_digits"], scaling_epochs=1)
    done = run(quick, "--epochs", "1", "--scaling", "--no-plots")
    rows = done.details["scaling"]
    assert [row["size"] for row in rows] == [64, 128, 256, 512]
    assert [row["params"] for row in rows] == [
        64 * h + h + h * h // 2 + h // 2 + 5 * h + 10 for h in (64, 128, 256, 512)
    ]
    assert rows[-1]["peak_mib"] > rows[0]["peak_mib"]
    assert "Scaling" in done.out


def test_profile_names_the_operations(run):
    done = run("mlp_digits", "--epochs", "1", "--profile", "--no-plots")
    names = {op["name"] for op in done.details["operations"]}
    assert {"linear", "matmul_grad_b", "between operations"} <= names
    assert "a forward pass takes" in done.out


def test_profile_says_how_many_steps_there_were(run):
    """One epoch of XOR is one step, and `--use-pretrained` has no epoch at all."""
    done = run("xor_solved", "--use-pretrained", "--profile", "--no-plots")
    assert "Where 20 training steps spend their time, with the backward pass op by op" in done.out
    assert done.details["profiled_steps"] == 20
    assert all(op["calls"] % 20 == 0 for op in done.details["operations"])
    assert {op["calls"] for op in done.details["operations"] if op["name"] == "linear"} == {40}


def test_flops_of_training_are_counted(run):
    done = run("xor_solved", "--epochs", "1", "--no-plots")
    assert 2 * 33 < done.details["flops_training"] < 3 * 33
    assert f"{done.details['flops_training']:,.0f}   one example, forward and backward" in done.out


def test_demo_mode_takes_a_part_of_the_data(run, milestones):
    part = dataclasses.replace(milestones["cnn_digits"], demo_share=0.25, encore=None)
    done = run(part, "--demo-mode", "--no-plots")
    assert "360 to learn from, 355 to ask about" in " ".join(done.out.split())
    assert done.result["epochs"] == part.demo_epochs
