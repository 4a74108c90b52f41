"""What a training run has to show: one function a gate, which raises `NotMet` and says why.

The same functions judge the real scripts and the knock-outs, broken on purpose, that each gate has to stop
(`test_gates_bite.py`). A gate says what was expected, what came, and what usually causes that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grading import exams
from grading.exams import Exam
from grading.networks import Weights
from grading.runs import Run
from grading.thresholds import EXAM, GATES, METRICS, Milestone

_NUMBER = (int, float)
REPORT: dict[str, Any] = {
    "milestone": str, "script": str, "dataset": str, "metric": str, "value": _NUMBER, "threshold": _NUMBER,
    "passed": bool, "params": int, "flops_forward": _NUMBER, "peak_mib": _NUMBER, "train_seconds": _NUMBER,
    "compile_seconds": _NUMBER, "eval_seconds": _NUMBER, "epochs": int, "batch_size": int, "seed": int,
    "threads": int, "history": (list, dict), "versions": dict,
}  # fmt: skip


class NotMet(AssertionError):
    """What a gate raises. pytest shows its text and no traceback: the fault is not in the gate."""


def require(condition: object, message: str) -> None:
    """Raise NotMet with `message` unless `condition` holds."""
    if not condition:
        raise NotMet(message)


def finished(run: Run, milestone: Milestone) -> None:
    """It ended by itself, in time, with exit code 0."""
    tail = f"Its last lines:\n{run.output}"
    require(
        run.exit_code is not None,
        f"{milestone.name}: stopped after {run.seconds:.0f} s, its limit. A loop that never ends? {tail}",
    )
    meaning = {1: "it missed its threshold, or crashed", 2: "bad usage", 3: "data not available"}
    said = meaning.get(run.exit_code or 0, "it was ended by a signal or ended itself")
    require(
        run.exit_code == 0, f"{milestone.name}: expected exit code 0, got {run.exit_code}: {said}. {tail}"
    )


def process_memory(run: Run, milestone: Milestone) -> None:
    """The process stayed below its ceiling of resident memory."""
    require(
        run.process_mib is not None and run.process_mib <= milestone.process_mib,
        f"{milestone.name}: expected at most {milestone.process_mib:.0f} MiB of resident memory, got "
        f"{run.process_mib or math.nan:.0f} MiB. Does something keep every step's graph alive?",
    )


def reported(run: Run, milestone: Milestone) -> None:
    """The result file is there, has every key in its type, and agrees with itself and the thresholds."""
    report = run.report
    require(report is not None, f"{milestone.name}: no usable result file: {'; '.join(run.problems)}")
    wrong = [
        f"{key}: expected {_type_names(kind)}, got {report[key]!r:.60}"
        if key in report
        else f"{key}: missing"
        for key, kind in REPORT.items()
        if key not in report or not _is(report[key], kind)
    ]
    require(not wrong, f"{milestone.name}: the result file does not keep its contract: {'; '.join(wrong)}")
    folder, script = milestone.path.parent.name, milestone.path.stem
    names = (report["milestone"], report["script"])
    require(
        names == (folder, script), f"{milestone.name}: expected a result of {(folder, script)}, got {names}"
    )
    require(
        report["metric"] == milestone.metric,
        f"{milestone.name}: expected the metric {milestone.metric!r}, got {report['metric']!r}",
    )
    require(
        report["threshold"] == milestone.marks["pass"],
        f"{milestone.name}: expected the threshold {milestone.marks['pass']}, got {report['threshold']}",
    )
    require(
        report["passed"] == milestone.reaches_mark(report["value"], report["threshold"]),
        f"{milestone.name}: 'passed' is {report['passed']}, at {report['value']} for {report['threshold']}",
    )


def _is(value: object, kind: Any) -> bool:
    if isinstance(value, bool) and kind is not bool:
        return False
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def _type_names(kind: Any) -> str:
    return "a finite number" if kind is _NUMBER else getattr(kind, "__name__", "a list or an object")


def weights(run: Run, milestone: Milestone) -> Weights:
    """The saved weights are the network's, in number and shape, and finite; returns them."""
    require(run.weights, f"{milestone.name}: no usable weights were saved: {'; '.join(run.problems)}")
    try:
        found = milestone.network.read(run.weights)
    except ValueError as error:
        raise NotMet(f"{milestone.name}: not the network of this milestone: {error}") from None
    sick = [name for name, weight in run.weights.items() if not np.isfinite(weight).all()]
    require(not sick, f"{milestone.name}: NaN or infinity in {', '.join(sick)}: training diverged")
    return found


