"""Text as the grader sees it: cut into pieces, tasks on letters, and counts of words, pairs and stretches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from grading.transformer import IGNORED
from tinytorch.datasets.sequences import TASKS, TOKENS

Array = np.ndarray


def encoded(text: str, alphabet: Sequence[str]) -> Array:
    """Each character's place in the alphabet, (n,)."""
    places = {character: place for place, character in enumerate(alphabet)}
    return np.array([places[character] for character in text])


def decoded(tokens: Iterable[int], alphabet: Sequence[str]) -> str:
    """The text that they stand for."""
    return "".join(alphabet[token] for token in tokens)


def pieces(tokens: Array, context: int) -> tuple[Array, Array]:
    """A text cut into pieces, (n, context), and the token that follows each token."""
    n = (len(tokens) - 1) // context
    return tokens[: n * context].reshape(n, context), tokens[1 : n * context + 1].reshape(n, context)


def sequences(count: int, lengths: Sequence[int], seed: int) -> tuple[Array, Array]:
    """So many of each task: the tokens, and those that follow where the answer is asked for.

    `reverse b a d = d a b .`, and padding up to the longest.
    """
    rng, number = np.random.default_rng(seed), {token: i for i, token in enumerate(TOKENS)}
    shortest, longest = lengths
    rows, targets = [], []
    for task in TASKS:
        for length in rng.integers(shortest, longest + 1, count):
            word = list(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), length))
            answer = {"copy": word, "reverse": word[::-1], "sort": sorted(word)}[task]
            row = [number[token] for token in (task, *word, "=", *answer, ".")]
            padding = 2 * longest + 3 - len(row)
            rows.append([*row, *[number["_"]] * padding][:-1])
            targets.append([IGNORED] * (length + 1) + row[length + 2 :] + [IGNORED] * padding)
    return np.array(rows), np.array(targets)


def bigram_loss(learned: Array, asked: Array, vocabulary: int) -> float:
    """Nats for each token of a model that counted which token follows which, and one more of each pair."""
    pairs = np.ones((vocabulary, vocabulary))
    np.add.at(pairs, (learned[:-1], learned[1:]), 1)
    shares = pairs / pairs.sum(1, keepdims=True)
    return float(-np.log(shares[asked[:-1], asked[1:]]).mean())


def known_words(texts: Iterable[str], corpus: str, letters: int) -> float:
    """The share of words that occur in the corpus too, of those with so many letters.

    The last of a text may be cut, and does not count.
    """
    words = re.compile(r"[a-z]+(?:'[a-z]+)*")
    known = set(words.findall(corpus.lower()))
    found = [word for text in texts for word in words.findall(text.lower())[:-1]]
    asked = [word for word in found if len(word.replace("'", "")) >= letters]
    return sum(word in known for word in asked) / max(1, len(asked))


def copied(texts: Iterable[str], corpus: str, window: int) -> float:
    """The share of stretches of so many characters that stand in the corpus."""
    stretches = [text[i : i + window] for text in texts for i in range(len(text) - window + 1)]
    asked = set(stretches)
    there = {s for i in range(len(corpus) - window + 1) if (s := corpus[i : i + window]) in asked}
    return sum(stretch in there for stretch in stretches) / max(1, len(stretches))
