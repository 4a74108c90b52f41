"""Milestone 6 for submissions: a trained network made smaller, judged by the files that come out."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from grading import exams, optimised
from grading.exams import Exam
from grading.gates import require
from grading.optimised import Optimised
from grading.sandbox import Unreadable
from grading.sandbox.reading import read_bytes
from grading.submissions.judging import finding
from grading.submissions.trial import Left, Paper, Trial, Verdict
from grading.thresholds import MILESTONES, ROOT, SYSTEMS
from tinytorch.serialization import load

FILES = ("float32", "int8", "80 % zeros", "half the channels")
GATES = (
    "ran", "codes", "times_smaller", "int8_quality", "int8_answers", "zeros", "zeros_quality", "half_smaller",
    "half_quality", "half_faster", "distilled",
)  # fmt: skip
_MOST_BYTES = 8 << 20


class Optimising:
    """The milestone: a network of the digits, and the judgement of what a submission made of it."""

    def __init__(self, of: dict[str, Any]):
        self.of = of
        self.milestone = MILESTONES["mlp-digits"]
        self.network: Any = self.milestone.network

    def paper(self, seed: int) -> Paper:
        """The trained weights, training data, and test images without labels."""
        exam = exams.exam("digits")
        assert exam.train_x is not None
        assert exam.train_y is not None
        weights = load(ROOT / "milestones" / "weights" / "mlp_digits.safetensors")["weights"]
        arrays = {
            "train_x": self.network.prepared(exam.train_x).astype(np.float32),
            "train_y": exam.train_y,
            "test_x": self.network.prepared(exam.x).astype(np.float32),
            **{f"weight.{name}": array for name, array in weights.items()},
        }
        task = {**{k: self.of[k] for k in ("hidden", "epochs", "lr", "batch")}, "seed": seed % 2**32,
                "distilled": SYSTEMS["distilled"], "names": [_file(name) for name in FILES]}  # fmt: skip
        return Paper(task, arrays, exam)

    def judge(self, left: Left, paper: Paper) -> Verdict:
        """One finding for each gate."""
        exam: Exam = paper.secret
        rows = {
            name: {"name": name, "file": _file(name), "bytes": 0, "quality": {"value": 0.0}} for name in FILES
        }
        found = Optimised("mlp", self.milestone, rows, left.folder)
        reached: list[float] = []

        def ran() -> None:
            left.ended()
            for name in FILES:
                _check(left.folder / _file(name))

        def smaller() -> float:
            reached.append(optimised.smaller_on_disk(found, exam))
            return reached[0]

        def agrees() -> float:
            """What int8 answers is what its codes stand for."""
            network = optimised.resized(self.network, found.weights("int8"))
            z = network.answer(network.read(found.weights("int8")), paper.arrays["test_x"].astype(np.float64))
            given = left.array("answers")
            require(given.shape == z.shape, f"expected answers of shape {z.shape}, got {given.shape}")
            same = float(np.mean(given.argmax(1) == z.argmax(1)))
            least = self.of["agree"]
            require(same >= least, f"{same:.1%} of its answers are those of its codes; expected {least:.0%}")
            return same

        def faster() -> float:
            """On one thread: networks as small as this gain nothing from more."""
            threads = tt.get_num_threads()
            tt.set_num_threads(1)
            try:
                return optimised.half_is_faster(found, exam)
            finally:
                tt.set_num_threads(threads)

        def distilled() -> float:
            """Five students that had a teacher, beside the same five without."""
            right = {
                kind: [
                    self._right(left, f"{kind}_{seed}", exam, paper)
                    for seed in range(SYSTEMS["distilled"]["seeds"])
                ]
                for kind in ("taught", "alone")
            }
            gain = statistics.fmean(right["taught"]) - statistics.fmean(right["alone"])
            least = SYSTEMS["distilled"]["better"]
            require(
                gain >= least,
                f"with a teacher the student is {100 * gain:+.2f} points better than alone; expected at "
                f"least {100 * least:g}, on the mean of {len(right['alone'])} seeds",
            )
            return gain

        lost, structured = SYSTEMS["lost"], SYSTEMS["structured"]
        gates: list[tuple[str, str, Any, float | None, str, str]] = [
            ("ran", "Runs to its end", ran, None, "", "Start with the last line of its output."),
            ("codes", "int8 is stored as int8", lambda: optimised.codes_are_integers(found, exam), None, "",
             "Keep the codes in an int8 array, and the scale beside it."),
            ("times_smaller", "int8 is smaller on disk", smaller, SYSTEMS["times_smaller"], "×", ""),
            ("int8_quality", "int8 loses little", lambda: optimised.loses_little("int8", "int8")(found, exam),
             lost["int8"]["classifier"], "", "One scale for each row of a weight: max |w| / 127."),
            ("int8_answers", "int8 answers what its codes stand for", agrees, self.of["agree"], "share", ""),
            ("zeros", "80 % of the weights are zero", lambda: optimised.mostly_zeros(found, exam),
             SYSTEMS["sparsity"], "share", "Smallest magnitudes first."),
            ("zeros_quality", "Zeros lose little",
             lambda: optimised.loses_little("80 % zeros", "zeros")(found, exam),
             lost["zeros"]["classifier"], "", "Is the mask applied after each step of the fine-tuning?"),
            ("half_smaller", "Half the channels, half the file",
             lambda: optimised.half_is_smaller(found, exam),
             structured["smaller"], "×", "Arrays have to shrink; zeros take the same room."),
            ("half_quality", "Half the channels lose little",
             lambda: optimised.loses_little("half the channels", "structured")(found, exam),
             lost["structured"]["classifier"], "", "Which channels matter least?"),
            ("half_faster", "Half the channels are faster", faster,
             structured["faster"], "×", ""),
            ("distilled", "A student learns from a teacher", distilled, SYSTEMS["distilled"]["better"],
             "share", "Hinton et al. (2015): softened answers of both, times the temperature squared."),
        ]  # fmt: skip
        findings = [finding(name, title, _readable(gate), *rest) for name, title, gate, *rest in gates]
        return Verdict(findings, reached[0] if reached else None, {"loss": left.losses()})

    def _right(self, left: Left, name: str, exam: Exam, paper: Paper) -> float:
        given = left.array(name)
        require(
            given.shape == (len(exam.y), 10),
            f"expected answers of shape {(len(exam.y), 10)}, got {given.shape}",
        )
        return float(np.mean(given.argmax(1) == exam.y))


def _file(name: str) -> str:
    return f"{name.replace(' % ', '_').replace(' ', '_')}.safetensors"


def _check(path: Path) -> None:
    try:
        read_bytes(path, _MOST_BYTES)
    except Unreadable as error:
        require(False, f"it left no file that can be read: {error}")


def _readable(gate: Any) -> Any:
    """A file that no library can read is the submission's fault."""

    def checked() -> Any:
        try:
            return gate()
        except (OSError, KeyError, ValueError) as error:
            require(False, f"its files cannot be read: {type(error).__name__}: {error!s:.200}")
        except Exception as error:
            if type(error).__name__ != "SafetensorError":
                raise
            require(False, f"its files cannot be read: {error!s:.200}")

    return checked


def trial(name: str, of: dict[str, Any]) -> Trial:
    """The trial of the milestone in profiles.toml."""
    found = Optimising(of)
    return Trial(
        name, of["number"], of["title"], "optimising", "times_smaller", "×", False, of["marks"],
        found.paper, found.judge, GATES, of["seconds"],
    )  # fmt: skip
