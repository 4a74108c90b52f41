"""One object for all the datasets: what the milestone scripts ask for their data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .cifar10 import cifar10
from .digits import digits
from .fashion_mnist import fashion_mnist
from .images import ImageDataset
from .mnist import mnist
from .registry import DownloadSettings, data_dir
from .synthetic import two_gaussians, xor
from .tiny_shakespeare import tiny_shakespeare

__all__ = ["DatasetManager"]


class DatasetManager:
    """Every dataset by name, from one data folder, downloaded when it is missing.

    Args:
        root: data folder; None means ``TINYTORCH_DATA_DIR``, else the user's cache folder.
        offline: True forbids downloads; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits of downloads.

    The ``get_`` methods raise :class:`DatasetUnavailable` when a file is neither there nor to be had; the
    digits, XOR and the perceptron's data are always there.

    >>> (train_images, train_labels), (test_images, test_labels) = DatasetManager().get_digits()
    >>> train_images.shape, train_labels.dtype.name
    ((1442, 8, 8), 'int64')
    """

    def __init__(
        self,
        root: str | Path | None = None,
        offline: bool | None = None,
        settings: DownloadSettings | None = None,
    ) -> None:
        self.root = data_dir(root)
        self.offline = offline
        self.settings = settings

    def __repr__(self) -> str:
        return f"DatasetManager(root={str(self.root)!r}, offline={self.offline})"

    def get_mnist(self) -> ImageDataset:
        """MNIST, 60,000 + 10,000 images ``(28, 28)``; see :func:`tinytorch.datasets.mnist`."""
        return mnist(self.root, offline=self.offline, settings=self.settings)

    def get_fashion_mnist(self) -> ImageDataset:
        """Fashion-MNIST, in MNIST's shapes; see :func:`tinytorch.datasets.fashion_mnist`."""
        return fashion_mnist(self.root, offline=self.offline, settings=self.settings)

    def get_cifar10(self) -> ImageDataset:
        """CIFAR-10, 50,000 + 10,000 images ``(3, 32, 32)``; see :func:`tinytorch.datasets.cifar10`."""
        return cifar10(self.root, offline=self.offline, settings=self.settings)

    def get_tinyshakespeare(self) -> str:
        """Tiny Shakespeare, one string; see :func:`tinytorch.datasets.tiny_shakespeare`."""
        return tiny_shakespeare(self.root, offline=self.offline, settings=self.settings)

    def get_digits(self) -> ImageDataset:
        """The embedded digits, 1,442 + 355 images ``(8, 8)``; see :func:`tinytorch.datasets.digits`."""
        return digits()

    def get_xor_data(
        self, n: int = 1000, *, noise: float = 0.25, seed: int | np.random.Generator = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """XOR points, float32 ``(n, 2)`` and ``(n, 1)``; see :func:`tinytorch.datasets.xor`."""
        return xor(n, noise=noise, seed=seed)

    def get_perceptron_data(
        self, n: int = 1000, *, std: float = 0.8, seed: int | np.random.Generator = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Two clouds, float32 ``(n, 2)`` and ``(n, 1)``; see :func:`tinytorch.datasets.two_gaussians`."""
        return two_gaussians(n, std=std, seed=seed)
