"""Text as numbers: tokenizers, and long texts as examples for a language model."""

from tinytorch.text._bpe import BPETokenizer
from tinytorch.text._char import CharTokenizer
from tinytorch.text._generate import generate
from tinytorch.text._quality import bigram_loss, copied_windows, known_words, unigram_loss
from tinytorch.text._windows import TokenWindows

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "TokenWindows",
    "bigram_loss",
    "copied_windows",
    "generate",
    "known_words",
    "unigram_loss",
]
