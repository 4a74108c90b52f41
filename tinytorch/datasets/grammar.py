"""Sentences of a small grammar of English: text for which "right" has a meaning.

Seventy-five words, and rules for who does what. A verb agrees with its subject, singular or plural, over any
distance: "the dogs that the child near the river sees run." Counting which word follows which does not learn
that. There is no longest sentence, and of those with up to seven words there are more than five million.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["RULES", "WORDS", "GrammarCorpus", "accepts", "explain", "load_grammar", "sample_sentences"]

# What a phrase may consist of; before each alternative, how often it is chosen. A line with # is two, one
# with .s and one with .p: this is how singular and plural agree.
_RULES = """
sentence = 4 clause | 1 clause and clause
clause = 1 subject.s action.s | 1 subject.p action.p
subject# = 3 person# | 4 described#
object = 4 person.s | 4 person.p | 1 described.s | 1 described.p
described# = 2 person# where site | 1 person# that action# | 1 person# that seen
seen = 4 person.s verb.s | 4 person.p verb.p | 1 described.s verb.s | 1 described.p verb.p
person# = 2 the# being# | 1 the# quality being#
site = 1 the.s place.s | 1 the.p place.p
action# = 5 doing# | 1 doing# and doing#
doing# = 1 rest# | 2 rest# how | 4 verb# object
"""
_WORDS = """
and = and
that = that
the.s = a the this every
the.p = the some many these
being.s = dog cat bird wolf horse child farmer teacher girl king
being.p = dogs cats birds wolves horses children farmers teachers girls kings
place.s = river house garden tree
place.p = rivers houses gardens trees
quality = big small young red quiet happy brave tired
rest.s = sleeps runs sings waits laughs
rest.p = sleep run sing wait laugh
verb.s = sees likes follows hears helps finds
verb.p = see like follow hear help find
how = quickly quietly today again
where = near behind beside under
"""
_LENGTHS = range(4, 13)  # words of the sentences that are sampled


class Alternative(NamedTuple):
    """One way to write a phrase: phrases and kinds of words, and how often it is chosen."""

    weight: int
    symbols: tuple[str, ...]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.strip().splitlines():
        for number in (".s", ".p") if "#" in line else ("",):
            left, right = line.replace("#", number).split(" = ")
            yield left, right


def _alternative(text: str) -> Alternative:
    weight, *symbols = text.split()
    return Alternative(int(weight), tuple(symbols))


RULES = {left: [_alternative(part) for part in right.split(" | ")] for left, right in _lines(_RULES)}
"""The alternatives of each phrase. `"sentence"` is where to begin."""

WORDS = {left: right.split() for left, right in _lines(_WORDS)}
"""The words of each kind, equally often."""

_CUMULATIVE = {left: list(itertools.accumulate(a.weight for a in right)) for left, right in RULES.items()}


# --- writing --------------------------------------------------------------------------------------------


def sample_sentences(count: int, seed: int = 0) -> list[str]:
    """`count` sentences, drawn by the weights of the rules; one may come twice.

    They have 4 to 12 words, separated by blanks, and end with a full stop; what comes out shorter or longer
    is drawn again. The same seed gives the same sentences, and more of them begin with the same ones.

    Raises ValueError for a count below 0.

    >>> sample_sentences(2)
    ['these birds that many wolves help sing.', 'the small teachers see a quiet king.']
    """
    _check_count("sample_sentences", "count", count)
    return list(itertools.islice(_endless(seed), count))


class GrammarCorpus(NamedTuple):
    """Sentences to learn from, and others, of the same kind, that are not among them."""

    train: list[str]
    test: list[str]


def load_grammar(count: int = 20_000, seed: int = 0, held_out: int = 2_000) -> GrammarCorpus:
    """`count` sentences to learn from and `held_out` others, no sentence twice.

    Raises ValueError for counts below 0.

    >>> corpus = load_grammar(100, held_out=10)
    >>> len(corpus.train), len(corpus.test), len({*corpus.train, *corpus.test})
    (100, 10, 110)
    """
    _check_count("load_grammar", "count", count)
    _check_count("load_grammar", "held_out", held_out)
    total = count + held_out
    sentences: dict[str, None] = {}
    for sentence in _endless(seed):
        if len(sentences) == total:
            break
        sentences[sentence] = None
    # Evenly spread: those that are met late are rarer ones.
    kept = {i * total // held_out for i in range(held_out)}
    parts: tuple[list[str], list[str]] = [], []
    for place, sentence in enumerate(sentences):
        parts[place in kept].append(sentence)
    return GrammarCorpus(*parts)


def _check_count(function: str, name: str, count: int) -> None:
    if isinstance(count, bool) or not hasattr(count, "__index__") or count < 0:
        raise ValueError(f"{function}: expected {name} to be a whole number from 0 up, got {count!r}")


def _endless(seed: int) -> Iterator[str]:
    draw = random.Random(seed).random  # the one method whose numbers Python promises not to change
    while True:
        words = list(itertools.islice(_written("sentence", draw), _LENGTHS.stop))
        if len(words) in _LENGTHS:
            yield " ".join(words) + "."


def _written(symbol: str, draw: Callable[[], float]) -> Iterator[str]:
    """The words of a phrase, each drawn when it is asked for: so one without end does no harm."""
    if symbol in WORDS:
        yield WORDS[symbol][int(draw() * len(WORDS[symbol]))]
        return
    weights = _CUMULATIVE[symbol]
    for part in RULES[symbol][bisect.bisect(weights, draw() * weights[-1])].symbols:
        yield from _written(part, draw)


# --- reading --------------------------------------------------------------------------------------------


def accepts(sentence: str) -> bool:
    """Whether the grammar has this sentence: lower case, one blank between words, a full stop at the end.

    Time is linear in the words, or quadratic where phrases stand in phrases in phrases.

    Source: J. Earley, "An efficient context-free parsing algorithm", 1970.

    >>> accepts("the dogs near the river sleep."), accepts("the dogs near the river sleeps.")
    (True, False)
    """
    return explain(sentence) is None


def explain(sentence: str) -> str | None:
    """Where `sentence` stops being one, and what could stand there; None if it is one.

    >>> explain("the dogs near the river sleeps.")
    "after 'the dogs near the river': expected one of find, follow, hear, help, laugh, ..., got 'sleeps'"
    >>> explain("the dog sleeps")
    'expected a full stop at the end'
    """
    if not sentence.endswith("."):
        return "expected a full stop at the end"
    words = sentence[:-1].split(" ")
    read, possible = _read(words)
    if read == len(words) and _STOP in possible:
        return None
    begun = f"after {' '.join(words[:read])!r}" if read else "at the beginning"
    listed = sorted(possible - {_STOP})
    choice = [*listed[:5], "..."] if len(listed) > 5 else listed
    choice += ["the full stop"] if _STOP in possible else []
    found = repr(words[read]) if read < len(words) else "the full stop"
    return f"{begun}: expected one of {', '.join(choice)}, got {found}"


_STOP = "."
_Item = tuple[str, tuple[str, ...], int]  # a phrase, what it still needs, and the word that it began with


def _read(words: list[str]) -> tuple[int, set[str]]:
    """How many of `words` a sentence can begin with, and which words, or the stop, can follow these.

    Word by word, all readings at once: every phrase that is needed next is begun, and one that is complete
    goes on with whatever needed it at its beginning.
    """
    whole = ("", ("sentence",), 0)
    items: list[_Item] = [whole]
    needed: list[dict[str, list[_Item]]] = []  # by place and phrase
    while True:
        place, seen, possible, following = len(needed), set(items), set(), []
        needed.append({})
        while items:
            phrase, symbols, began = items.pop()
            if not symbols:
                if not phrase:
                    possible.add(_STOP)
                    continue
                new = [(p, rest[1:], b) for p, rest, b in needed[began][phrase]]
            elif symbols[0] in WORDS:
                possible.update(WORDS[symbols[0]])
                if place < len(words) and words[place] in WORDS[symbols[0]]:
                    following.append((phrase, symbols[1:], began))
                continue
            else:
                users = needed[place].setdefault(symbols[0], [])
                users.append((phrase, symbols, began))
                new = [(symbols[0], a.symbols, place) for a in RULES[symbols[0]]] if len(users) == 1 else []
            items += [item for item in new if item not in seen]
            seen.update(new)
        if not following:
            return place, possible
        items = following
