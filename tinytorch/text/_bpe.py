"""`BPETokenizer`: bytes, and pairs of tokens that occur often joined to tokens of their own."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinytorch.text import _json, _merges
from tinytorch.text._ids import checked_ids

Array = np.ndarray
Pair = tuple[int, int]

# Endings after an apostrophe; letters, digits or other signs with a space before them; space. Every character
# belongs to one alternative, so the words of a text are all of it.
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
_REMEMBERED = 1 << 17  # words whose tokens are kept


class BPETokenizer:
    """Byte-pair encoding at the level of bytes.

    A text is split into words with the space before them, as GPT-2 does, each word into its UTF-8 bytes, and
    the merges are applied to it in their order. Ids 0 to 255 are the bytes, the merges follow, and the
    special tokens are last. Any bytes and any text come back exactly.

    merges: pairs of ids; number i makes token 256 + i of two earlier ones.
    special_tokens: texts that `encode(text, special=True)` turns into one token each, such as "<|end|>".

    Attributes: `vocab_size`; `tokens`, the bytes of each; `merges`, a list; `special_tokens`, a dict from
    text to id.

    Raises ValueError for merges of tokens that do not exist yet, or given twice, and for special tokens that
    are empty or given twice.

    Sources: P. Gage, "A new algorithm for data compression", 1994; R. Sennrich, B. Haddow, A. Birch, "Neural
    machine translation of rare words with subword units", 2016; A. Radford et al., "Language models are
    unsupervised multitask learners", 2019 (GPT-2: bytes, and the split into words).

    >>> tokenizer = BPETokenizer.train("hug pug pun bun hugs hug hug pug pug pun pun bun", 260)
    >>> tokenizer.tokens[256:]
    [b'ug', b' p', b'un', b'hug']
    >>> [tokenizer.decode([i]) for i in tokenizer.encode("hugs, puns")]
    ['hug', 's', ',', ' p', 'un', 's']
    """

    def __init__(self, merges: Iterable[Sequence[int]], special_tokens: Iterable[str] = ()):
        self.merges: list[Pair] = []
        self.tokens = [bytes([i]) for i in range(_merges.BYTES)]
        self._numbers: dict[Pair, int] = {}
        for number, pair in enumerate(merges):
            first, second = self._checked(number, pair)
            self._numbers[first, second] = number
            self.merges.append((first, second))
            self.tokens.append(self.tokens[first] + self.tokens[second])
        self.special_tokens: dict[str, int] = {}
        for token in _checked_special(special_tokens):
            self.special_tokens[token] = len(self.tokens)
            self.tokens.append(token.encode())
        self._special = _any_of(self.special_tokens)
        self._known: dict[str, bytes] = {}  # words, and their ids as the bytes of int32

    @property
    def vocab_size(self) -> int:
        """256 bytes, the merges and the special tokens."""
        return len(self.tokens)

    def _checked(self, number: int, pair: Sequence[int]) -> Pair:
        known = len(self.tokens)
        if (
            not isinstance(pair, Sequence)
            or len(pair) != 2
            or any(isinstance(i, bool) or not isinstance(i, (int, np.integer)) for i in pair)
            or not all(0 <= i < known for i in pair)
        ):
            raise ValueError(
                f"BPETokenizer: expected merge {number} to be a pair of ids from 0 to {known - 1}, got "
                f"{pair!r}"
            )
        first, second = (int(i) for i in pair)
        if (first, second) in self._numbers:
            raise ValueError(f"BPETokenizer: expected each merge once, got {[first, second]} twice")
        return first, second

    @classmethod
    def train(cls, text: str | bytes, vocab_size: int, special_tokens: Iterable[str] = ()) -> BPETokenizer:
        """Learn merges from a text: again and again, the pair of tokens that occurs most often in its words.

        Of pairs that occur equally often the one with the smallest ids is taken: the same text gives the same
        tokenizer.

        vocab_size: tokens in all, at least 256 and the special ones. There are fewer where the text runs out
            of pairs that occur twice.
        special_tokens: nothing is learnt from them where they stand in the text.

        Time grows with the number of different words, not with that of the merges, and is a part of a second
        for a megabyte (`python -m benchmarks bpe`). Raises ValueError for a vocabulary that is too small.
        """
        special = _checked_special(special_tokens)
        least = _merges.BYTES + len(special)
        if isinstance(vocab_size, bool) or not hasattr(vocab_size, "__index__") or vocab_size < least:
            raise ValueError(
                f"BPETokenizer.train: expected a vocab_size of at least {least}, for 256 bytes and "
                f"{len(special)} special tokens, got {vocab_size!r}"
            )
        pattern = _any_of(special)
        text = _readable("BPETokenizer.train", text)
        counts: Counter[str] = Counter()
        for part in pattern.split(text)[::2] if pattern else [text]:
            counts.update(_WORD.findall(part))
        words = [_spelled(word) for word in counts]
        return cls(_merges.learn(words, counts.values(), vocab_size - least), special)

    def encode(self, text: str | bytes, special: bool = False) -> Array:
        """The ids of a text or of bytes, int64.

        special: turn special tokens that stand in the text into their ids. Without it they are text like any
            other, so that what a stranger wrote cannot contain one.

        The tokens of a word are remembered: each different word costs once, every other a look-up. Raises
        ValueError for a str that UTF-8 cannot express (a lone surrogate).
        """
        text = _readable("BPETokenizer.encode", text)
        # Between the texts, `split` gives the special tokens that separated them.
        parts = self._special.split(text) if special and self._special else [text]
        found = [_WORD.findall(part) for part in parts[::2]]
        known = self._remember(found)
        packed = [b"".join(map(known.__getitem__, words)) for words in found]
        for place, token in enumerate(parts[1::2]):
            packed[place] += _packed([self.special_tokens[token]])
        return np.frombuffer(b"".join(packed), np.int32).astype(np.int64)

    def _remember(self, found: list[list[str]]) -> dict[str, bytes]:
        """The ids of all words that were found, and perhaps more."""
        known = self._known
        unseen = [word for word in set().union(*found) if word not in known]
        if len(known) + len(unseen) > _REMEMBERED:
            # Another thread may still read the old one.
            known = {word: known[word] for word in set().union(*found) if word in known}
        ids = _merges.apply([_spelled(word) for word in unseen], self.merges, self._numbers)
        known.update(zip(unseen, map(_packed, ids), strict=True))
        self._known = known
        return known

    def decode_bytes(self, ids: Any) -> bytes:
        """The bytes of `ids`: integers in one dimension. Raises ValueError for one that is out of range."""
        checked = checked_ids("BPETokenizer", ids, self.vocab_size)
        return b"".join(map(self.tokens.__getitem__, checked.tolist()))

    def decode(self, ids: Any, errors: str = "replace") -> str:
        """The text of `ids`; a character that was cut in two becomes "�", or what `bytes.decode` says.

        Raises ValueError for an id that is out of range.
        """
        return self.decode_bytes(ids).decode("utf-8", errors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write merges and special tokens as JSON; the file appears whole or not at all."""
        _json.write(path, "bpe", special_tokens=list(self.special_tokens), merges=self.merges)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BPETokenizer:
        """Read what `save` wrote. Raises FileNotFoundError, and ValueError for another file."""
        try:
            merges, special = _json.read(path, "bpe", "merges", "special_tokens")
            for name, value in (("merges", merges), ("special_tokens", special)):
                if not isinstance(value, list):
                    raise ValueError(f"expected {name} that are a list, got {type(value).__name__}")
            return cls(merges, special)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"BPETokenizer.load: cannot read {path}: {error}. Expected a file that save() wrote."
            ) from None

    def __repr__(self) -> str:
        return f"BPETokenizer({len(self.merges)} merges, special_tokens={list(self.special_tokens)})"


def _checked_special(tokens: Iterable[str]) -> list[str]:
    if isinstance(tokens, str):
        raise TypeError(f"BPETokenizer: expected a list of special tokens, got the str {tokens!r}")
    checked: list[str] = []
    for token in tokens:
        if not isinstance(token, str) or not token:
            raise ValueError(f"BPETokenizer: expected special tokens that are texts, got {token!r}")
        if token in checked:
            raise ValueError(f"BPETokenizer: expected each special token once, got {token!r} twice")
        checked.append(_readable("BPETokenizer", token))
    return checked


def _any_of(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """What matches any of these texts, the longest that fits."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None


def _readable(name: str, text: str | bytes) -> str:
    """`text` as a str, in which a byte that is no UTF-8 is a surrogate."""
    if isinstance(text, (bytes, bytearray, memoryview)):
        return bytes(text).decode("utf-8", "surrogateescape")
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a str or bytes, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: expected text that UTF-8 can express, got {text[error.start]!r} at position "
            f"{error.start}. Replace it, or give the bytes."
        ) from None
    return text


def _spelled(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


def _packed(ids: list[int]) -> bytes:
    return np.array(ids, np.int32).tobytes()
