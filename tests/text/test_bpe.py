"""BPETokenizer: round trips, special tokens, files, refusals."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.text import BPETokenizer, _bpe

pytestmark = pytest.mark.nojit_ok

TEXT = "Now is the winter of our discontent\nMade glorious summer by this sun of York;\n" * 3
TOKENIZER = BPETokenizer.train(TEXT, 320, ["<|end|>", "<|end|>!"])


@given(data=st.binary())
def test_any_bytes_come_back(data):
    ids = TOKENIZER.encode(data)
    assert ids.dtype == np.int64
    assert TOKENIZER.decode_bytes(ids) == data


@given(text=st.text())
def test_any_text_comes_back(text):
    for special in (False, True):
        assert TOKENIZER.decode(TOKENIZER.encode(text, special)) == text
    np.testing.assert_array_equal(TOKENIZER.encode(text), TOKENIZER.encode(text.encode()))


@given(pieces=st.lists(st.sampled_from(["<|end|>", "<|end|>!", "<|end", "the", " ", "é"])))
def test_special_tokens_come_back_and_are_the_longest_that_fit(pieces):
    text = "".join(pieces)
    ids = TOKENIZER.encode(text, special=True)
    assert TOKENIZER.decode(ids) == text
    assert np.count_nonzero(ids == TOKENIZER.special_tokens["<|end|>!"]) == text.count("<|end|>!")
    assert np.count_nonzero(ids == TOKENIZER.special_tokens["<|end|>"]) == (
        text.count("<|end|>") - text.count("<|end|>!")
    )


@given(text=st.text())
def test_words_are_all_of_the_text(text):
    assert "".join(_bpe._WORD.findall(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's we'll, you'd", ["it", "'s", " we", "'ll", ",", " you", "'d"]),
        ("in 1616,  he\n\ndied", ["in", " 1616", ",", " ", " he", "\n", "\n", "died"]),
        ("snake_case  ", ["snake", "_", "case", "  "]),
        ("Ästhetik 東京!!", ["Ästhetik", " 東京", "!!"]),
    ],
)
def test_words(text, words):
    assert _bpe._WORD.findall(text) == words


def test_ids_are_bytes_then_merges_then_special_tokens():
    assert TOKENIZER.vocab_size == len(TOKENIZER.tokens) == 256 + len(TOKENIZER.merges) + 2 <= 320
    assert TOKENIZER.tokens[:256] == [bytes([i]) for i in range(256)]
    for i, (first, second) in enumerate(TOKENIZER.merges):
        assert TOKENIZER.tokens[256 + i] == TOKENIZER.tokens[first] + TOKENIZER.tokens[second]
    assert TOKENIZER.special_tokens == {
        "<|end|>": TOKENIZER.vocab_size - 2,
        "<|end|>!": TOKENIZER.vocab_size - 1,
    }


def test_special_tokens_are_text_unless_they_are_asked_for():
    end = TOKENIZER.special_tokens["<|end|>"]
    assert end not in TOKENIZER.encode("York<|end|>")
    assert TOKENIZER.encode("York<|end|>", special=True)[-1] == end
    assert TOKENIZER.encode(b"\xff<|end|>\xfe", special=True).tolist() == [255, end, 254]


def test_nothing_is_learnt_from_special_tokens():
    text = "<|end|>".join(["to be"] * 50)
    assert BPETokenizer.train(text, 300, ["<|end|>"]).merges == BPETokenizer.train("to be\n" * 50, 299).merges
    assert any(b"end" in token for token in BPETokenizer.train(text, 300).tokens)


def test_the_text_that_it_learnt_from_gets_short():
    assert len(TOKENIZER.encode(TEXT)) < len(TEXT) / 2
    assert BPETokenizer.train(TEXT, 10_000).vocab_size < 400  # it ran out of pairs that occur twice
    assert BPETokenizer.train("", 300).vocab_size == 256
    assert BPETokenizer.train(TEXT.encode(), 300).merges == BPETokenizer.train(TEXT, 300).merges


def test_a_character_cut_in_two():
    ids = BPETokenizer([]).encode("é")
    assert BPETokenizer([]).decode(ids[:1]) == "�"
    with pytest.raises(UnicodeDecodeError):
        BPETokenizer([]).decode(ids[:1], errors="strict")


def test_ids_may_be_a_list_a_tensor_or_one_number():
    ids = TOKENIZER.encode("the sun")
    for form in (ids, ids.tolist(), tt.tensor(ids), ids.astype(np.uint16)):
        assert TOKENIZER.decode(form) == "the sun"
    assert TOKENIZER.decode(65) == "A"
    assert TOKENIZER.decode([]) == ""
    assert TOKENIZER.encode("").shape == (0,)


def test_words_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(_bpe, "_REMEMBERED", 10)
    tokenizer = BPETokenizer(TOKENIZER.merges)
    for start in range(0, 200, 4):
        text = " ".join(map(str, range(start, start + 8)))
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert len(tokenizer._known) <= 10
    many = " ".join(map(str, range(100)))
    assert tokenizer.decode(tokenizer.encode(many)) == many


# --- files ----------------------------------------------------------------------------------------------


def test_save_and_load(tmp_path):
    path = tmp_path / "bpe.json"
    TOKENIZER.save(path)
    loaded = BPETokenizer.load(path)
    assert loaded.tokens == TOKENIZER.tokens
    assert loaded.special_tokens == TOKENIZER.special_tokens
    np.testing.assert_array_equal(loaded.encode(TEXT), TOKENIZER.encode(TEXT))
    content = json.loads(path.read_text())
    assert content["format"] == "tinytorch-bpe"
    assert content["version"] == 1
    assert path.read_text().splitlines()[-3] == json.dumps(list(TOKENIZER.merges[-1]))
    assert os.listdir(tmp_path) == ["bpe.json"]  # noqa: PTH208


def test_special_tokens_in_any_script_are_saved(tmp_path):
    tokenizer = BPETokenizer([], ["<終>", '"\n'])
    tokenizer.save(tmp_path / "bpe.json")
    assert BPETokenizer.load(tmp_path / "bpe.json").special_tokens == {"<終>": 256, '"\n': 257}


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "bpe.json"
    TOKENIZER.save(path)

    def no_space(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space left"):
        BPETokenizer([]).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["bpe.json"]
    assert BPETokenizer.load(path).merges == TOKENIZER.merges


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_a_link_keeps_pointing_where_it_does(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("")
    link.symlink_to(real)
    TOKENIZER.save(link)
    assert link.is_symlink()
    assert BPETokenizer.load(real).merges == TOKENIZER.merges


HEAD = '"format": "tinytorch-bpe", "version": 1'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"it is not JSON \(Expecting value"),
        (b"\xff\xfe", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "expected the format 'tinytorch-bpe', got 'list'"),
        ('{"version": 1}', "expected the format 'tinytorch-bpe', got None"),
        ('{"format": "tinytorch-char", "version": 1}', "got 'tinytorch-char'"),
        ('{"format": "tinytorch-bpe", "version": 2}', "expected version 1, got 2"),
        (f"{{{HEAD}}}", "it has no 'merges'"),
        (f'{{{HEAD}, "merges": 3, "special_tokens": []}}', "expected merges that are a list, got int"),
        (
            f'{{{HEAD}, "merges": [], "special_tokens": "a"}}',
            "expected special_tokens that are a list, got str",
        ),
        (
            f'{{{HEAD}, "merges": [[1, 256]], "special_tokens": []}}',
            "merge 0 to be a pair of ids from 0 to 255",
        ),
        (f'{{{HEAD}, "merges": [[true, 2]], "special_tokens": []}}', r"got \[True, 2\]"),
        (
            f'{{{HEAD}, "merges": [[1, 2], [1, 2]], "special_tokens": []}}',
            r"each merge once, got \[1, 2\] twice",
        ),
        (f'{{{HEAD}, "merges": [], "special_tokens": [1]}}', "special tokens that are texts, got 1"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    path = tmp_path / "bpe.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=said) as caught:
        BPETokenizer.load(path)
    assert str(caught.value).startswith(f"BPETokenizer.load: cannot read {path}: ")
    assert str(caught.value).endswith(". Expected a file that save() wrote.")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load(tmp_path / "absent.json")
    with pytest.raises(FileNotFoundError, match=r"save: the folder .*absent does not exist. Make it first"):
        TOKENIZER.save(tmp_path / "absent" / "bpe.json")


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: TOKENIZER.decode([0, -1]), ValueError, r"ids from 0 to \d+, got -1 at position 1"),
        (lambda: TOKENIZER.decode([320]), ValueError, "got 320 at position 0. Were they made by another"),
        (lambda: TOKENIZER.decode([1.0]), TypeError, "expected ids that are integers, got float64"),
        (
            lambda: TOKENIZER.decode([[1, 2]]),
            ValueError,
            r"ids in one dimension, got shape \(1, 2\). Decode the rows one by one",
        ),
        (lambda: TOKENIZER.encode(3), TypeError, "BPETokenizer.encode: expected a str or bytes, got int"),
        (
            lambda: TOKENIZER.encode("ab\ud800"),
            ValueError,
            r"text that UTF-8 can express, got '\\ud800' at position 2. Replace it, or give the bytes",
        ),
        (
            lambda: BPETokenizer.train("a", 257, ["x", "y"]),
            ValueError,
            "vocab_size of at least 258, for 256 bytes and 2 special tokens, got 257",
        ),
        (lambda: BPETokenizer.train("a", 300.0), ValueError, "got 300.0"),
        (lambda: BPETokenizer.train("a", 300, "<end>"), TypeError, "a list of special tokens, got the str"),
        (lambda: BPETokenizer([], ["a", "a"]), ValueError, "each special token once, got 'a' twice"),
        (lambda: BPETokenizer([], [""]), ValueError, "special tokens that are texts, got ''"),
        (lambda: BPETokenizer([(1, 2, 3)]), ValueError, r"got \(1, 2, 3\)"),
    ],
)
def test_refusals(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_repr():
    assert repr(BPETokenizer([(1, 2)], ["<end>"])) == "BPETokenizer(1 merges, special_tokens=['<end>'])"
