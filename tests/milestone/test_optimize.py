"""Milestone 6: what its script measures, writes and refuses."""

from __future__ import annotations

import contextlib
import json
import runpy

import numpy as np
import pytest

import tinytorch as tt
from tests.milestone.conftest import ROOT
from tinytorch.datasets import DatasetManager
from tinytorch.milestone import optimization, optimize, rehearsal
from tinytorch.milestone.optimization import Tuning, load_subject

SCRIPT = ROOT / "milestones" / "06_2024_systems_age" / "optimize_models.py"
DIGITS = ROOT / "milestones" / "03_1986_mlp_revival" / "mlp_digits.py"
MNIST = DIGITS.with_name("mlp_mnist.py")


@pytest.fixture(scope="module")
def study():
    return runpy.run_path(str(SCRIPT))["STUDY"]


@pytest.fixture
def run(study, tmp_path, monkeypatch, capsys):
    """`run(*flags)` on the MLP of the digits, quickly; gives exit code, what was printed, and the folder."""
    monkeypatch.setattr(optimize, "SECONDS", 0.05)
    monkeypatch.setenv("TINYTORCH_OFFLINE", "1")
    threads = tt.get_num_threads()

    def run(*flags):
        places = ("--data-dir", str(tmp_path / "nothing"), "--output-dir", str(tmp_path))
        try:
            code = optimize.main(study, ["--models", "mlp", *places, *flags])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr(), tmp_path / study.folder / study.script

    yield run
    tt.set_num_threads(threads)


def facts(folder):
    return json.loads((folder / "details.json").read_text())["models"]["mlp"]


def test_every_size_is_that_of_a_file_and_every_quality_that_of_the_test_data(run):
    code, printed, folder = run("--use-pretrained")
    assert code == 0
    assert "mnist is not there" in printed.out
    found = facts(folder)
    assert found["dataset"] == "digits"
    rows = {row["name"]: row for row in found["candidates"]}
    assert {"float32", "int8", "frozen", "bfloat16"} <= rows.keys()
    assert "distilled student" not in rows, "it would have to be trained"
    for row in rows.values():
        assert row["bytes"] == (folder / row["file"]).stat().st_size
        assert row["seconds"]["low"] <= row["seconds"]["value"] <= row["seconds"]["high"]
    assert rows["float32"]["quality"]["value"] == pytest.approx(0.9831, abs=0.003)
    result = json.loads((folder / "result.json").read_text())
    assert result["value"] == pytest.approx(rows["float32"]["bytes"] / rows["int8"]["bytes"])
    assert (result["metric"], result["passed"]) == ("times_smaller", True)
    assert (folder / "pareto_mlp.png").stat().st_size > 10_000


def test_a_budget_chooses_one_and_an_impossible_one_names_the_nearest(run):
    _, printed, folder = run(
        "--use-pretrained", "--no-plots", "--max-bytes", "25_000", "--min-accuracy", "97"
    )
    assert "✓ int8" in printed.out
    chosen = json.loads((folder / "details.json").read_text())["budget"]["chosen"]["mlp"]
    assert chosen["best"].startswith("int8")
    _, printed, _ = run("--use-pretrained", "--no-plots", "--max-bytes", "100")
    assert "none that was measured has it. The nearest is int8" in " ".join(printed.out.split())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--max-bytes", "few"), "argument --max-bytes: expected a number above 0, got 'few'"),
        (("--max-latency-ms", "-1"), "argument --max-latency-ms: expected a number above 0, got '-1'"),
        (("--models", "mlp,rnn"), "argument --models: expected some of mlp, cnn, gpt, got 'rnn'"),
        (("--threads", "4096"), "argument --threads"),
    ],
)
def test_bad_usage(run, flags, says):
    code, printed, folder = run(*flags)
    assert code == 2
    assert says in printed.err
    assert not folder.exists()


