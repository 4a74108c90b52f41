"""Tasks on sequences of letters whose answers are known: copy, reverse, sort.

They are laid out for a model that guesses the next token, such as a GPT: task, letters, "=", answer, full
stop, and padding up to a common length:

    reverse b a d = d a b . _ _

The guesses that count are those of the answer and the stop.
"""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import numpy as np

__all__ = ["IGNORED", "TASKS", "TOKENS", "Sequences", "answers_right", "make_sequences", "spell"]

Array = np.ndarray

TASKS = ("copy", "reverse", "sort")
TOKENS = ("_", ".", "=", *TASKS, *string.ascii_lowercase)
"""What each id stands for; 32 in all."""

IGNORED = -100
"""The target where nothing is asked: the `ignore_index` of `cross_entropy`."""

_PADDING, _STOP, _EQUALS = range(3)
_LETTERS = TOKENS.index("a")
_ATTEMPTS = 100


class Sequences(NamedTuple):
    """Examples of a task: `targets[n, t]` is the token after `inputs[n, t]`, or IGNORED where none counts.

    Both are int64 of shape (n, 2 · longest + 2).
    """

    inputs: Array
    targets: Array

    def spell(self, n: int) -> str:
        """Example n for a reader; what the model is to find is after the "=".

        >>> make_sequences("sort", 1, (3, 4)).spell(0)
        'sort q n h i = h i n q .'
        """
        return spell([*self.inputs[n], _STOP if self.targets[n, -1] == _STOP else _PADDING])


def spell(tokens: Any) -> str:
    """Token ids as text, without the padding.

    >>> spell([3, 6, 7, 2, 6, 7, 1, 0])
    'copy a b = a b .'
    """
    return " ".join(TOKENS[i] for i in tokens if i != _PADDING)


def make_sequences(
    task: str,
    count: int,
    length: tuple[int, int] = (4, 12),
    *,
    seed: int = 0,
    letters: int = 26,
    exclude: Sequences | None = None,
) -> Sequences:
    """`count` examples of a task, with letters and lengths drawn evenly.

    task: "copy", "reverse" or "sort".
    length: fewest and most letters.
    letters: how many of the alphabet are used, 1 to 26; fewer make more repetitions.
    exclude: examples that are held out: none of the sequences of letters in them is drawn.

    The same seed gives the same bits. Raises ValueError for another task, for counts, lengths and letters out
    of range, and where nearly everything that could be drawn is excluded.

    >>> test = make_sequences("reverse", 2, (3, 4), seed=1)
    >>> train = make_sequences("reverse", 5, (3, 4), exclude=test)
    >>> train.inputs.shape
    (5, 10)
    """
    shortest, longest = _checked(task, count, length, letters)
    rng = np.random.default_rng(seed)
    forbidden = _keys(exclude) if exclude is not None else set()
    words = np.zeros((0, longest), np.int64)
    for _ in range(_ATTEMPTS):
        drawn = _draw(rng, count - len(words), shortest, longest, letters)
        allowed = [_key(word) not in forbidden for word in drawn] if forbidden else slice(None)
        words = np.concatenate([words, drawn[allowed]])
        if len(words) == count:
            return _laid_out(task, words)
    raise ValueError(
        f"make_sequences: {_ATTEMPTS} draws gave {len(words)} of {count} sequences that are not excluded: "
        "there are too few others. Use more letters, or longer sequences."
    )


def _draw(rng: np.random.Generator, count: int, shortest: int, longest: int, letters: int) -> Array:
    """Words (count, longest) of tokens, padded."""
    lengths = rng.integers(shortest, longest + 1, (count, 1))
    drawn = _LETTERS + rng.integers(letters, size=(count, longest))
    return np.where(np.arange(longest) < lengths, drawn, _PADDING)


def _laid_out(task: str, words: Array) -> Sequences:
    count, longest = words.shape
    tokens = np.full((count, 2 * longest + 3), _PADDING)
    targets = np.full((count, 2 * longest + 2), IGNORED)
    tokens[:, 0] = TOKENS.index(task)
    lengths = np.count_nonzero(words, axis=1)
    for n in np.unique(lengths).tolist():
        rows = lengths == n
        word = words[rows, :n]
        answer = {"copy": word, "reverse": word[:, ::-1], "sort": np.sort(word, axis=1)}[task]
        tokens[rows, 1 : n + 1] = word
        tokens[rows, n + 1] = _EQUALS
        tokens[rows, n + 2 : 2 * n + 2] = answer
        tokens[rows, 2 * n + 2] = _STOP
        targets[rows, n + 1 : 2 * n + 2] = tokens[rows, n + 2 : 2 * n + 3]
    return Sequences(tokens[:, :-1].copy(), targets)


def answers_right(predicted: Any, targets: Any) -> Array:
    """Which sequences have all of their answer and the stop right: bool, (n,).

    predicted: the token that the model holds for most likely after each of `inputs`, (n, t), as
        `model(inputs).argmax(-1)`.
    targets: as in `Sequences`.

    A model that does not look ahead and has the whole answer right here writes the same answer when it is
    left to itself, one most likely token after the other: it then reads what it read here.

    Raises ValueError for shapes that differ.

    >>> answers_right([[7, 8, 1], [7, 8, 1]], [[IGNORED, 8, 1], [IGNORED, 9, 1]])
    array([ True, False])
    """
    predicted, targets = np.asarray(predicted), np.asarray(targets)
    if predicted.shape != targets.shape or targets.ndim != 2:
        raise ValueError(
            f"answers_right: expected predicted tokens of the shape of the targets, (n, t), got "
            f"{predicted.shape} and {targets.shape}"
        )
    return ((predicted == targets) | (targets == IGNORED)).all(axis=1)


def _keys(sequences: Sequences) -> set[bytes]:
    """The words of examples, for comparison."""
    inputs = sequences.inputs
    before = np.cumsum(inputs == _EQUALS, axis=1) == 0
    return {_key(row) for row in np.where(before, inputs, _PADDING)[:, 1:]}


def _key(word: Array) -> bytes:
    return word[word != _PADDING].astype(np.uint8).tobytes()


def _checked(task: str, count: int, length: tuple[int, int], letters: int) -> tuple[int, int]:
    if task not in TASKS:
        raise ValueError(f"make_sequences: expected a task of {', '.join(TASKS)}, got {task!r}")
    if count < 1:
        raise ValueError(f"make_sequences: expected a count from 1 up, got {count}")
    shortest, longest = length
    if not 1 <= shortest <= longest:
        raise ValueError(
            f"make_sequences: expected lengths from 1 up, the shortest first, got {tuple(length)}"
        )
    if not 1 <= letters <= len(string.ascii_lowercase):
        raise ValueError(f"make_sequences: expected 1 to 26 letters, got {letters}")
    return shortest, longest
