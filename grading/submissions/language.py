"""Milestone 5 for submissions: a small GPT that reads sentences in an alphabet nobody knows beforehand."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from grading import texts
from grading.gates import require
from grading.networks import Weights
from grading.submissions.judging import COMMON, GATES, Judge, finding
from grading.submissions.trial import Left, Paper, Trial, Verdict
from grading.transformer import Transformer
from tinytorch import datasets

_PARTS = {
    "wte": "the table of tokens", "wpe": "the table of places", "ln_1": "the norm before attention",
    "attn.c_attn": "the projection into attention", "attn.c_proj": "the projection out of attention",
    "ln_2": "the norm before the MLP", "mlp.c_fc": "the MLP's first layer",
    "mlp.c_proj": "the MLP's second layer",
    "ln_f": "the last norm", "head": "the output layer",
}  # fmt: skip


class Language:
    """The milestone: its model, its text, and the judgement of what a submission left."""

    def __init__(self, of: dict[str, Any]):
        self.of = of
        self.network = Transformer(**of["gpt"], positions="learned", head=True)

    def paper(self, seed: int) -> Paper:
        """Pieces of a text whose characters were given numbers by lot.

        Where a text is, its next tokens are: the loss is asked of sentences that no process is given, and the
        ones that it is given are asked for answers alone.
        """
        of, rng = self.of, np.random.default_rng([seed, self.of["number"]])
        written = [
            datasets.load_grammar(seed=seed).train,
            datasets.sample_sentences(of["questions"], seed=seed + 1),
            datasets.sample_sentences(of["shown"], seed=seed + 2),
        ]
        learned, asked, shown = ("\n".join(["", *lines, ""]) for lines in written)
        alphabet = sorted({*learned, *asked, *shown})
        rng.shuffle(alphabet)
        context = self.network.context
        (train_x, train_y), unseen, (test_x, _) = (
            texts.pieces(texts.encoded(text, alphabet), context) for text in (learned, asked, shown)
        )
        chosen = rng.permutation(len(train_x))[: of["examples"]]
        train_x, train_y = train_x[chosen], train_y[chosen]
        probe_x, probe_y = train_x[:4], train_y[:4]
        arrays = {
            "train_x": train_x,
            "train_y": train_y,
            "test_x": test_x,
            "probe_x": probe_x,
            "probe_y": probe_y,
        }
        arrays["later_x"] = probe_x.copy()  # another future behind the same past
        arrays["later_x"][:, context // 2 :] = rng.integers(
            0, len(alphabet), (len(probe_x), context - context // 2)
        )
        for i, (name, shape) in enumerate(self.network.shapes.items()):
            base = 1.0 if name.startswith(("h.0.ln", "ln_f")) and name.endswith("weight") else 0.0
            arrays[f"given_{i}"] = (base + rng.normal(0, of["probe_scale"], shape)).astype(np.float32)
        task = {
            "gpt": {**of["gpt"]}, "lr": of["lr"], "epochs": of["epochs"], "batch": of["batch"],
            "probe_lr": of["probe_lr"],
            "seed": int(rng.integers(2**32)),
        }  # fmt: skip
        return Paper(task, arrays, (alphabet, *unseen))

    def judge(self, left: Left, paper: Paper) -> Verdict:
        """One finding for each gate; the loss is worked out from the weights alone."""
        alphabet, unseen_x, unseen_y = paper.secret
        names = [_part(name) for name in self.network.shapes]
        judge = LanguageJudge(
            self.network, names, left, paper, unseen_x, unseen_y, paper.arrays["probe_y"], self.of["marks"]
        )
        judge.lr, judge.least, judge.stepped = self.of["probe_lr"], self.of["without"], self.of["stepped"]
        findings = judge.common(
            "Adam", "Compare with NumPy on one sentence: embedding, norm, attention, MLP, in this order.",
            "Kingma and Ba (2015), algorithm 1, with its corrections of the first steps.",
        )  # fmt: skip
        rows = [
            ("future", "The future is hidden", judge.future, GATES["same"], "", "Look at the causal mask."),
            ("validation_loss", "Loss on unseen sentences", judge.value, self.of["marks"]["pass"], "nats",
             "If all gates above are met, look at initialisation."),
            ("used", "Attention does the work", judge.used, self.of["without"], "nats",
             "Do queries and keys learn?"),
        ]  # fmt: skip
        findings += [finding(*row) for row in rows]
        return Verdict(findings, judge.reached, {"loss": left.losses()}, text=judge.writes(alphabet))


class LanguageJudge(Judge):
    """The gates of a model that predicts the next token. test_x, test_y: of the text that nobody saw."""

    lr = least = 0.0

    def read(self, arrays: list[np.ndarray]) -> Weights:
        return self.network.read(dict(zip(self.network.shapes, arrays, strict=True)))

    def answer(self, weights: Weights, x: np.ndarray) -> np.ndarray:
        return self.network.answer(weights, x, dtype=np.float64)

    def stepper(self) -> Any:
        """Adam's steps; NaN where the gradient is so small that its direction is rounding."""
        first: list[np.ndarray] = []
        second: list[np.ndarray] = []

        def step(gradients: list[np.ndarray]) -> list[np.ndarray]:
            first[:] = [
                0.9 * m + 0.1 * g for m, g in zip(first or [0 * g for g in gradients], gradients, strict=True)
            ]
            second[:] = [
                0.999 * v + 0.001 * g * g
                for v, g in zip(second or [0 * g for g in gradients], gradients, strict=True)
            ]
            self.steps += 1
            a, b = 1 - 0.9**self.steps, 1 - 0.999**self.steps
            moved = [-self.lr * (m / a) / (np.sqrt(v / b) + 1e-8) for m, v in zip(first, second, strict=True)]
            return [
                np.where(np.abs(g) > 1e-2 * np.abs(g).max(), x, np.nan)
                for x, g in zip(moved, gradients, strict=True)
            ]

        self.steps = 0
        return step

    def future(self) -> float:
        half = self.network.context // 2
        a, b = (self.left.array(name)[:, :half] for name in ("output", "later"))
        off = float(np.abs(a - b).max() / np.abs(a).max()) if a.shape == b.shape else float("inf")
        require(
            off <= GATES["same"],
            f"another second half of a sentence changes what was said about its first half, by {off:.2g}; "
            f"expected at most {GATES['same']:g}",
        )
        return off

    @functools.cached_property
    def trained_answers(self) -> np.ndarray:
        """Logits of the inputs that it was asked for, from the trained weights."""
        return self.answer(self.weights(), self.paper.arrays["test_x"])

    def value(self) -> float:
        self.reached = self.cross_entropy(self.answer(self.weights(), self.test_x), self.test_y)
        mark = self.marks["pass"]
        require(self.reached <= mark, f"{self.reached:.3f} nats a character; expected at most {mark:g}")
        return self.reached

    def used(self) -> float:
        """With its attention's projections drawn anew it loses what it knows of the past."""
        own, rng = self.weights(), np.random.default_rng(0)
        for name, array in own[0].items():
            if "attn" in name and array.ndim == 2:
                own[0][name] = rng.normal(0, array.std(), array.shape)
        worse = self.cross_entropy(self.answer(own, self.test_x), self.test_y) - (self.reached or 0.0)
        least = self.least
        require(
            worse >= least,
            f"with its attention drawn anew the loss rises by {worse:.2f} nats; expected at least {least:g}",
        )
        return worse

    def writes(self, alphabet: list[str]) -> list[str]:
        """A few lines of its own; none, where its weights are numbers that nobody can reckon with."""
        if self.reached is None or not np.isfinite(self.reached):
            return []
        start = np.full((1, 1), alphabet.index("\n"))
        with np.errstate(all="ignore"):  # what is finite in float64 may not be in float32
            written = self.network.write(self.weights(), start, 200, 0.7, 0)
        return [texts.decoded(written[0, 1:], alphabet)]


def _part(name: str) -> str:
    inner, _, what = name.removeprefix("h.0.").rpartition(".")
    return _PARTS[inner] if inner in ("wte", "wpe") else f"{_PARTS[inner]} ({what})"


def trial(name: str, of: dict[str, Any]) -> Trial:
    """The trial of the milestone in profiles.toml."""
    found = Language(of)
    return Trial(
        name, of["number"], of["title"], "language", "validation_loss", "nats", True, of["marks"],
        found.paper, found.judge, (*COMMON, "future", "validation_loss", "used"), of["seconds"],
    )  # fmt: skip
