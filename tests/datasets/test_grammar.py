"""The grammar: what it writes and what it accepts, against an enumeration of all short sentences."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import re
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.datasets.grammar import RULES, WORDS, accepts, explain, load_grammar, sample_sentences

pytestmark = pytest.mark.nojit_ok

ALL = sorted({word for words in WORDS.values() for word in words})
SINGULAR = {w for kind, words in WORDS.items() if kind.endswith(".s") for w in words}
BEINGS = {*WORDS["being.s"], *WORDS["being.p"]}
OTHER_NUMBER = {
    word: WORDS[f"{kind}.{'p' if number == 's' else 's'}"][place]
    for kind in ("being", "rest", "verb")
    for number in "sp"
    for place, word in enumerate(WORDS[f"{kind}.{number}"])
}
SENTENCES = sample_sentences(3000, seed=1)


def patterns(longest: int) -> set[tuple[str, ...]]:
    """All sentences of up to `longest` words, as kinds of words, by writing out every phrase every way."""
    found: set[tuple[str, ...]] = set()
    open_: list[tuple[str, ...]] = [("sentence",)]
    while open_:
        symbols = open_.pop()
        place = next((i for i, symbol in enumerate(symbols) if symbol in RULES), None)
        if place is None:
            found.add(symbols)
            continue
        for alternative in RULES[symbols[place]]:
            longer = (*symbols[:place], *alternative.symbols, *symbols[place + 1 :])
            if len(longer) <= longest:
                open_.append(longer)
    return found


PATTERNS = patterns(8)


def kinds_of(words: list[str]) -> set[tuple[str, ...]]:
    """All ways to say of which kind each word is."""
    return set(itertools.product(*([k for k, of_kind in WORDS.items() if word in of_kind] for word in words)))


def test_the_vocabulary():
    assert len(ALL) == 75
    assert all(word.isalpha() and word.islower() for word in ALL)
    used = {s for alternatives in RULES.values() for a in alternatives for s in a.symbols}
    assert used | {"sentence"} == RULES.keys() | WORDS.keys()
    shared = [word for word, n in Counter(w for words in WORDS.values() for w in words).items() if n > 1]
    assert shared == ["the"]
    assert "an" not in ALL
    assert not any(word[0] in "aeiou" for kind in ("being.s", "place.s", "quality") for word in WORDS[kind])


def test_the_language_is_large():
    short = sum(math.prod(len(WORDS[kind]) for kind in p) for p in PATTERNS if len(p) <= 7)
    assert short > 5_000_000  # no sentence counts twice: the noun tells which "the" it was


# --- writing --------------------------------------------------------------------------------------------


def test_what_is_written_is_accepted():
    for sentence in SENTENCES:
        assert accepts(sentence), explain(sentence)


def test_the_sentences_are_of_some_length_and_of_every_kind():
    lengths = Counter(len(sentence.split()) for sentence in SENTENCES)
    assert set(lengths) == set(range(4, 13))
    assert 6.5 < sum(n * count for n, count in lengths.items()) / len(SENTENCES) < 8.5
    words = Counter(word for sentence in SENTENCES for word in sentence[:-1].split(" "))
    assert set(words) == set(ALL)
    told = " ".join(SENTENCES)
    assert told.count(" that ") > 300
    assert told.count(" and ") > 300


def test_the_seed_decides_the_sentences():
    assert sample_sentences(50, seed=4) == sample_sentences(80, seed=4)[:50]
    assert sample_sentences(50, seed=4) != sample_sentences(50, seed=5)
    digest = hashlib.sha256("\n".join(sample_sentences(1000)).encode()).hexdigest()
    assert digest[:16] == "fb1f574bb80aba94"  # on any machine, with any Python
    assert sample_sentences(0) == []


def test_the_corpus():
    corpus = load_grammar(4000, seed=2, held_out=500)
    assert (len(corpus.train), len(corpus.test)) == (4000, 500)
    assert len({*corpus.train, *corpus.test}) == 4500
    assert corpus == load_grammar(4000, seed=2, held_out=500)
    means = [sum(len(s.split()) for s in part) / len(part) for part in corpus]
    assert abs(means[0] - means[1]) < 0.5  # of the same kind
    assert load_grammar(3, held_out=0).test == []
    assert load_grammar(0, held_out=3).train == []
    assert [len(part) for part in load_grammar()] == [20_000, 2_000]


# --- reading --------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), changes=st.integers(0, 2))
def test_reading_agrees_with_the_enumeration(seed, changes):
    """Short sentences with words exchanged, by others and by those of the same kind."""
    rng = random.Random(seed)
    words = [rng.choice(WORDS[kind]) for kind in rng.choice(sorted(PATTERNS))]
    for _ in range(changes):
        place = rng.randrange(len(words))
        words[place : place + rng.randint(0, 1)] = [rng.choice(ALL)] if rng.random() < 0.8 else []
    if len(words) <= 8:
        assert accepts(" ".join(words) + ".") == bool(kinds_of(words) & PATTERNS)


@given(words=st.lists(st.sampled_from(ALL), max_size=8))
def test_a_word_salad_is_accepted_only_if_the_enumeration_has_it(words):
    assert accepts(" ".join(words) + ".") == bool(words and kinds_of(words) & PATTERNS)


def test_word_salads_are_refused():
    rng = random.Random(0)
    shuffled = [rng.sample(s[:-1].split(" "), len(s.split(" "))) for s in SENTENCES[:500]]
    kept = sum(accepts(" ".join(words) + ".") for words in shuffled)
    assert kept < 25


def test_a_verb_of_the_other_number_is_refused():
    """Where the sentence has one verb: a place may stand between it and its subject."""
    changed = 0
    for sentence in SENTENCES:
        words = sentence[:-1].split(" ")
        verbs = [i for i, w in enumerate(words) if w in OTHER_NUMBER and w not in BEINGS]
        if "and" in words or "that" in words:
            continue
        assert len(verbs) == 1
        words[verbs[0]] = OTHER_NUMBER[words[verbs[0]]]
        assert not accepts(" ".join(words) + ".")
        changed += 1
    assert changed > 1000


def test_a_noun_of_the_other_number_is_refused_where_its_article_has_one():
    changed = 0
    for sentence in SENTENCES[:1000]:
        words = sentence[:-1].split(" ")
        for i, word in enumerate(words):
            article = next((w for w in reversed(words[:i]) if w not in WORDS["quality"]), None)
            if word in BEINGS and article != "the":
                other = [*words[:i], OTHER_NUMBER[word], *words[i + 1 :]]
                assert not accepts(" ".join(other) + ".")
                changed += 1
    assert changed > 500


def test_two_words_do_not_tell_which_verb_agrees():
    """After the same two words both numbers occur: agreement is learnt only from further back."""
    following = defaultdict(set)
    for sentence in sample_sentences(20_000):
        words = sentence[:-1].split(" ")
        for a, b, c in zip(words, words[1:], words[2:], strict=False):
            if c in OTHER_NUMBER and c not in BEINGS:
                following[a, b].add(c in SINGULAR)
    assert following["the", "river"] == {True, False}
    assert sum(len(numbers) == 2 for numbers in following.values()) > 100


def test_counting_which_word_follows_which_does_not_learn_it():
    following = defaultdict(list)
    for sentence in load_grammar().train:
        for a, b in itertools.pairwise(["", *sentence[:-1].split(" "), ""]):
            following[a].append(b)
    rng, accepted = random.Random(0), 0
    for _ in range(500):
        words = [rng.choice(following[""])]
        while words[-1]:
            words.append(rng.choice(following[words[-1]]))
        accepted += accepts(" ".join(words[:-1]) + ".")
    assert accepted < 100


@pytest.mark.parametrize(
    "sentence",
    [
        "the dog sleeps.",
        "the dogs that the child near the river sees run.",
        "the dogs that see the cat and follow the bird sleep and the king waits.",
        "a dog sees a cat that sees a bird that sees a wolf that sees a horse that sees a king that sleeps.",
    ],
)
def test_accepted(sentence):
    assert accepts(sentence)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("", "expected a full stop at the end"),
        ("the dog sleeps", "expected a full stop at the end"),
        (".", "at the beginning: expected one of a, every, many, some, the, ..., got ''"),
        ("The dog sleeps.", "at the beginning: expected one of .*, got 'The'"),
        ("the dog  sleeps.", "after 'the dog': expected one of .*, got ''"),
        ("the dog sleeps .", "after 'the dog sleeps': expected one of .*, the full stop, got ''"),
        ("the dog sleeps..", r"after 'the dog': expected one of .*, got 'sleeps\.'"),
        (
            "the dogs near the river sleeps.",
            "expected one of find, follow, hear, help, laugh, ..., got 'sleeps'",
        ),
        ("the dogs that the child sees runs.", "after 'the dogs that the child sees': .* got 'runs'"),
        ("the dog sees.", "after 'the dog sees': expected one of a, every, .*, got the full stop"),
        ("the dog sleeps quietly and.", "after 'the dog sleeps quietly and': expected .* got the full stop"),
        (
            "the dog sleeps quietly the.",
            "after 'the dog sleeps quietly': expected one of and, the full stop, got 'the'",
        ),
    ],
)
def test_refused_with_the_place(sentence, said):
    assert not accepts(sentence)
    assert re.search(said, explain(sentence) or "")


def test_a_very_long_sentence_is_read():
    assert accepts("the dog sees" + " the dog that sees" * 200 + " the cat.")
    assert not accepts("that " * 5000 + ".")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: sample_sentences(-1),
            "sample_sentences: expected count to be a whole number from 0 up, got -1",
        ),
        (lambda: load_grammar(2.5), "load_grammar: expected count .* got 2.5"),
        (lambda: load_grammar(2, held_out=-3), "load_grammar: expected held_out .* got -3"),
    ],
)
def test_bad_arguments(call, said):
    with pytest.raises(ValueError, match=said):
        call()
