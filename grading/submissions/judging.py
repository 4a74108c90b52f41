"""The gates that milestones 1 to 5 have in common: one method each, by the grader's own arithmetic."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grading import gates
from grading.gates import NotMet, require
from grading.networks import Network, Weights
from grading.submissions.trial import Finding, Left, Paper
from grading.transformer import Transformer

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("profiles.toml").read_text("utf-8"))
GATES: dict[str, Any] = TABLE.pop("gates")


COMMON = ("ran", "forward", "loss", "gradients", "optimizer", "loss_falls", "every_layer", "answers")


class Judge:
    """What a submission left, beside what the grader works out.

    network: in NumPy. parameters: their names, as a student reads them. test_x, test_y: the questions, and
    their answers, which only the grader knows.
    stepped: how far a step may be off, of its length.
    """

    stepped: float = GATES["stepped"]

    def __init__(
        self, network: Network | Transformer, parameters: list[str], left: Left, paper: Paper,
        test_x: np.ndarray, test_y: np.ndarray, probe_y: np.ndarray, marks: dict[str, float],
    ):  # fmt: skip
        self.network: Any = network
        self.parameters, self.left, self.paper, self.marks = parameters, left, paper, marks
        self.test_x, self.test_y, self.probe_y = test_x, test_y, probe_y
        self.reached: float | None = None

    # --- what depends on the kind of network ------------------------------------------------------------

    def read(self, arrays: list[np.ndarray]) -> Weights:
        """The weights of the network, from arrays in the order of its parameters."""
        raise NotImplementedError

    def output(self, z: np.ndarray) -> np.ndarray:
        """What the network gives for these logits."""
        return z

    def cross_entropy(self, z: np.ndarray, y: np.ndarray) -> float:
        """Mean loss of logits, in nats."""
        z, y = z.reshape(-1, z.shape[-1]), y.reshape(-1)
        z = z - z.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), y]))

    def stepper(self) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
        """A function from gradients to what the optimiser adds to the weights."""
        lr = GATES["probe_lr"]
        return lambda gradients: [-lr * gradient for gradient in gradients]

    # --- arithmetic -------------------------------------------------------------------------------------

    def arrays(self, what: str) -> list[np.ndarray]:
        """What was left of each parameter at some time."""
        found = [self.left.array(f"{what}_{i}") for i in range(len(self.parameters))]
        for name, array in zip(self.parameters, found, strict=True):
            require(np.isfinite(array).all(), f"NaN or infinity in {name}, {what} training")
        return found

    @functools.cached_property
    def given(self) -> Weights:
        """The weights that it was examined with."""
        found = [self.paper.arrays[f"given_{i}"].astype(np.float64) for i in range(len(self.parameters))]
        return self.read(found)

    def weights(self, when: str = "after") -> Weights:
        """Those before or after training."""
        try:
            return self.read(self.arrays(when))
        except ValueError as error:
            raise NotMet(str(error)) from None

    def answer(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        """Logits."""
        return np.asarray(self.network.answer(weights, x))

    def by_hand(self, weights: Weights) -> list[np.ndarray]:
        """The gradients of all parameters, in order."""
        layers = self.network.gradients(weights, self.probe_x, self.probe_y)
        return [gradient for layer in layers for gradient in layer.values()]

    @property
    def probe_x(self) -> np.ndarray:
        x = self.paper.arrays["probe_x"]
        return x.astype(np.float64) if x.dtype.kind == "f" else x

    @functools.cached_property
    def trained_answers(self) -> np.ndarray:
        """Logits of the test inputs, from the trained weights."""
        return self.answer(self.weights(), self.test_x)

    # --- gates ------------------------------------------------------------------------------------------

    def ran(self) -> None:
        """Whoever ends it early leaves no answers, whatever else is written."""
        self.left.ended()
        self.left.array("answers")

    def forward(self) -> float:
        return self._same(
            "the output", self.left.array("output"), self.output(self.answer(self.given, self.probe_x))
        )

    def loss(self) -> float:
        right = self.cross_entropy(self.answer(self.given, self.probe_x), self.probe_y)
        hint = " Is it the mean over the batch?"
        return self._same("the loss", self.left.array("loss").reshape(1), np.array([right]), hint)

    def _same(self, what: str, found: np.ndarray, right: np.ndarray, hint: str = "") -> float:
        off = apart(found, right)
        require(
            off <= GATES["same"],
            f"with the same weights, {what} differs by {off:.2g} from the one worked out by hand; expected "
            f"at most {GATES['same']:g}.{hint}",
        )
        return off

    def gradients(self) -> float:
        worst = 0.0
        for i, (name, right) in enumerate(zip(self.parameters, self.by_hand(self.given), strict=True)):
            require(f"gradient_{i}" in self.left.arrays, f"no gradient reached {name}. Was the graph cut?")
            off = apart(self.left.array(f"gradient_{i}"), right)
            require(
                off <= GATES["gradient_off"],
                f"the gradient of {name} is off by {off:.1%} of its length from the one by hand; expected at "
                f"most {GATES['gradient_off']:.1%}",
            )
            worst = max(worst, off)
        return worst

    def optimizer(self) -> float:
        """Two steps of it, so that a gradient which is kept from the first shows in the second."""
        step, before, worst = self.stepper(), self.paper_given(), 0.0
        for what, words in (("stepped", "one step"), ("twice", "a second step")):
            steps = step(self.by_hand(self.read(before)))
            after = [self.left.array(f"{what}_{i}") for i in range(len(steps))]
            for name, old, new, right in zip(self.parameters, before, after, steps, strict=True):
                off = apart(np.where(np.isnan(right), 0.0, new - old), np.nan_to_num(right))
                require(
                    off <= self.stepped,
                    f"after {words} {name} is not where it should be: off by {off:.1%} of the step",
                )
                worst = max(worst, off)
            before = after
        return worst

    def paper_given(self) -> list[np.ndarray]:
        return [self.paper.arrays[f"given_{i}"].astype(np.float64) for i in range(len(self.parameters))]

    def loss_falls(self) -> float:
        """On the training data, by the grader's own count: the curve is the submission's word."""
        x, y = self.paper.arrays["train_x"], self.paper.arrays["train_y"]
        x = x.astype(np.float64) if x.dtype.kind == "f" else x
        before, after = (
            self.cross_entropy(self.answer(self.weights(when), x), y) for when in ("before", "after")
        )
        require(
            after <= GATES["loss_left"] * before,
            f"training took the loss from {before:.4g} to {after:.4g}; expected at most "
            f"{GATES['loss_left']:.0%} of it to be left",
        )
        return after / before

    def every_layer(self) -> float:
        pairs = zip(self.arrays("before"), self.arrays("after"), strict=True)
        moved = [gates.movement(before, after) for before, after in pairs]
        still = [
            name for name, share in zip(self.parameters, moved, strict=True) if not share > GATES["moved"]
        ]
        require(not still, f"training did not change {', '.join(still)}")
        return min(moved)

    def answers(self) -> float:
        z, given = self.trained_answers, self.left.array("answers")
        require(given.shape == z.shape, f"expected answers of shape {z.shape}, got {given.shape}")
        same = float(np.mean(self.choice(given, 0.5) == self.choice(z, 0.0)))
        require(
            same >= GATES["agree"],
            f"of its answers to the test inputs {same:.1%} are those that its weights give; expected "
            f"{GATES['agree']:.1%}. Does the network do something else when it is asked than in training?",
        )
        return same

    def choice(self, z: np.ndarray, border: float) -> np.ndarray:
        """The class that was answered; of one output whether it is above a border."""
        return (z[:, 0] > border).astype(np.int64) if z.shape[-1] == 1 else z.argmax(-1)

    # --- all of them ------------------------------------------------------------------------------------

    def common(self, optimizer: str, hint_forward: str, hint_optimizer: str) -> list[Finding]:
        """The findings of the gates above."""
        rows: list[tuple[str, str, Callable[[], float | None], float | None, str, str]] = [
            ("ran", "Runs to its end", self.ran, None, "", "Start with the last line of its output."),
            ("forward", "Forward pass", self.forward, GATES["same"], "", hint_forward),
            ("loss", "Loss", self.loss, GATES["same"], "", "Compare it with -log(p of the right class)."),
            ("gradients", "Gradients", self.gradients, GATES["gradient_off"], "",
             "Check each layer's backward by finite differences, the last one first."),
            ("optimizer", f"Two steps of {optimizer}", self.optimizer, self.stepped, "", hint_optimizer),
            ("loss_falls", "Loss falls", self.loss_falls, GATES["loss_left"], "", "Does a step go downhill?"),
            ("every_layer", "Every layer is trained", self.every_layer, GATES["moved"], "",
             "Does parameters() give weight and bias, and does the gradient reach them?"),
            ("answers", "Answers are those of its weights", self.answers, GATES["agree"], "share", ""),
        ]  # fmt: skip
        return [finding(*row) for row in rows]


def finding(
    name: str,
    title: str,
    gate: Callable[[], float | None],
    threshold: float | None,
    unit: str,
    hint: str,
) -> Finding:
    """What a gate says: passed with its value, failed with the reason, or that it could not be asked."""
    try:
        with np.errstate(all="ignore"):  # a submission's numbers may be anything
            value = gate()
    except NotMet as error:
        return Finding(name, title, "failed", str(error), hint, threshold, unit=unit)
    except (ValueError, ArithmeticError, LookupError) as error:
        message = f"what it left cannot be judged: {error!s:.300}"
        return Finding(name, title, "error", message, hint, threshold, unit=unit)
    return Finding(name, title, "passed", threshold=threshold, value=value, unit=unit)


def apart(given: np.ndarray, right: np.ndarray) -> float:
    """The length of the difference, as a share of what was expected."""
    require(given.shape == right.shape, f"expected numbers of shape {right.shape}, got {given.shape}")
    off = float(np.linalg.norm(given - right) / max(np.linalg.norm(right), 1e-12))
    return off if np.isfinite(off) else float("inf")
