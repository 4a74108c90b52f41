"""`CharTokenizer`: a token for each character."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytorch.text import _json
from tinytorch.text._ids import checked_ids

Array = np.ndarray


class CharTokenizer:
    """Characters as tokens: the id of a character is its place in the alphabet.

    alphabet: the characters, each once.

    Attributes: `alphabet`, a str; `vocab_size`, its length.

    Raises ValueError for an alphabet that is empty or has a character twice.

    >>> tokenizer = CharTokenizer.train("hello")
    >>> tokenizer.alphabet
    'ehlo'
    >>> tokenizer.encode("hole")
    array([1, 3, 2, 0])
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    def __init__(self, alphabet: str | Iterable[str]):
        characters = list(alphabet)
        for place, character in enumerate(characters):
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(f"CharTokenizer: expected single characters, got {character!r}")
            if character in characters[:place]:
                raise ValueError(f"CharTokenizer: expected each character once, got {character!r} twice")
        if not characters:
            raise ValueError("CharTokenizer: expected at least one character, got none")
        self.alphabet = "".join(characters)
        self.vocab_size = len(characters)
        self._codes = _code_points(self.alphabet)
        # The last entry stands for all that lies beyond the alphabet.
        self._ids = np.full(int(self._codes.max()) + 2, -1, np.int32)
        self._ids[self._codes] = np.arange(self.vocab_size)

    @classmethod
    def train(cls, text: str) -> CharTokenizer:
        """The characters that occur in `text`, sorted."""
        return cls(sorted(set(text)))

    def encode(self, text: str) -> Array:
        """The ids of the characters, int64, one for each.

        A table is looked up, in time linear in the text: milliseconds for a million characters
        (`python -m benchmarks char`). Raises ValueError, which names it and its place, for a character that
        is not in the alphabet.
        """
        if not isinstance(text, str):
            raise TypeError(f"CharTokenizer: expected a str, got {type(text).__name__}")
        ids = self._ids[np.minimum(_code_points(text), len(self._ids) - 1)]
        if ids.size and ids.min() < 0:
            place = int(ids.argmin())
            raise ValueError(
                f"CharTokenizer: expected characters of the {self.vocab_size} that it knows, got "
                f"{text[place]!r} at position {place}. Leave it out, or train on text that has it."
            )
        return ids.astype(np.int64)

    def decode(self, ids: Any) -> str:
        """The text of `ids`: integers in one dimension. Raises ValueError for one that is out of range."""
        codes = self._codes[checked_ids("CharTokenizer", ids, self.vocab_size)]
        return codes.tobytes().decode("utf-32-le", "surrogatepass")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the alphabet as JSON; the file appears whole or not at all."""
        _json.write(path, "char", alphabet=self.alphabet)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CharTokenizer:
        """Read what `save` wrote. Raises FileNotFoundError, and ValueError for another file."""
        try:
            (alphabet,) = _json.read(path, "char", "alphabet")
            if not isinstance(alphabet, str):
                raise ValueError(f"expected an alphabet that is a string, got {alphabet!r}")
            return cls(alphabet)
        except ValueError as error:
            raise ValueError(
                f"CharTokenizer.load: cannot read {path}: {error}. Expected a file that save() wrote."
            ) from None

    def __repr__(self) -> str:
        return f"CharTokenizer({self.alphabet!r})"


def _code_points(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
