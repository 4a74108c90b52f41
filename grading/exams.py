"""What the grader asks a trained network, and how good its answers are.

The answers are worked out from its weights in NumPy (`networks`): a wrong metric and an invented number show
up as a difference between what a script reports and what its weights can do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grading import texts
from grading.networks import Network, Weights
from grading.thresholds import EXAM, WRITING, Milestone
from grading.transformer import IGNORED, Transformer
from tinytorch import datasets
from tinytorch.datasets.grammar import accepts
from tinytorch.datasets.sequences import TOKENS
from tinytorch.text import BPETokenizer

_NUMBERS = 8_000_000  # activations at a time
_BYTES = 256
_SMALL = 10_000  # of an example: networks with fewer are worked out in float64


@dataclass(frozen=True, eq=False)
class Exam:
    """Questions and right answers; `train_x` and `train_y` are None where training data are made at will.

    Inputs are float32 from 0 to 1, (n, ...), answers int64 (n,). Of the training data there are at most as
    many as `train_images` in thresholds.toml says. For language models both are tokens, int64 (n, t); what
    each stands for is in `alphabet`, and `text` is what there was to learn from.
    """

    x: np.ndarray
    y: np.ndarray
    train_x: np.ndarray | None = None
    train_y: np.ndarray | None = None
    alphabet: Sequence[str] = ()
    text: str = ""

    @functools.cached_property
    def learned(self) -> Exam | None:
        """The same questions about the training data."""
        if self.train_x is None or self.train_y is None:
            return None
        return replace(self, x=self.train_x, y=self.train_y)


def of(milestone: Milestone, seed: int = 0) -> Exam:
    """The exam of a milestone, for a training run with this seed, in pieces as long as its network reads."""
    network = milestone.network
    if isinstance(network, Transformer):
        return exam(milestone.dataset, network.context, network.vocabulary, seed)
    return exam(milestone.dataset)


def exam(dataset: str, context: int = 0, vocabulary: int = 0, seed: int = 0) -> Exam:
    """The exam in `dataset`: its test images, or what was made for it, which no training run can have seen.

    Raises DatasetUnavailable when the data are neither there nor to be had; that is tried once.
    """
    found = _attempt(dataset, context, vocabulary, seed)
    if isinstance(found, datasets.DatasetUnavailable):
        raise found
    return found


@functools.cache
def _attempt(dataset: str, context: int, vocabulary: int, seed: int) -> Exam | datasets.DatasetUnavailable:
    try:
        if dataset == "sequences":
            return Exam(*texts.sequences(EXAM["sequences"], EXAM["lengths"], EXAM["seed"]))
        if dataset == "grammar":
            learned = datasets.load_grammar(seed=seed).train
            asked = datasets.sample_sentences(EXAM["lines"], seed=EXAM["seed"])
            learned, asked = ("\n".join(["", *lines, ""]) for lines in (learned, asked))
            return _of_text(learned, asked, context, vocabulary)
        if dataset == "tiny-shakespeare":
            plays = datasets.tiny_shakespeare()
            end = len(plays) * 9 // 10
            return _of_text(plays[:end], plays[end:], context, vocabulary)
        return _load(dataset)
    except datasets.DatasetUnavailable as error:
        return error


def _of_text(learned: str, asked: str, context: int, vocabulary: int) -> Exam:
    """Tokens are characters, in the order of their codes, or, where there are more, pairs of bytes joined."""
    if vocabulary > _BYTES:
        tokenizer = BPETokenizer.train(learned, vocabulary)
        alphabet, encode = [tokenizer.decode([i]) for i in range(vocabulary)], tokenizer.encode
    else:
        alphabet = sorted({*learned, *asked})
        encode = functools.partial(texts.encoded, alphabet=alphabet)
    train, test = (texts.pieces(encode(text), context) for text in (learned, asked))
    return Exam(*test, *(part[: EXAM["train_contexts"]] for part in train), alphabet, learned)


def _load(dataset: str) -> Exam:
    if dataset in ("two_gaussians", "xor"):
        x, y = getattr(datasets, dataset)(EXAM["points"], seed=EXAM["seed"])
        return Exam(x, y[:, 0].astype(np.int64))
    data = getattr(datasets, dataset.replace("-", ""))()
    kept = slice(EXAM["train_images"])
    train_x, test_x = (
        images.astype(np.float32) / np.float32(data.max_value)
        for images in (data.train_images[kept], data.test_images)
    )
    return Exam(test_x, data.test_labels, train_x, data.train_labels[kept])


def value(milestone: Milestone, weights: Weights, exam: Exam) -> float:
    """What the milestone is measured by, of these weights."""
    return _VALUES[milestone.metric](milestone.network, weights, exam)


def accuracy(network: Network, weights: Weights, x: np.ndarray, y: np.ndarray, *, relu: bool = True) -> float:
    """The fraction of `x` that the network answers with `y`; `relu=False` leaves out what is not linear."""
    dtype = np.float64 if network.numbers < _SMALL else np.float32
    right = 0
    for rows in _parts(network, x):
        out = network.answer(weights, network.prepared(x[rows].astype(dtype)), relu=relu)
        answers = out[:, 0] > 0 if out.shape[1] == 1 else out.argmax(1)
        right += int(np.sum(answers == y[rows]))
    return right / len(x)


def loss(network: Transformer, weights: Weights, exam: Exam) -> float:
    """Mean cross-entropy of the tokens that follow, in nats."""
    total = 0.0
    for rows in _parts(network, exam.x):
        z = network.answer(weights, exam.x[rows])
        z -= z.max(-1, keepdims=True)
        right = np.take_along_axis(z, exam.y[rows, :, None], axis=-1)[..., 0]
        total += float(np.sum(np.log(np.exp(z).sum(-1)) - right, dtype=np.float64))
    return total / exam.y.size


def exact(network: Transformer, weights: Weights, exam: Exam) -> float:
    """The share of sequences that are answered right in every letter, in the task that goes worst."""
    return min(exact_by_task(network, weights, exam).values())


def exact_by_task(network: Transformer, weights: Weights, exam: Exam) -> dict[str, float]:
    """The share of sequences of each task that are answered right in every letter."""
    guesses = [network.answer(weights, exam.x[rows]).argmax(-1) for rows in _parts(network, exam.x)]
    right = ((np.concatenate(guesses) == exam.y) | (exam.y == IGNORED)).all(1)
    return {TOKENS[task]: float(right[exam.x[:, 0] == task].mean()) for task in np.unique(exam.x[:, 0])}


def accepted(network: Transformer, weights: Weights, exam: Exam) -> float:
    """The share of the sentences that it writes which the grammar accepts."""
    return float(np.mean([accepts(sentence) for sentence in sentences(network, weights, exam)]))


def sentences(network: Transformer, weights: Weights, exam: Exam) -> list[str]:
    """Lines of its own, each from a line's beginning to its end; one that does not end is cut."""
    written = _written(network, weights, exam, tokens=network.context - 1, **WRITING["sentences"])
    return [text.partition("\n")[0] for text in written]


def writing(network: Transformer, weights: Weights, exam: Exam) -> list[str]:
    """Texts of its own, each from a line's beginning on."""
    return _written(network, weights, exam, **WRITING["texts"])


def _written(
    network: Transformer, weights: Weights, exam: Exam, count: int, tokens: int, temperature: float
) -> list[str]:
    begin = np.full((count, 1), exam.alphabet.index("\n"))
    written = network.write(weights, begin, tokens, temperature, EXAM["seed"])
    return [texts.decoded(row[1:], exam.alphabet) for row in written]


_VALUES: dict[str, Any] = {
    "accuracy": lambda network, weights, exam: accuracy(network, weights, exam.x, exam.y),
    "validation_loss": loss,
    "exact": exact,
    "accepted": accepted,
}


def _parts(network: Network | Transformer, x: np.ndarray) -> Iterator[slice]:
    """Some examples at a time."""
    size = max(1, _NUMBERS // network.numbers)
    return (slice(first, first + size) for first in range(0, len(x), size))
