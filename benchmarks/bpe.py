"""Tokenizers on the first million characters of Tiny Shakespeare, beside Hugging Face's, which is Rust.

The text is the real one, from the data folder; without it nothing is measured.
"""

from __future__ import annotations

from typing import Any

from benchmarks.workload import OURS, Step, Unavailable, Workload

CHARACTERS, MERGES = 1_000_000, 1000


def plays() -> str:
    from tinytorch.datasets import DatasetUnavailable, tiny_shakespeare

    try:
        return tiny_shakespeare(offline=True)[:CHARACTERS]
    except DatasetUnavailable as error:
        raise Unavailable(str(error)) from error


def trained(text: str) -> Any:
    from tinytorch.text import BPETokenizer

    return BPETokenizer.train(text, 256 + MERGES)


def trained_peer(text: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def train() -> Step:
    text = plays()
    return lambda: trained(text)


def train_peer() -> Step:
    text = plays()
    return lambda: trained_peer(text)


def encode() -> Step:
    """As in a second call: the tokens of most words are remembered."""
    text = plays()
    tokenizer = trained(text)
    tokenizer.encode(text)
    return lambda: tokenizer.encode(text)


def encode_anew() -> Step:
    """With a new tokenizer every time, which remembers nothing."""
    from tinytorch.text import BPETokenizer

    text = plays()
    merges = trained(text).merges
    return lambda: BPETokenizer(merges).encode(text)


def encode_peer() -> Step:
    """Line by line, on all threads: faster than the text as a whole."""
    text = plays()
    tokenizer, lines = trained_peer(text), text.splitlines(keepends=True)
    tokenizer.encode_batch(lines)
    return lambda: tokenizer.encode_batch(lines)


def encode_characters() -> Step:
    from tinytorch.text import CharTokenizer

    text = plays()
    tokenizer = CharTokenizer.train(text)
    return lambda: tokenizer.encode(text)


WORKLOADS = [
    Workload("bpe train 1 MB 1000 merges", {OURS: train, "tokenizers": train_peer}, slow=True),
    Workload("bpe encode 1 MB", {OURS: encode, "tokenizers": encode_peer}, slow=True),
    Workload("bpe encode 1 MB anew", {OURS: encode_anew, "tokenizers": encode_peer}, slow=True),
    Workload("char encode 1 MB", {OURS: encode_characters}),
]
