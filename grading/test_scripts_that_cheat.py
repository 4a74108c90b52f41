"""Scripts that hang, die, leave processes behind or make their result up, run as a real one is."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from grading import exams, gates
from grading.reference import Training
from grading.runs import Run, run_script
from grading.thresholds import MILESTONES

PERCEPTRON = MILESTONES["perceptron"]
POSIX = os.name == "posix"

RESULT = {
    "milestone": "01_1957_perceptron", "script": "perceptron_trained", "dataset": "two_gaussians",
    "metric": "accuracy", "value": 1.0, "threshold": 0.95, "passed": True, "params": 3, "flops_forward": 5,
    "peak_mib": 0.1, "train_seconds": 0.1, "compile_seconds": 0.0, "eval_seconds": 0.0, "epochs": 20,
    "batch_size": 100, "seed": 0, "threads": 2, "history": [{"loss": 0.7}, {"loss": 0.01}], "versions": {},
}  # fmt: skip

PREAMBLE = """
    import json, os, pathlib, subprocess, sys, time
    out = pathlib.Path(sys.argv[sys.argv.index("--output-dir") + 1])
"""
MAKE_UP = f"(out / 'result.json').write_text({json.dumps(RESULT)!r})"
SAVE = """
    import numpy as np
    from safetensors.numpy import save_file
    save_file({{"linear.weight": np.array({weight}, np.float32), "linear.bias": np.zeros(1, np.float32)}},
              out / "weights.safetensors")