def parameters(run: Run, milestone: Milestone) -> None:
    """As many parameters as counted by hand, in the weights and in the result file."""
    weights(run, milestone)
    expected = milestone.network.parameters
    saved = sum(run.weights[name].size for name in trainable(run))
    counts = (saved, (run.report or {}).get("params"))
    require(
        counts == (expected, expected),
        f"{milestone.name}: expected {expected:,} parameters for {milestone.network}, "
        f"got {counts[0]:,} saved and {counts[1]} reported",
    )


def trainable(run: Run) -> list[str]:
    """Names of the saved weights and biases, without what batch normalisation counted along."""
    return [name for name in run.weights if name.rpartition(".")[2] in ("weight", "bias")]


def value(run: Run, milestone: Milestone, exam: Exam) -> float:
    """What the milestone is measured by, of the saved weights on `exam`; worked out once."""
    if exam not in run.values:
        run.values[exam] = exams.value(milestone, weights(run, milestone), exam)
    return run.values[exam]


def accurate(run: Run, milestone: Milestone, exam: Exam) -> float:
    """The pass mark is reached, by the grader's own count; returns the value."""
    found, mark = value(run, milestone, exam), milestone.marks["pass"]
    require(
        milestone.reaches_mark(found, mark),
        f"{milestone.name}: expected {METRICS[milestone.metric]} {milestone.text(mark)} on {len(exam.y):,} "
        f"test examples, got {milestone.text(found)}. Does the loss fall, and were the labels those of the "
        "examples?",
    )
    return found


def honest(run: Run, milestone: Milestone, exam: Exam) -> None:
    """The reported value is what the saved weights can do on test data."""
    claimed = (run.report or {}).get("value")
    require(
        _is(claimed, _NUMBER),
        f"{milestone.name}: no {milestone.metric} was reported: {'; '.join(run.problems)}",
    )
    found = value(run, milestone, exam)
    claim, truth, most = map(milestone.text, (claimed, found, milestone.reported_within))
    require(
        abs(claimed - found) <= milestone.reported_within,
        f"{milestone.name}: the script reports {claim}, its weights give {truth} on test data; "
        f"at most {most} may lie between. Was it measured on the training data?",
    )


def above_train(run: Run, milestone: Milestone, exam: Exam) -> float:
    """By how much it is better on test examples than on those it was meant to learn from."""
    assert exam.learned is not None
    train, test = (value(run, milestone, part) for part in (exam.learned, exam))
    return train - test if milestone.falls else test - train


def untainted(run: Run, milestone: Milestone, exam: Exam) -> None:
    """It does not know the test examples better than those it was meant to learn from."""
    better, most = above_train(run, milestone, exam), GATES["test_above_train"]
    require(
        better <= most,
        f"{milestone.name}: {milestone.text(value(run, milestone, exam))} on test examples, better by "
        f"{milestone.text(better)} than on training examples; expected at most {milestone.text(most)}. "
        "Was it trained on the test set?",
    )


def losses(run: Run) -> list[float]:
    """The training loss of every epoch that the result file tells of."""
    history = (run.report or {}).get("history") or []
    column = history.get("loss", []) if isinstance(history, dict) else [row.get("loss") for row in history]
    return list(column)


