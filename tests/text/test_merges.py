"""Learning and applying merges, against the naive way and against Hugging Face's tokenizers."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text import naive_bpe
from tinytorch.datasets import load_grammar
from tinytorch.text import BPETokenizer, _bpe, _merges

pytestmark = pytest.mark.nojit_ok

WORDS = st.dictionaries(
    st.lists(st.sampled_from(b"ab\n\xff"), max_size=12).map(bytes), st.integers(1, 9), max_size=8
)


@given(words=WORDS, most=st.integers(0, 12), least=st.integers(1, 3))
def test_learning_is_the_naive_one(words, most, least):
    merges = _merges.learn(list(words), words.values(), most, least)
    assert merges == naive_bpe.learn(words, most, least)


@given(words=WORDS, most=st.integers(0, 12))
def test_the_order_of_the_words_does_not_matter(words, most):
    backwards = dict(reversed(words.items()))
    assert _merges.learn(list(words), words.values(), most) == _merges.learn(
        list(backwards), backwards.values(), most
    )


@given(words=WORDS, most=st.integers(0, 12), others=st.lists(st.text("ab\n", max_size=20)))
def test_applying_is_the_naive_one(words, most, others):
    merges = naive_bpe.learn(words, most)
    texts = [*words, *(other.encode() for other in others)]
    numbers = {pair: number for number, pair in enumerate(merges)}
    assert _merges.apply(texts, merges, numbers) == [naive_bpe.apply(text, merges) for text in texts]


def test_ties_are_broken_by_the_smallest_pair():
    assert _merges.learn([b"xy", b"ab", b"ax"], [3, 3, 3], 3) == [(97, 98), (97, 120), (120, 121)]


def test_pairs_that_overlap():
    assert _merges.learn([b"aaaaa"], [2], 3) == [(97, 97), (256, 97), (256, 257)]
    assert _merges.apply([b"a" * 11], [(97, 97), (256, 256)], {(97, 97): 0, (256, 256): 1}) == [
        [257, 257, 256, 97]
    ]


def test_a_text_that_is_one_long_word_takes_no_longer_than_others():
    """A search of the whole word before each merge would take minutes."""
    tokenizer = BPETokenizer.train("ab" * 50_000 + "abc" * 50_000, 400)
    start = time.perf_counter()
    text = "abcab" * 40_000
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("seed", [0, 1])
def test_merges_are_those_of_the_tokenizers_library(seed):
    """Where pairs tie it takes the one whose characters stand first in its own alphabet of bytes."""
    tokenizers = pytest.importorskip("tokenizers")
    sentences = load_grammar(2000, seed).train
    text = "\n".join(f"{s[0].upper()}{s[1:]} It's {len(s)}, we'll say; _really_?" for s in sentences)
    most = 200
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    splitting = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.pre_tokenizer = splitting
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=256 + most, initial_alphabet=splitting.alphabet(), show_progress=False
    )
    peer.train_from_iterator([text], trainer)
    expected = [peer.id_to_token(256 + i) for i in range(most)]

    places = peer.get_vocab()
    marks = {b: splitting.pre_tokenize_str(chr(b))[0][0] for b in range(128)}
    order = [places[marks[b]] for b in range(128)]
    counts = Counter(bytes(order[b] for b in word.encode()) for word in _bpe._WORD.findall(text))
    merges = _merges.learn(list(counts), counts.values(), most)
    found = [peer.id_to_token(i) for i in range(256)]
    for first, second in merges:
        found.append(found[first] + found[second])
    assert found[256:] == expected

    ours = BPETokenizer.train(text, 256 + most)
    assert len(ours.encode(text)) == pytest.approx(len(peer.encode(text).ids), rel=0.01)
