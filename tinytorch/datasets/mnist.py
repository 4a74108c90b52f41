"""MNIST: 70,000 handwritten digits, 28×28 grey pixels.

Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998. CC BY-SA 3.0 as
commonly stated.
"""

from __future__ import annotations

from pathlib import Path

from .idx import load_idx_dataset
from .images import ImageDataset
from .registry import DownloadSettings, Resource

__all__ = ["MNIST_FILES", "mnist"]

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


def _file(filename: str, size: int, sha256: str) -> Resource:
    return Resource(f"mnist/{filename}", sha256, size, tuple(mirror + filename for mirror in _MIRRORS))


MNIST_FILES = (
    _file(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    _file(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    _file(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    _file(
        "t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
)
"""The four original files: training images and labels, test images and labels."""


def mnist(
    root: str | Path | None = None, *, offline: bool | None = None, settings: DownloadSettings | None = None
) -> ImageDataset:
    """MNIST: 60,000 training and 10,000 test images, uint8 ``(N, 28, 28)``, labels int64 ``(N,)``.

    Args:
        root: data folder; None means ``TINYTORCH_DATA_DIR``, else the user's cache folder.
        offline: True forbids the download; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits of the download.

    Raises:
        DatasetUnavailable: a file is neither there nor to be had.
    """
    return load_idx_dataset("MNIST", MNIST_FILES, tuple("0123456789"), root, offline, settings)
