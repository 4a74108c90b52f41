"""Milestones 1 to 4 for submissions: networks of layers in a row, on points and on digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.gates import require
from grading.networks import Network, Weights
from grading.submissions.judging import COMMON, GATES, Judge, finding
from grading.submissions.trial import Left, Paper, Trial, Verdict
from grading.submissions.unseen import Data, digits, points

_MISTAKES = 12
_USED = {  # without what the milestone is about, at most so many right answers may be left
    "xor": ("The hidden layer does the work", 0.755, "Is ReLU between the layers?"),
    "cnn": ("The convolutions do the work", 0.6, "Does what the convolutions find reach the last layer?"),
}


class Layered:
    """One milestone: its network, its data, and the judgement of what a submission left."""

    def __init__(self, name: str, of: dict[str, Any]):
        self.name, self.of = name, of
        self.network = Network(tuple(of["inputs"]), of["layers"])
        self.binary = self.network.outputs == 1

    def paper(self, seed: int) -> Paper:
        """Training data, test inputs, and a small batch with given weights."""
        of, rng = self.of, np.random.default_rng([seed, self.of["number"]])
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
        shapes = [shape for layer in self.network.shapes for shape in layer.values()]
        for i, shape in enumerate(shapes):
            arrays[f"given_{i}"] = rng.normal(0, GATES["probe_scale"], shape).astype(np.float32)
        task = {
            "layers": self._description(),
            "loss": "BCELoss" if self.binary else "CrossEntropyLoss",
            "probe_lr": GATES["probe_lr"],
            "seed": int(rng.integers(2**32)),
            "schedule": of["schedule"],
            "batch": of["batch"],
        }
        return Paper(task, arrays, (data, rows))

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *self.network.inputs).astype(np.float32)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.float32)[:, None] if self.binary else y

    def _walk(self) -> list[tuple[str, dict[str, tuple]]]:
        walked = self.network._walk(self.network.layers, self.network.inputs)
        return [(kind, wanted) for kind, wanted, _ in walked]

    def _description(self) -> list[list[Any]]:
        """Each layer as name, sizes and options, for the process that builds it."""
        found: list[list[Any]] = []
        for kind, wanted in self._walk():
            if kind in ("linear", "conv"):
                outputs, inputs, *window = wanted["weight"]
                name, options = ("Conv2d", {"padding": 1}) if window else ("Linear", {})
                found.append([name, [inputs, outputs, *window[:1]], options])
            else:
                name = {"relu": "ReLU", "pool": "MaxPool2d", "flatten": "Flatten"}[kind]
                found.append([name, [2] if kind == "pool" else [], {}])
        return [*found, ["Sigmoid", [], {}]] if self.binary else found

    def judge(self, left: Left, paper: Paper) -> Verdict:
        """One finding for each gate; the value is worked out from the weights alone."""
        data, rows = paper.secret
        kinds = [kind for kind, wanted in self._walk() if wanted]
        names = [
            f"the {what} of {kind} {n + 1}" for n, kind in enumerate(kinds) for what in ("weight", "bias")
        ]
        judge = LayeredJudge(
            self.network, names, left, paper, self._inputs(data.test_x).astype(np.float64), data.test_y,
            data.train_y[rows], self.of["marks"],
        )  # fmt: skip
        hint = "Compare layer by layer with NumPy on a batch of two"
        hint += ": window, padding, channels, order of flattening." if self.name == "cnn" else "."
        findings = judge.common("SGD", hint, "p -= lr * p.grad, and zero_grad() before the next.")
        findings.append(
            finding(
                "accuracy", "Accuracy on test data", judge.accuracy, self.of["marks"]["pass"], "share",
                "If all gates above are met, look at initialisation.",
            )
        )  # fmt: skip
        if self.name in _USED:
            title, most, look = _USED[self.name]
            findings.append(finding("used", title, lambda: judge.used(self.name, most), most, "share", look))
        pictures = _mistakes(data, judge.chosen) if judge.chosen is not None else ()
        return Verdict(findings, judge.reached, {"loss": left.losses()}, *pictures)


class LayeredJudge(Judge):
    """The gates of networks that answer with a class."""

    chosen: np.ndarray | None = None

    def read(self, arrays: list[np.ndarray]) -> Weights:
        names = [f"{i:03}.{what}" for i, layer in enumerate(self.network.shapes) for what in layer]
        return self.network.read(dict(zip(names, arrays, strict=True)))

    def output(self, z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z)) if z.shape[1] == 1 else z

    def cross_entropy(self, z: np.ndarray, y: np.ndarray) -> float:
        if z.shape[1] == 1:
            return float(np.mean(np.logaddexp(0, z[:, 0]) - y.reshape(-1) * z[:, 0]))
        return super().cross_entropy(z, y)

    def accuracy(self) -> float:
        self.chosen = self.choice(self.trained_answers, 0.0)
        self.reached = float(np.mean(self.chosen == self.test_y))
        mark = self.marks["pass"]
        require(
            self.reached >= mark,
            f"{self.reached:.1%} of {len(self.test_y):,} test examples; expected {mark:.0%}",
        )
        return self.reached

    def used(self, name: str, most: float) -> float:
        """Without what makes this network more than a line, or with convolutions drawn anew, it fails."""
        own = self.weights()
        if name == "xor":
            z = self.network.answer(own, self.test_x, relu=False)
        else:
            rng = np.random.default_rng(0)
            for layer in own:
                if layer["weight"].ndim == 4:
                    layer["weight"] = rng.normal(0, layer["weight"].std(), layer["weight"].shape)
            z = self.answer(own, self.test_x)
        share = float(np.mean(self.choice(z, 0.0) == self.test_y))
        require(
            share <= most,
            f"{share:.1%} are right without what this milestone is about; expected at most {most:.1%}",
        )
        return share


def _mistakes(data: Data, answers: np.ndarray) -> tuple[Any, list[str], list[dict[str, Any]]]:
    """Confusion matrix, names of the classes, and some images that were answered wrongly."""
    classes = sorted(range(len(data.names)), key=lambda label: data.names[label])
    confusion = [
        [int(np.sum((data.test_y == truth) & (answers == said))) for said in classes] for truth in classes
    ]
    wrong = np.flatnonzero(answers != data.test_y)[:_MISTAKES] if data.original is not None else []
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


def trial(name: str, of: dict[str, Any]) -> Trial:
    """The trial of a milestone in profiles.toml."""
    layered = Layered(name, of)
    return Trial(
        name, of["number"], of["title"], "networks", "accuracy", "share", False, of["marks"],
        layered.paper, layered.judge, (*COMMON, "accuracy", *(["used"] if name in _USED else [])),
        of["seconds"],
    )  # fmt: skip
