"""Milestone 6 for submissions: a trained network made smaller, judged by the files that come out."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

import tinytorch as tt
from grading import exams, optimised
from grading.exams import Exam
from grading.gates import NotMet, require
from grading.networks import Network, Weights
from grading.submissions import judging
from grading.submissions.inside.optimising import student
from grading.submissions.judging import apart, finding
from grading.submissions.received import Received
from grading.submissions.trial import Left, Paper, Trial, Verdict
from grading.submissions.unseen import digits
from grading.thresholds import MILESTONES, ROOT, SYSTEMS
from tinytorch.serialization import load

FILES = ("float32", "int8", "80 % zeros", "half the channels")
GATES = (
    "ran", "saved", "codes", "times_smaller", "int8_quality", "int8_answers", "zeros", "zeros_quality",
    "half_smaller", "half_quality", "half_faster", "distillation_loss", "distilled",
)  # fmt: skip
_MOST_HEADER = 2048


class Optimising:
    """The milestone: a network of the digits, and the judgement of what a submission made of it."""

    def __init__(self, of: dict[str, Any]):
        self.of = of
        self.milestone = MILESTONES["mlp-digits"]
        self.network: Any = self.milestone.network

    def paper(self, seed: int) -> Paper:
        """Trained weights, training data, and test images without labels.

        Images are turned and labels exchanged, in the weights too, so that no table of known ones helps.
        """
        data, rng = digits(seed, judging.GATES["noise"]), np.random.default_rng([seed, self.of["number"]])
        weights = load(ROOT / "milestones" / "weights" / "mlp_digits.safetensors")["weights"]
        first, *_, last, last_bias = weights
        classes = [int(name) for name in data.names]
        weights = {
            **weights,
            first: np.ascontiguousarray(weights[first][:, data.turned]),
            last: weights[last][classes],
            last_bias: weights[last_bias][classes],
        }
        exam = Exam(data.test_x.reshape(-1, 64), data.test_y, data.train_x.reshape(-1, 64), data.train_y)
        logits = rng.normal(0, 3, (2, judging.GATES["probe_batch"], 10)).astype(np.float32)
        arrays = {
            "train_x": data.train_x.reshape(-1, 64),
            "train_y": data.train_y,
            "test_x": exam.x,
            "probe_student": logits[0],
            "probe_teacher": logits[1],
            "probe_y": rng.integers(0, 10, len(logits[0])),
            **{f"weight.{name}": array for name, array in weights.items()},
        }
        task = {
            **{name: self.of[name] for name in ("hidden", "epochs", "lr", "batch")},
            "distilled": SYSTEMS["distilled"],
            "seed": int(rng.integers(2**32)),
            "names": [_file(name) for name in FILES],
        }
        return Paper(task, arrays, exam)

    def judge(self, left: Left, paper: Paper) -> Verdict:
        """One finding for each gate."""
        exam: Exam = paper.secret
        rows = {
            name: {"name": name, "file": _file(name), "bytes": 0, "quality": {"value": 0.0}} for name in FILES
        }
        given = {k.removeprefix("weight."): a for k, a in paper.arrays.items() if k.startswith("weight.")}
        shapes = {name: array.shape for name, array in given.items()}
        found = Received("mlp", self.milestone, rows, left.folder, shapes=shapes)
        reached: list[float] = []

        def ran() -> None:
            left.ended()
            for name in FILES:
                found.weights(name)

        def saved() -> None:
            """All others are measured by this file, so it has to be the network, and no longer than it is."""
            own = found.weights("float32")
            same = all(np.array_equal(own[name], array) for name, array in given.items())
            require(same, "the file of the network as it is does not hold the weights that it was given")
            size, least = found.file("float32").stat().st_size, 4 * sum(a.size for a in given.values())
            most = least + _MOST_HEADER
            require(size <= most, f"the file takes {size:,} bytes; expected {least:,} and a short header")

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

        def distillation_loss() -> float:
            """The loss and its gradient, of logits that were drawn by lot."""
            probe = (paper.arrays[f"probe_{what}"] for what in ("student", "teacher", "y"))
            loss, gradient = _distillation(*probe)
            off = apart(left.array("loss").reshape(-1), np.array([loss]))
            most = judging.GATES["same"]
            require(off <= most, f"the loss differs by {off:.2g} from the one by hand; expected {most:g}")
            off = apart(left.array("gradient_0"), gradient)
            most = judging.GATES["gradient_off"]
            require(off <= most, f"its gradient is off by {off:.1%} of its length; expected {most:.1%}")
            return off

        def distilled() -> float:
            """Five students that had a teacher, beside the same five without, which learn here: a process
            that makes the one might make the other worse."""
            of = SYSTEMS["distilled"]
            taught = [
                self._right([left.array(f"taught_{seed}_{i}") for i in range(4)], exam)
                for seed in range(of["seeds"])
            ]
            alone = [
                self._right([p.data for p in student(of, seed, paper.arrays).parameters()], exam)
                for seed in range(of["seeds"])
            ]
            gain, least = statistics.fmean(taught) - statistics.fmean(alone), of["better"]
            require(
                gain >= least,
                f"with a teacher the student is {100 * gain:+.2f} points better than alone; expected at "
                f"least {100 * least:g}, on the mean of {of['seeds']} seeds",
            )
            return gain

        lost, structured = SYSTEMS["lost"], SYSTEMS["structured"]
        gates: list[tuple[str, str, Any, float | None, str, str]] = [
            ("ran", "Runs to its end", ran, None, "", "Start with the last line of its output."),
            ("saved", "The network is saved as it is", saved, None, "",
             "Each array of state_dict() under its name, in float32."),
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
            ("distillation_loss", "Distillation loss", distillation_loss, judging.GATES["gradient_off"], "",
             "alpha T² KL(teacher, student, both at T) + (1 - alpha) cross-entropy, means over the batch."),
            ("distilled", "A student learns from a teacher", distilled, SYSTEMS["distilled"]["better"],
             "share", "Hinton et al. (2015): softened answers of both, times the temperature squared."),
        ]  # fmt: skip
        findings = [finding(name, title, _readable(gate), *rest) for name, title, gate, *rest in gates]
        return Verdict(findings, reached[0] if reached else None, {"loss": left.losses()})

    def _right(self, arrays: list[np.ndarray], exam: Exam) -> float:
        """The accuracy of a student, from weight and bias of its layers."""
        network = Network((64,), [f"linear {SYSTEMS['distilled']['hidden']}", "relu", "linear 10"])
        parts = [f"{layer}.{what}" for layer in range(2) for what in ("weight", "bias")]
        weights: Weights = network.read(dict(zip(parts, arrays, strict=True)))
        return exams.accuracy(network, weights, exam.x, exam.y)


def _distillation(student: np.ndarray, teacher: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Hinton's loss in float64, and its gradient by the student's logits."""
    hot, alpha = SYSTEMS["distilled"]["temperature"], SYSTEMS["distilled"]["alpha"]

    def logs(z: np.ndarray) -> np.ndarray:
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    s, t = student.astype(np.float64), teacher.astype(np.float64)
    cold, warm, said = logs(s), logs(s / hot), logs(t / hot)
    right = np.eye(s.shape[1])[y]
    divergence = (np.exp(said) * (said - warm)).sum(1).mean()
    loss = alpha * hot**2 * divergence - (1 - alpha) * (right * cold).sum(1).mean()
    gradient = alpha * hot * (np.exp(warm) - np.exp(said)) + (1 - alpha) * (np.exp(cold) - right)
    return float(loss), gradient / len(s)


def _file(name: str) -> str:
    return f"{name.replace(' % ', '_').replace(' ', '_')}.safetensors"


def _readable(gate: Any) -> Any:
    """A file that does not fit the network is the submission's fault."""

    def checked() -> Any:
        try:
            return gate()
        except (OSError, KeyError, ValueError) as error:
            raise NotMet(f"its files cannot be read: {type(error).__name__}: {error!s:.200}") from None

    return checked


def trial(name: str, of: dict[str, Any]) -> Trial:
    """The trial of the milestone in profiles.toml."""
    found = Optimising(of)
    return Trial(
        name, of["number"], of["title"], "optimising", "times_smaller", "×", False, of["marks"],
        found.paper, found.judge, GATES, of["seconds"],
    )  # fmt: skip
