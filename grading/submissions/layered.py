"""Milestones 1 to 4 for submissions: networks of layers in a row, judged by the grader's own arithmetic."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grading import gates
from grading.gates import NotMet
from grading.networks import Network, Weights
from grading.submissions.trial import Finding, Left, Paper, Trial, Verdict
from grading.submissions.unseen import Data, digits, points

TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("profiles.toml").read_text("utf-8"))
GATES: dict[str, Any] = TABLE.pop("gates")
_MISTAKES = 12


class Layered:
    """One milestone: its network, its data, and the judgement of what a submission left."""

    def __init__(self, name: str, of: dict[str, Any]):
        self.name, self.of = name, of
        self.network = Network(tuple(of["inputs"]), of["layers"])
        self.binary = self.network.outputs == 1
        self.marks: dict[str, float] = of["marks"]

    # --- questions --------------------------------------------------------------------------------------

    def paper(self, seed: int) -> Paper:
        """Training data, test inputs, and a small batch with given weights."""
        of, rng = self.of, np.random.default_rng([seed, of_number(self.of)])
        data = (
            digits(seed, GATES["noise"])
            if of["data"] == "digits"
            else points(of["data"], of["examples"], of["questions"], seed)
        )
        rows = rng.permutation(len(data.train_x))[: GATES["probe_batch"]]
        arrays = {
            "train_x": self._inputs(data.train_x),
            "train_y": self._targets(data.train_y),
            "test_x": self._inputs(data.test_x),
            "probe_x": self._inputs(data.train_x[rows]),
            "probe_y": self._targets(data.train_y[rows]),
        }
        for i, shape in enumerate(self._shapes()):
            arrays[f"given_{i}"] = rng.normal(0, GATES["probe_scale"], shape).astype(np.float32)
        task = {
            "layers": self._description(),
            "loss": "BCELoss" if self.binary else "CrossEntropyLoss",
            "probe_lr": GATES["probe_lr"],
            "seed": seed % 2**32,
            "schedule": of["schedule"],
            "batch": of["batch"],
        }
        return Paper(task, arrays, (data, rows))

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *self.network.inputs).astype(np.float32)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.float32)[:, None] if self.binary else y

    def _shapes(self) -> list[tuple[int, ...]]:
        return [shape for layer in self.network.shapes for shape in layer.values()]

    def _description(self) -> list[list[Any]]:
        """Each layer as name, sizes and options, for the process that builds it."""
        found: list[list[Any]] = []
        for kind, wanted, _ in self.network._walk(self.network.layers, self.network.inputs):
            if kind == "linear":
                found.append(["Linear", [wanted["weight"][1], wanted["weight"][0]], {}])
            elif kind == "conv":
                found.append(["Conv2d", [wanted["weight"][1], wanted["weight"][0], 3], {"padding": 1}])
            else:
                name = {"relu": "ReLU", "pool": "MaxPool2d", "flatten": "Flatten"}[kind]
                found.append([name, [2] if kind == "pool" else [], {}])
        return [*found, ["Sigmoid", [], {}]] if self.binary else found

    # --- judgement --------------------------------------------------------------------------------------

    def judge(self, left: Left, paper: Paper) -> Verdict:
        """One finding for each gate; the value is worked out from the weights alone."""
        data, rows = paper.secret
        found: dict[str, Any] = {}

        def weights(what: str) -> Weights:
            names = [f"{i:03}.{kind}" for i, layer in enumerate(self.network.shapes) for kind in layer]
            saved = {}
            for i, name in enumerate(names):
                saved[name] = left.array(f"{what}_{i}")
                gates.require(
                    np.isfinite(saved[name]).all(), f"NaN or infinity in its weights {what} training"
                )
            try:
                return self.network.read(saved)
            except ValueError as error:
                raise NotMet(str(error)) from None

        def ran() -> None:
            left.ended()

        def forward() -> float:
            z = self.network.answer(self._given(paper), paper.arrays["probe_x"].astype(np.float64))
            off = _apart(left.array("output"), _sigmoid(z) if self.binary else z)
            gates.require(
                off <= GATES["same"],
                f"with the same weights, the output differs by {off:.2g} from the one worked out by hand; "
                f"expected at most {GATES['same']:g}",
            )
            return off

        def loss() -> float:
            z = self.network.answer(self._given(paper), paper.arrays["probe_x"].astype(np.float64))
            off = _apart(left.array("loss").reshape(1), np.array([_cross_entropy(z, data.train_y[rows])]))
            gates.require(
                off <= GATES["same"],
                f"with the same weights, the loss differs by {off:.2g} from the one worked out by hand; "
                f"expected at most {GATES['same']:g}. Is it the mean over the batch?",
            )
            return off

        def by_hand() -> list[np.ndarray]:
            if "gradients" not in found:
                x, y = paper.arrays["probe_x"].astype(np.float64), data.train_y[rows]
                layers = self.network.gradients(self._given(paper), x, y)
                found["gradients"] = [gradient for layer in layers for gradient in layer.values()]
            return found["gradients"]

        def gradients() -> float:
            worst = 0.0
            for i, expected in enumerate(by_hand()):
                name = self._parameter(i)
                gates.require(
                    f"gradient_{i}" in left.arrays, f"no gradient reached {name}. Was the graph cut?"
                )
                off = _apart(left.array(f"gradient_{i}"), expected)
                gates.require(
                    off <= GATES["gradient_off"],
                    f"the gradient of {name} is off by {off:.1%} of its length from the one by hand; expected "
                    f"at most {GATES['gradient_off']:.1%}",
                )
                worst = max(worst, off)
            return worst

        def stepped() -> None:
            """Two steps of it, so that a gradient which is kept from the first shows in the second."""
            given, lr = self._given(paper), GATES["probe_lr"]
            x, y = paper.arrays["probe_x"].astype(np.float64), data.train_y[rows]
            for what in ("stepped", "twice"):
                before = [array for layer in given for array in layer.values()]
                layers = self.network.gradients(given, x, y)
                steps = [-lr * gradient for layer in layers for gradient in layer.values()]
                after = [left.array(f"{what}_{i}") for i in range(len(steps))]
                for i, step in enumerate(steps):
                    off = _apart(after[i] - before[i], step)
                    gates.require(
                        off <= GATES["stepped"],
                        f"after {'one step' if what == 'stepped' else 'a second step'} {self._parameter(i)} is "
                        f"not weight - lr * gradient: off by {off:.1%} of the step",
                    )
                moved = iter(after)
                given = [{kind: next(moved) for kind in layer} for layer in given]

        def loss_fell() -> float:
            curve = left.losses()
            gates.require(
                len(curve) >= 2 and all(np.isfinite(curve)), f"expected finite losses, got {curve!r:.80}"
            )
            share = curve[-1] / curve[0]
            gates.require(
                share <= GATES["loss_left"],
                f"the loss went from {curve[0]:.4g} to {curve[-1]:.4g}; expected at most "
                f"{GATES['loss_left']:.0%} of it to be left",
            )
            return share

        def every_layer_trained() -> float:
            pairs = [
                (left.array(f"before_{i}"), left.array(f"after_{i}")) for i in range(len(self._shapes()))
            ]
            moved = [gates.movement(before, after) for before, after in pairs]
            still = [self._parameter(i) for i, share in enumerate(moved) if not share > GATES["moved"]]
            gates.require(not still, f"training did not change {', '.join(still)}")
            return min(moved)

        def answers() -> float:
            z = self.network.answer(weights("after"), self._inputs(data.test_x).astype(np.float64))
            given = left.array("answers")
            gates.require(given.shape == z.shape, f"expected answers of shape {z.shape}, got {given.shape}")
            same = float(np.mean(_chosen(given, 0.5) == _chosen(z, 0.0)))
            gates.require(
                same >= GATES["agree"],
                f"of its answers to the test inputs {same:.1%} are those that its weights give; expected "
                f"{GATES['agree']:.1%}. Does the network do something else when it is asked than in training?",
            )
            return same

        def accuracy() -> float:
            z = self.network.answer(weights("after"), self._inputs(data.test_x).astype(np.float64))
            found["answers"] = _chosen(z, 0.0)
            found["value"] = float(np.mean(found["answers"] == data.test_y))
            mark = self.marks["pass"]
            gates.require(
                found["value"] >= mark,
                f"{found['value']:.1%} of {len(data.test_y):,} test examples; expected {mark:.0%}",
            )
            return found["value"]

        def used() -> float:
            """Without what makes this network more than a line, or with its convolutions drawn anew, it fails."""
            x, own = self._inputs(data.test_x).astype(np.float64), weights("after")
            if self.name == "xor":
                z, most = self.network.answer(own, x, relu=False), 0.755
            else:
                rng = np.random.default_rng(0)
                for layer in own:
                    if layer["weight"].ndim == 4:
                        layer["weight"] = rng.normal(0, layer["weight"].std(), layer["weight"].shape)
                z, most = self.network.answer(own, x), 0.6
            share = float(np.mean(_chosen(z, 0.0) == data.test_y))
            gates.require(
                share <= most,
                f"{share:.1%} are right without what this milestone is about; expected at most {most:.1%}",
            )
            return share

        table: list[tuple[str, str, Callable[[], float | None], float | None, str, str]] = [
            ("ran", "Runs to its end", ran, None, "", "Start with the last line of its output."),
            ("forward", "Forward pass", forward, GATES["same"], "", _hint_forward(self.name)),
            ("loss", "Loss", loss, GATES["same"], "", "Compare it with -log(p of the right answer), by hand."),
            ("gradients", "Gradients", gradients, GATES["gradient_off"], "",
             "Check each layer's backward by finite differences, the last one first."),
            ("optimizer", "Two steps of SGD", stepped, None, "", "p -= lr * p.grad, and zero_grad() before the next."),
            ("loss_falls", "Loss falls", loss_fell, GATES["loss_left"], "", "Does each step go downhill?"),
            ("every_layer", "Every layer is trained", every_layer_trained, GATES["moved"], "",
             "Does parameters() give weight and bias, and does the gradient reach them?"),
            ("answers", "Answers are those of its weights", answers, GATES["agree"], "share", ""),
            ("accuracy", "Accuracy on test data", accuracy, self.marks["pass"], "share",
             "If all gates above are met, look at initialisation and learning rate."),
        ]  # fmt: skip
        if self.name in ("xor", "cnn"):
            title = "The hidden layer does the work" if self.name == "xor" else "The convolutions do the work"
            table.append(("used", title, used, 0.755 if self.name == "xor" else 0.6, "share", ""))
        findings = [finding(*row) for row in table]
        return Verdict(
            findings,
            found.get("value"),
            {"loss": left.losses()},
            *self._mistakes(data, found.get("answers")),
        )

    def _given(self, paper: Paper) -> Weights:
        arrays = iter(paper.arrays[f"given_{i}"].astype(np.float64) for i in range(len(self._shapes())))
        return [{what: next(arrays) for what in layer} for layer in self.network.shapes]

    def _parameter(self, i: int) -> str:
        kinds = [
            kind for kind, wanted, _ in self.network._walk(self.network.layers, self.network.inputs) if wanted
        ]
        names = [
            f"the {what} of {kind} {n + 1}" for n, kind in enumerate(kinds) for what in ("weight", "bias")
        ]
        return names[i]

    def _mistakes(
        self, data: Data, answers: np.ndarray | None
    ) -> tuple[Any, list[str], list[dict[str, Any]]]:
        """Confusion matrix, names of the classes, and some images that were answered wrongly."""
        if answers is None:
            return None, [], []
        classes = sorted(range(len(data.names)), key=lambda label: data.names[label])
        confusion = [
            [int(np.sum((data.test_y == truth) & (answers == said))) for said in classes] for truth in classes
        ]
        wrong = np.flatnonzero(answers != data.test_y)[:_MISTAKES]
        mistakes = [
            {
                "image": np.round(data.original[i], 3).tolist(),
                "expected": data.names[data.test_y[i]],
                "got": data.names[answers[i]],
            }
            for i in wrong
            if data.original is not None
        ]
        return confusion, [data.names[label] for label in classes], mistakes


def of_number(of: dict[str, Any]) -> int:
    """The milestone's number."""
    return of["number"]


