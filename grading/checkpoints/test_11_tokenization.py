"""11 Tokenisation: characters and byte pairs as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints.expect import holds, refuses
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

TEXT = "the cat sat on the mat, and the rat sat on the cat. "
TWICE = "abcdabceabcfab"  # ab is the most frequent pair, and then abc


def ids(tokenizer: Any, text: str) -> list[int]:
    return [int(i) for i in numbers(tokenizer.encode(text)).ravel()]


def comes_back(tokenizer: Any, text: str) -> None:
    got = tokenizer.decode(ids(tokenizer, text))
    holds(got == text, f"decode(encode(text)): expected {text!r}, got {got!r}", "Nothing may get lost.")


def test_characters_come_back(lib: Names):
    comes_back(lib.CharTokenizer.train(TEXT), "a cat on a mat, the rat.")


def test_each_character_is_one_number(lib: Names):
    tokenizer = lib.CharTokenizer.train("hello")
    holds(tokenizer.vocab_size == 4, f'vocab_size of "hello": expected 4, got {tokenizer.vocab_size}',
          "h, e, l and o: each once.")  # fmt: skip
    got = ids(tokenizer, "hello")
    holds(
        len(got) == 5 and got[2] == got[3] and sorted(set(got)) == [0, 1, 2, 3],
        f'encode("hello"): expected five numbers of 0 to 3, the two l alike, got {got}',
        "0 to size - 1.",
    )


def test_the_same_text_gives_the_same_numbers(lib: Names):
    first, second = (ids(lib.CharTokenizer.train(text), "abc") for text in ("cba", "aabbcc"))
    holds(first == second, f"numbers of abc, learned from two texts of these letters: expected the same, got "
          f"{first} and {second}", "Sort the alphabet; a set has another order in every run.")  # fmt: skip


def test_unknown_characters_are_refused(lib: Names):
    tokenizer = lib.CharTokenizer.train("abc")
    refuses(
        'CharTokenizer of "abc", encode("abx")', lambda: tokenizer.encode("abx"), "Which number would x have?"
    )


def test_any_text_comes_back_from_byte_pairs(lib: Names):
    tokenizer = lib.BPETokenizer.train(TEXT * 3, 280)
    for text in (TEXT, "", "naïve café: 3 €, 日本 🙂\n\ttab"):
        comes_back(tokenizer, text)


def test_the_most_frequent_pair_is_joined_first(lib: Names):
    tokenizer = lib.BPETokenizer.train(TWICE, 257)
    got = len(ids(tokenizer, "ab")), len(ids(tokenizer, "bc"))
    holds(
        got == (1, 2),
        f"tokens of ab and of bc, after one merge from {TWICE!r}: expected 1 and 2, got "
        f"{got[0]} and {got[1]}",
        "ab occurs four times, bc three times; 256 tokens are the bytes.",
    )


def test_what_was_joined_is_joined_again(lib: Names):
    tokenizer = lib.BPETokenizer.train(TWICE, 258)
    got = ids(tokenizer, "abc"), ids(tokenizer, "ab")
    holds(
        len(got[0]) == 1 and len(got[1]) == 1,
        f"tokens of abc and of ab, after two merges: expected one each, got {got[0]} and {got[1]}",
        "Count again after each merge: ab and c are a pair now.",
    )


def test_more_merges_make_shorter_texts(lib: Names):
    few, many = (ids(lib.BPETokenizer.train(TEXT * 4, size), TEXT) for size in (258, 280))
    holds(
        len(many) < len(few) < len(TEXT),
        "tokens of a text with 24 merges, with 2, and its bytes: expected "
        f"fewer and fewer, got {len(many)}, {len(few)} and {len(TEXT)}",
        "Apply all merges, in their order.",
    )


def test_numbers_stay_below_the_size(lib: Names):
    tokenizer = lib.BPETokenizer.train(TEXT * 4, 270)
    got = np.array(ids(tokenizer, TEXT + "zebra €"))
    holds(
        tokenizer.vocab_size <= 270 and got.min() >= 0 and got.max() < tokenizer.vocab_size,
        f"vocab_size for 270: expected at most that and all numbers below it, got {tokenizer.vocab_size} and "
        f"numbers up to {got.max()}",
        "An embedding has so many rows.",
    )
