"""CharTokenizer: round trips, files, refusals, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.text import CharTokenizer

pytestmark = pytest.mark.nojit_ok

ANYTHING = st.characters(codec=None, exclude_categories=())  # lone surrogates too


@given(text=st.text(ANYTHING, min_size=1))
def test_any_text_comes_back(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == [tokenizer.alphabet.index(c) for c in text]
    assert tokenizer.decode(ids) == text
    assert tokenizer.vocab_size == len(set(text))
    assert list(tokenizer.alphabet) == sorted(set(text))


@given(alphabet=st.text(min_size=1, max_size=6).map(lambda t: "".join(dict.fromkeys(t))), text=st.text())
def test_what_is_unknown_is_named(alphabet, text):
    tokenizer = CharTokenizer(alphabet)
    unknown = [place for place, c in enumerate(text) if c not in alphabet]
    if not unknown:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        return
    with pytest.raises(ValueError, match="CharTokenizer: expected characters") as caught:
        tokenizer.encode(text)
    assert f"got {text[unknown[0]]!r} at position {unknown[0]}. Leave it out" in str(caught.value)


def test_the_order_of_the_alphabet_is_kept():
    tokenizer = CharTokenizer("cab")
    assert tokenizer.encode("abc").tolist() == [1, 2, 0]
    assert repr(tokenizer) == "CharTokenizer('cab')"
    assert tokenizer.decode(tt.tensor([0, 1])) == "ca"
    assert tokenizer.decode(2) == "b"
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode("").shape == (0,)
    assert CharTokenizer(["a", "b"]).alphabet == "ab"


def test_a_megabyte_takes_milliseconds():
    text = "To be, or not to be: that is the question.\n" * 24_000
    tokenizer = CharTokenizer.train(text)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ids = tokenizer.encode(text)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
    assert tokenizer.decode(ids) == text


def test_save_and_load(tmp_path):
    tokenizer = CharTokenizer('a"\n€𝄞\ud800\\')
    tokenizer.save(tmp_path / "char.json")
    assert CharTokenizer.load(tmp_path / "char.json").alphabet == tokenizer.alphabet
    assert [file.name for file in tmp_path.iterdir()] == ["char.json"]
    with pytest.raises(FileNotFoundError):
        CharTokenizer.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is not JSON"),
        (
            '{"format": "tinytorch-bpe", "version": 1}',
            "expected the format 'tinytorch-char', got 'tinytorch-bpe'",
        ),
        ('{"format": "tinytorch-char", "version": 1}', "it has no 'alphabet'"),
        (
            '{"format": "tinytorch-char", "version": 1, "alphabet": [1]}',
            r"an alphabet that is a string, got \[1\]",
        ),
        (
            '{"format": "tinytorch-char", "version": 1, "alphabet": "aa"}',
            "each character once, got 'a' twice",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    path = tmp_path / "char.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=said) as caught:
        CharTokenizer.load(path)
    assert str(caught.value).startswith(f"CharTokenizer.load: cannot read {path}: ")


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: CharTokenizer("abc").encode("bad €"),
            ValueError,
            "characters of the 3 that it knows, got 'd' at position 2. Leave it out, or train on",
        ),
        (lambda: CharTokenizer("abc").encode("b€a"), ValueError, "got '€' at position 1"),
        (lambda: CharTokenizer("abc").encode(b"abc"), TypeError, "expected a str, got bytes"),
        (lambda: CharTokenizer("abc").decode([0, 3]), ValueError, "ids from 0 to 2, got 3 at position 1"),
        (lambda: CharTokenizer("abc").decode([-1]), ValueError, "ids from 0 to 2, got -1 at position 0"),
        (lambda: CharTokenizer("abc").decode([True]), TypeError, "ids that are integers, got bool"),
        (lambda: CharTokenizer("abc").decode([[0]]), ValueError, r"one dimension, got shape \(1, 1\)"),
        (lambda: CharTokenizer("abca"), ValueError, "each character once, got 'a' twice"),
        (lambda: CharTokenizer(""), ValueError, "at least one character, got none"),
        (lambda: CharTokenizer(["ab"]), ValueError, "single characters, got 'ab'"),
        (lambda: CharTokenizer.train(""), ValueError, "at least one character, got none"),
    ],
)
def test_refusals(call, error, said):
    with pytest.raises(error, match=said):
        call()