def finding(
    name: str, title: str, gate: Callable[[], float | None], threshold: float | None, unit: str, hint: str
) -> Finding:
    """What a gate says: passed with its value, or failed with the reason."""
    try:
        value = gate()
    except NotMet as error:
        return Finding(name, title, "failed", str(error), hint, threshold, unit=unit)
    return Finding(name, title, "passed", threshold=threshold, value=value, unit=unit)


def _hint_forward(name: str) -> str:
    return "Compare layer by layer with NumPy on a batch of two" + (
        ": window, padding, channels, order of flattening." if name == "cnn" else "."
    )


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _cross_entropy(z: np.ndarray, y: np.ndarray) -> float:
    if z.shape[1] == 1:
        return float(np.mean(np.logaddexp(0, z[:, 0]) - y * z[:, 0]))
    z = z - z.max(1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), y]))


def _chosen(z: np.ndarray, border: float) -> np.ndarray:
    return (z[:, 0] > border).astype(np.int64) if z.shape[1] == 1 else z.argmax(1)


def _apart(given: np.ndarray, expected: np.ndarray) -> float:
    """The length of the difference, as a share of what was expected."""
    if given.shape != expected.shape:
        raise NotMet(f"expected numbers of shape {expected.shape}, got {given.shape}")
    off = float(np.linalg.norm(given - expected) / max(np.linalg.norm(expected), 1e-12))
    return off if np.isfinite(off) else float("inf")


def trial(name: str) -> Trial:
    """The trial of a milestone in profiles.toml."""
    of = TABLE[name]
    layered = Layered(name, of)
    return Trial(
        name, of["number"], of["title"], "networks", "accuracy", "share", False, of["marks"],
        layered.paper, layered.judge, of["seconds"],
    )  # fmt: skip
