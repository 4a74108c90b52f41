"""Datasets as plain arrays: real ones that are downloaded and checked, embedded ones, generated ones.

Nothing here needs a Tensor or a kernel, and importing it is cheap: pooch, requests and rich are loaded only
when something is downloaded or shown.
"""

from .cifar10 import cifar10
from .digits import digits
from .fashion_mnist import fashion_mnist
from .grammar import GrammarCorpus, load_grammar, sample_sentences
from .images import ImageDataset
from .manager import DatasetManager
from .mnist import mnist
from .registry import DatasetUnavailable, DownloadSettings, Resource, data_dir, fetch
from .sequences import Sequences, answers_right, make_sequences
from .synthetic import two_gaussians, xor
from .tiny_shakespeare import tiny_shakespeare

__all__ = [
    "DatasetManager",
    "DatasetUnavailable",
    "DownloadSettings",
    "GrammarCorpus",
    "ImageDataset",
    "Resource",
    "Sequences",
    "answers_right",
    "cifar10",
    "data_dir",
    "digits",
    "fashion_mnist",
    "fetch",
    "load_grammar",
    "make_sequences",
    "mnist",
    "sample_sentences",
    "tiny_shakespeare",
    "two_gaussians",
    "xor",
]
