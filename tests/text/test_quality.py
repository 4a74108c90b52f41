"""Baselines that count, and the quality of text, beside counts by hand and plain loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.text import bigram_loss, copied_windows, known_words, unigram_loss

pytestmark = pytest.mark.nojit_ok

TOKENS = st.lists(st.integers(0, 4), min_size=2, max_size=30)
TEXT = st.text("abcAB '’.\n", max_size=40)
LOSSES = [unigram_loss, bigram_loss]


def unigram(train: list[int], size: int) -> list[float]:
    return [(train.count(b) + 1) / (len(train) + size) for b in range(size)]


def bigram(train: list[int], size: int, smoothing: float) -> list[list[float]]:
    pairs, share = Counter(itertools.pairwise(train)), unigram(train, size)
    table = []
    for a in range(size):
        seen = sum(pairs[a, b] for b in range(size))
        k = smoothing * max(sum(pairs[a, b] > 0 for b in range(size)), 1)
        table.append([(pairs[a, b] + k * share[b]) / (seen + k) for b in range(size)])
    return table


def test_losses_counted_by_hand():
    train, test = np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 0, 2])
    share = [4 / 9, 3 / 9, 2 / 9]
    hand = [(2 + 2 * share[1]) / 5, (2 + share[0]) / 3, (1 + 2 * share[2]) / 5]
    assert unigram_loss(train, test, 3) == pytest.approx(-np.log([share[1], share[0], share[2]]).mean())
    assert bigram_loss(train, test, 3) == pytest.approx(-np.log(hand).mean())


@given(train=TOKENS, test=TOKENS, smoothing=st.sampled_from([0.1, 1.0, 7.0]))
def test_losses_are_those_of_the_formulas(train, test, smoothing):
    share, table = unigram(train, 5), bigram(train, 5, smoothing)
    assert sum(share) == pytest.approx(1)
    assert [sum(row) for row in table] == pytest.approx([1] * 5)
    arrays = np.array(train, np.uint16), np.array(test, np.uint16)
    single = [-math.log(share[b]) for b in test[1:]]
    pairs = [-math.log(table[a][b]) for a, b in itertools.pairwise(test)]
    assert unigram_loss(*arrays, 5) == pytest.approx(np.mean(single))
    assert bigram_loss(*arrays, 5, smoothing=smoothing) == pytest.approx(np.mean(pairs))


def test_pairs_tell_more_than_single_tokens():
    alternating = np.arange(1000) % 7
    assert unigram_loss(alternating, alternating, 7) == pytest.approx(math.log(7), abs=1e-4)
    assert bigram_loss(alternating, alternating, 7) < 0.01


def test_a_token_never_seen_has_the_followers_of_any_token():
    train, test = np.array([0, 1, 0, 0]), np.array([2, 0])
    assert bigram_loss(train, test, 3) == pytest.approx(unigram_loss(train, test, 3))


@pytest.mark.parametrize("loss", LOSSES)
def test_what_are_no_tokens_is_refused(loss):
    good, name = np.array([0, 1, 2]), loss.__name__
    with pytest.raises(ValueError, match=f"{name}: expected tokens from 0 to 1 in train, got 0 to 2"):
        loss(good, good, 2)
    with pytest.raises(ValueError, match=f"{name}: expected tokens from 0 to 2 in test, got -1 to 2"):
        loss(good, good - np.array([1, 0, 0]), 3)
    expected = f"{name}: expected test to be at least 2 tokens, whole numbers in one row, got"
    with pytest.raises(ValueError, match=rf"{expected} int64 of shape \(1,\)"):
        loss(good, np.array([0]), 3)
    with pytest.raises(ValueError, match=rf"{expected} float64 of shape \(3,\)"):
        loss(good, good.astype(float), 3)
    with pytest.raises(ValueError, match=r"expected train to be at least 1 token, .* of shape \(1, 3\)"):
        loss(good[None], good, 3)


def test_smoothing_is_above_zero():
    with pytest.raises(ValueError, match="bigram_loss: expected smoothing above 0, got 0"):
        bigram_loss(np.array([0, 1]), np.array([0, 1]), 2, smoothing=0)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (" the king sleeps. ", 2 / 3),
        ("xthe king and THE King ", 1.0),  # the first word may be the end of another
        (" king and sle", 1.0),  # the last one the beginning
        (" of an xy king ", 1.0),  # short words are not counted
        (" o'er, i'll don't ", 2 / 3),  # o'er has three letters; don't is not in the corpus
        (" king’s king's ", 1.0),
        ("'king sleeps' ", 0.0),  # what comes after an apostrophe may be cut off too
        (" king' ", 1.0),
        (" king'", 0.0),
        (" king_and 3king3 ", 1.0),  # digits and underscores are no letters
        ("", 0.0),
        ("king", 0.0),
        (" ... ", 0.0),
    ],
)
def test_known_words_by_hand(text, share):
    assert known_words(text, "The KING's king and: I'll o'er of.") == pytest.approx(share)


@given(text=TEXT, corpus=TEXT, least=st.integers(1, 4))
def test_words_are_known_where_they_were_read(text, corpus, least):
    share = known_words(text, corpus, least)
    assert 0 <= share <= 1
    assert share == known_words(text.upper(), corpus.lower(), least)
    assert known_words(f". {text} .", f"{corpus} {text}", least) in (0.0, 1.0), "0 where there are none"
    assert known_words(f". {text} .", "", least) == 0.0


def copied(text: str, corpus: str, length: int) -> float:
    windows = [text[i : i + length] for i in range(len(text) - length + 1)]
    return sum(window in corpus for window in windows) / len(windows) if windows else 0.0


def test_copied_windows_by_hand():
    assert copied_windows("abcdX", "..abcd", 3) == pytest.approx(2 / 3)
    assert copied_windows("aaaa", "aaa", 3) == 1.0, "a stretch counts as often as it is written"
    assert copied_windows("abc", "ABC", 3) == 0.0
    assert copied_windows("abc", "abcabc", 4) == 0.0
    assert copied_windows("x" * 39 + "y", "x" * 50) == 0.0
    assert copied_windows("x" * 41, "x" * 50) == 1.0


@given(text=TEXT, corpus=TEXT, length=st.integers(1, 6))
def test_copied_windows_are_found_as_by_searching(text, corpus, length):
    assert copied_windows(text, corpus, length) == pytest.approx(copied(text, corpus, length))
    assert copied_windows(text, corpus + text, length) == float(len(text) >= length)


def test_a_window_has_a_length():
    with pytest.raises(ValueError, match="copied_windows: expected a length of at least 1, got 0"):
        copied_windows("a", "b", 0)
