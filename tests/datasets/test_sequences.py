"""Sequence tasks: the layout, the answers, what is held out, how predictions are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.datasets.sequences import (
    IGNORED,
    TASKS,
    TOKENS,
    answers_right,
    make_sequences,
    spell,
)
from tinytorch.nn import functional as F

pytestmark = pytest.mark.nojit_ok

ANSWERS = {"copy": list, "reverse": lambda word: word[::-1], "sort": sorted}


def words(sequences):
    """The letters of each example."""
    return [spell(row).split(" =")[0].split(" ")[1:] for row in sequences.inputs]


@given(
    task=st.sampled_from(TASKS),
    count=st.integers(1, 30),
    shortest=st.integers(1, 6),
    more=st.integers(0, 5),
    letters=st.integers(1, 26),
    seed=st.integers(0, 99),
)
def test_every_example_has_its_answer(task, count, shortest, more, letters, seed):
    longest = shortest + more
    examples = make_sequences(task, count, (shortest, longest), seed=seed, letters=letters)
    for part in examples:
        assert part.shape == (count, 2 * longest + 2)
        assert part.dtype == np.int64
    for n, word in enumerate(words(examples)):
        assert shortest <= len(word) <= longest
        assert set(word) <= set(TOKENS[6 : 6 + letters])
        answer = ANSWERS[task](word)
        assert examples.spell(n) == " ".join([task, *word, "=", *answer, "."])
        inputs, targets = examples.inputs[n], examples.targets[n]
        asked = np.flatnonzero(targets != IGNORED)
        assert asked.tolist() == list(range(len(word) + 1, 2 * len(word) + 2))
        assert [TOKENS[i] for i in targets[asked]] == [*answer, "."]
        assert TOKENS[inputs[asked[0]]] == "="
        following = np.append(inputs[1:], 1)
        np.testing.assert_array_equal(targets[asked], following[asked])
        assert not inputs[asked[-1] + 2 :].any()


def test_all_lengths_and_letters_occur():
    found = words(make_sequences("copy", 2000, (3, 7), letters=16))
    lengths = np.bincount([len(word) for word in found])
    assert lengths[:3].sum() == 0
    assert (lengths[3:] > 300).all()
    assert {letter for word in found for letter in word} == set("abcdefghijklmnop")


@pytest.mark.parametrize("task", TASKS)
def test_what_is_held_out_is_not_drawn(task):
    test = make_sequences(task, 200, (2, 4), seed=1, letters=6)
    train = make_sequences(task, 5000, (2, 6), exclude=test, letters=6)
    held_out = {tuple(word) for word in words(test)}
    drawn = [tuple(word) for word in words(train)]
    assert len(drawn) == 5000
    assert held_out.isdisjoint(drawn)
    assert len({word for word in drawn if len(word) == 2}) == 36 - sum(len(word) == 2 for word in held_out)


def test_the_seed_decides_the_bits():
    first, again = make_sequences("sort", 50, seed=3), make_sequences("sort", 50, seed=3)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, make_sequences("sort", 50, seed=4).inputs)


def test_tokens():
    assert len(TOKENS) == len(set(TOKENS)) == 32
    assert TOKENS[:7] == ("_", ".", "=", "copy", "reverse", "sort", "a")


def test_answers_right():
    examples = make_sequences("reverse", 40, (2, 5))
    right = np.where(examples.targets == IGNORED, 9, examples.targets)
    assert answers_right(right, examples.targets).all()
    wrong = right.copy()
    for n in range(20):
        wrong[n, np.flatnonzero(examples.targets[n] != IGNORED)[n % 3]] += 1
    assert answers_right(wrong, examples.targets).tolist() == [False] * 20 + [True] * 20


def test_cross_entropy_counts_the_answers_only():
    examples = make_sequences("copy", 20, (2, 5))
    logits = np.full((*examples.targets.shape, len(TOKENS)), -50.0, np.float32)
    asked = examples.targets != IGNORED
    logits[asked, examples.targets[asked]] = 50.0
    logits[~asked] = 0.0
    loss = F.cross_entropy(logits.reshape(-1, len(TOKENS)), examples.targets.ravel())
    assert loss.item() < 1e-6


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: make_sequences("swap", 1), "expected a task of copy, reverse, sort, got 'swap'"),
        (lambda: make_sequences("copy", 0), "expected a count from 1 up, got 0"),
        (lambda: make_sequences("copy", 1, (0, 3)), r"lengths from 1 up, the shortest first, got \(0, 3\)"),
        (lambda: make_sequences("copy", 1, (4, 3)), r"the shortest first, got \(4, 3\)"),
        (lambda: make_sequences("copy", 1, letters=27), "expected 1 to 26 letters, got 27"),
        (
            lambda: make_sequences(
                "copy", 5, (1, 1), letters=1, exclude=make_sequences("sort", 1, (1, 1), letters=1)
            ),
            "100 draws gave 0 of 5 sequences that are not excluded: .* few others. Use more letters",
        ),
        (
            lambda: answers_right(np.zeros((2, 3)), np.zeros((2, 4))),
            r"of the shape of the targets, \(n, t\), got \(2, 3\) and \(2, 4\)",
        ),
    ],
)
def test_bad_arguments(call, said):
    with pytest.raises(ValueError, match=said):
        call()