def test_test_only_needs_no_data_and_writes_nothing(run):
    code, printed, folder = run("--test-only")
    assert code == 0
    assert "Nothing was trained" in printed.out
    assert not folder.exists()


def test_int8_that_loses_too_much_does_not_pass(run, study, monkeypatch):
    broken = tt.models.MLP(64, (128, 64), 10).eval()
    techniques = [optimize.Technique("int8", lambda subject: tt.systems.quantize_dynamic(broken))]
    digits = "03_1986_mlp_revival/mlp_digits.py"
    plan = optimize.Plan(script=digits, embedded=digits, techniques=techniques, loses=0.005)
    monkeypatch.setitem(study.plans, "mlp", plan)
    code, printed, folder = run("--use-pretrained", "--no-plots")
    assert code == 1
    assert json.loads((folder / "result.json").read_text())["value"] == 0
    assert "✗" in printed.out


# --- a subject ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subject():
    return load_subject("mlp", {DIGITS: Tuning(1, 64, 1e-3, 0)}, DatasetManager(offline=True), print)


def test_it_is_trained_on_the_spot_and_evaluated_on_all_test_data(subject):
    assert subject.origin.startswith("trained here")
    found = subject.evaluate(subject.model)
    images, labels = subject.data.test
    with tt.no_grad():
        answers = subject.milestone.predict(subject.model, images).argmax(1)
    assert found.value == np.mean(answers == labels)
    assert found.low < found.value < found.high


def test_calibration_takes_training_data_only(subject):
    seen = np.concatenate([batch.numpy().reshape(-1, 64) for batch in subject.calibration(100)])
    known = subject.inputs(0).numpy().dtype
    train = subject.prepare(tt.tensor(subject.data.train[0])).numpy().reshape(-1, 64)
    assert seen.dtype == known
    assert {row.tobytes() for row in seen} <= {row.tobytes() for row in train}


def test_fine_tuning_changes_a_copy_and_counts_its_steps(subject):
    before = {name: t.data.copy() for name, t in subject.model.state_dict().items()}
    steps = []
    tuned = subject.finetune(subject.copy(), epochs=0.05, after_step=lambda: steps.append(1))
    assert len(steps) == subject.steps(0.05) == round(0.05 * optimization.FEWEST_STEPS)
    assert not tuned.training
    for name, array in subject.model.state_dict().items():
        assert (array.data == before[name]).all()
    assert (tuned.hidden[1].weight.data != subject.model.hidden[1].weight.data).any()


def test_the_embedded_data_stand_in_for_what_is_missing(tmp_path):
    told = []
    datasets = DatasetManager(tmp_path, offline=True)
    tuned = dict.fromkeys([MNIST, DIGITS], Tuning(1, 64, 1e-3, 0))
    subject = load_subject("mlp", tuned, datasets, told.append)
    assert subject.milestone.dataset == "digits"
    assert "mnist is not there" in told[0]


@pytest.mark.parametrize(("cached", "started"), [(False, 1), (True, 0)])
def test_kernels_are_compiled_in_two_processes_where_there_are_none(cached, started, tmp_path, monkeypatch):
    if cached:
        (tmp_path / "gemm.nbi").touch()
    commands, rehearsed, written = [], [], []
    process = contextlib.nullcontext()
    monkeypatch.setattr(rehearsal, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(
        rehearsal.subprocess, "Popen", lambda command, **_: commands.append(command) or process
    )
    monkeypatch.setattr(rehearsal, "rehearse", lambda script, seed: rehearsed.append(script))
    monkeypatch.setattr(rehearsal, "rehearse_writing", lambda script, seed: written.append(script))
    rehearsal.compile_first("study.py", {"mlp": DIGITS, "cnn": MNIST, "gpt": SCRIPT}, 0)
    assert [command[1:] for command in commands] == [["study.py", "--test-only", "--models", "gpt"]] * started
    assert rehearsed == [DIGITS, MNIST] * started
    assert written == [SCRIPT] * started