def loss_fell(run: Run, milestone: Milestone) -> None:
    """The reported loss ends at a fraction of where it began."""
    curve = losses(run)
    require(
        len(curve) >= 2 and all(_is(loss, _NUMBER) for loss in curve),
        f"{milestone.name}: expected a history of at least two finite losses, got {curve!r:.80}",
    )
    require(
        curve[-1] <= milestone.loss_left * curve[0],
        f"{milestone.name}: the loss went from {curve[0]:.4g} to {curve[-1]:.4g}; expected at most "
        f"{milestone.loss_left:.0%} of it to be left. Is the gradient right, and does the optimiser step?",
    )


def movement(before: np.ndarray, after: np.ndarray) -> float:
    """How far training carried a weight, as a share of its length.

    Weight decay alone shrinks a weight without any gradient, so shrinking in its own direction does not
    count; except for a single number, which has no other direction.
    """
    before, after = before.astype(np.float64).ravel(), after.astype(np.float64).ravel()
    length = np.linalg.norm(before)
    if length == 0:
        return float(np.linalg.norm(after))
    share = min(max(before @ after / length**2, 0.0), 1.0) if before.size > 1 else 1.0
    return float(np.linalg.norm(after - share * before) / length)


def every_layer_moved(run: Run, milestone: Milestone) -> None:
    """Training changed every weight and every bias: no gradient was lost on its way back."""
    weights(run, milestone)
    require(
        run.initial is not None,
        f"{milestone.name}: nothing is known of its early weights: {'; '.join(run.problems)}",
    )
    still = [
        name
        for name in trainable(run)
        if name in run.initial and movement(run.initial[name], run.weights[name]) <= GATES["moved"]
    ]
    require(run.weights.keys() == run.initial.keys(), f"{milestone.name}: the names of the weights changed")
    require(
        not still,
        f"{milestone.name}: training did not change {', '.join(still)}. Does the gradient reach it (is a "
        "value between it and the loss rebuilt from `.data`?), and does the optimiser hold it?",
    )


def convolutions_are_used(run: Run, milestone: Milestone, exam: Exam) -> float:
    """With its convolutions as they were drawn, the network does hardly better than chance; returns how well.

    A network whose dense layers did all the work would not miss them.
    """
    rng = np.random.default_rng(EXAM["seed"])
    reset = []
    for layer in weights(run, milestone):
        weight = layer["weight"]
        if weight.ndim == 4:
            bound = 1 / math.sqrt(weight[0].size)
            layer = layer | {"weight": rng.uniform(-bound, bound, weight.shape)}
        reset.append(layer)
    few = slice(GATES["reset_images"])
    value = exams.accuracy(milestone.network, reset, exam.x[few], exam.y[few])
    ceiling = GATES["convolutions_reset"]
    require(
        value <= ceiling,
        f"{milestone.name}: with its convolutions reset it still reaches {value:.2%}; expected at most "
        f"{ceiling:.0%}. Does the answer depend on them at all?",
    )
    return value


def depth_is_used(run: Run, milestone: Milestone, exam: Exam) -> float:
    """Without what is non-linear in it, the network does no better than a straight line; returns how well."""
    flat = exams.accuracy(milestone.network, weights(run, milestone), exam.x, exam.y, relu=False)
    ceiling = GATES["single_layer_on_xor"] + GATES["ceiling_slack"]
    require(
        flat <= ceiling,
        f"{milestone.name}: without ReLU it still reaches {flat:.2%}, more than the {ceiling:.2%} of any "
        "line. Are these points XOR's?",
    )
    return flat


def under_ceiling(accuracy: float, milestone: Milestone) -> None:
    """A single layer on XOR cannot do better than three corners of four."""
    ceiling = GATES["single_layer_on_xor"] + GATES["ceiling_slack"]
    require(
        accuracy <= ceiling,
        f"{milestone.name}: a single layer reaches {accuracy:.2%} on XOR, where no line does better than "
        f"{GATES['single_layer_on_xor']:.0%}. Are the points and the labels XOR's?",
    )
