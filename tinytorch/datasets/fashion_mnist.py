"""Fashion-MNIST: 70,000 pictures of clothing in MNIST's format, and harder than MNIST.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747, 2017. MIT licence, Zalando SE.
"""

from __future__ import annotations

from pathlib import Path

from .idx import load_idx_dataset
from .images import ImageDataset
from .registry import DownloadSettings, Resource

__all__ = ["FASHION_MNIST_FILES", "fashion_mnist"]

_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _file(filename: str, size: int, sha256: str) -> Resource:
    return Resource(
        f"fashion-mnist/{filename}", sha256, size, tuple(mirror + filename for mirror in _MIRRORS)
    )


# The authors publish MD5 sums (8d4fb7e6…, 25c81989…, bef4ecab…, bb300cfd…); these are the same files.
FASHION_MNIST_FILES = (
    _file(
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    _file(
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    _file(
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    _file(
        "t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
)
"""The four original files: training images and labels, test images and labels."""


def fashion_mnist(
    root: str | Path | None = None, *, offline: bool | None = None, settings: DownloadSettings | None = None
) -> ImageDataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images, uint8 ``(N, 28, 28)``, labels int64 ``(N,)``.

    Args:
        root: data folder; None means ``TINYTORCH_DATA_DIR``, else the user's cache folder.
        offline: True forbids the download; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits of the download.

    Raises:
        DatasetUnavailable: a file is neither there nor to be had.
    """
    return load_idx_dataset("Fashion-MNIST", FASHION_MNIST_FILES, _CLASSES, root, offline, settings)