"""


def run(tmp_path, *body: str, seconds: float = 60) -> Run:
    script = tmp_path / "script.py"
    script.write_text("".join(textwrap.dedent(part) for part in (PREAMBLE, *body)))
    return run_script(script, output_dir=tmp_path / "out", seconds=seconds)


def judge_everything(done: Run) -> list[str]:
    """The names of the gates that stop it."""
    exam = exams.exam("two_gaussians")
    stopped = []
    for gate, *more in ((gates.finished,), (gates.reported,), (gates.parameters,), (gates.loss_fell,),
                        (gates.accurate, exam), (gates.honest, exam)):  # fmt: skip
        try:
            gate(done, PERCEPTRON, *more)
        except gates.NotMet:
            stopped.append(gate.__name__)
    return stopped


def test_an_honest_script_passes(tmp_path):
    done = run(tmp_path, SAVE.format(weight=[[1.0, 1.0]]), MAKE_UP)
    assert judge_everything(done) == []
    assert done.exit_code == 0
    assert done.process_mib is None or done.process_mib > 5


def test_a_made_up_result_without_weights(tmp_path):
    done = run(tmp_path, MAKE_UP, "\nprint('Perceptron trained: 100 %')")
    assert judge_everything(done) == ["parameters", "accurate", "honest"]
    with pytest.raises(gates.NotMet, match=r"no usable weights .* expected one \*\.safetensors .* none"):
        gates.accurate(done, PERCEPTRON, exams.exam("two_gaussians"))


def test_a_made_up_result_beside_useless_weights(tmp_path):
    done = run(tmp_path, SAVE.format(weight=[[1.0, -1.0]]), MAKE_UP)
    assert judge_everything(done) == ["accurate", "honest"]
    with pytest.raises(gates.NotMet, match=r"reports 100\.00%, its weights give [45]\d\.\d\d% on test"):
        gates.honest(done, PERCEPTRON, exams.exam("two_gaussians"))


def test_weights_of_another_network(tmp_path):
    done = run(tmp_path, SAVE.format(weight=[[1.0, 1.0, 0.0]]), MAKE_UP)
    with pytest.raises(
        gates.NotMet, match=r"expected weights of shapes \(1, 2\) \+ \(1,\), got \(1, 3\) \+ \(1,\)"
    ):
        gates.parameters(done, PERCEPTRON)


def test_weights_that_diverged(tmp_path):
    done = run(tmp_path, SAVE.format(weight="[[float('nan'), 1.0]]"), MAKE_UP)
    with pytest.raises(gates.NotMet, match=r"NaN or infinity in linear\.weight"):
        gates.accurate(done, PERCEPTRON, exams.exam("two_gaussians"))


def test_nothing_but_a_message_of_success(tmp_path):
    done = run(tmp_path, "print('Accuracy: 100 %')\nos._exit(0)")
    assert judge_everything(done) == ["reported", "parameters", "loss_fell", "accurate", "honest"]
    with pytest.raises(gates.NotMet, match=r"no usable result file: expected one result\.json .* got none"):
        gates.reported(done, PERCEPTRON)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": "1.0"}, "value: expected a finite number, got '1.0'"),
        ({"value": float("nan")}, "value: expected a finite number, got nan"),
        ({"passed": 1}, "passed: expected bool, got 1"),
        ({"threshold": 0.5}, "expected the threshold 0.95, got 0.5"),
        ({"value": 0.5}, "'passed' is True, at 0.5 for 0.95"),
        ({"script": "xor_solved"}, r"expected a result of \('01_1957_perceptron', 'perceptron_trained'\)"),
        ({"params": 4}, None),
    ],
)
def test_a_result_file_that_contradicts_itself(change, says):
    done = Run(0, RESULT | change, Training(PERCEPTRON, 0).weights())
    if says is None:
        with pytest.raises(gates.NotMet, match=r"expected 3 parameters .* got 3 saved and 4 reported"):
            gates.parameters(done, PERCEPTRON)
    else:
        with pytest.raises(gates.NotMet, match=says):
            gates.reported(done, PERCEPTRON)


def test_a_result_file_that_lacks_a_key():
    report = {key: value for key, value in RESULT.items() if key not in ("seed", "history")}
    with pytest.raises(gates.NotMet, match="seed: missing; history: missing"):
        gates.reported(Run(0, report, {}), PERCEPTRON)


def test_a_crash_shows_its_last_lines(tmp_path):
    done = run(tmp_path, "raise RuntimeError('the loss is NaN')")
    with pytest.raises(gates.NotMet, match=r"(?s)expected exit code 0, got 1: .*the loss is NaN"):
        gates.finished(done, PERCEPTRON)


def test_a_script_that_hangs_is_stopped_with_all_its_processes(tmp_path):
    child = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    body = f"""
        child = subprocess.Popen({child})
        (out / "pids").write_text(f"{{os.getpid()}} {{child.pid}}")
        print("forever", flush=True)
        while True: pass
    """
    began = time.perf_counter()
    done = run(tmp_path, body, seconds=2)
    assert time.perf_counter() - began < 10
    with pytest.raises(gates.NotMet, match=r"(?s)stopped after 2 s, its limit.*forever"):
        gates.finished(done, PERCEPTRON)
    if POSIX:
        assert not [pid for pid in (tmp_path / "out" / "pids").read_text().split() if alive(int(pid))]


@pytest.mark.skipif(not POSIX, reason="process groups are POSIX's")
def test_a_process_left_behind_is_stopped(tmp_path):
    body = """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (out / "pids").write_text(str(child.pid))
    """
    assert run(tmp_path, body).exit_code == 0
    assert not alive(int((tmp_path / "out" / "pids").read_text()))


def test_memory_beyond_the_ceiling(tmp_path):
    done = run(tmp_path, "keep = bytearray(80 * 2**20)\nkeep[::4096] = bytes(len(keep[::4096]))")
    if done.process_mib is None:
        pytest.skip("this system does not tell the memory of a process")
    with pytest.raises(gates.NotMet, match=r"expected at most 64 MiB of resident memory, got \d+ MiB"):
        gates.process_memory(done, replace(PERCEPTRON, process_mib=64))


def alive(pid: int) -> bool:
    """Whether the process still runs; a zombie that nobody has collected yet does not."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        if sys.platform == "linux":
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return False
        time.sleep(0.02)
    return True
