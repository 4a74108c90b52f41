"""What every image dataset returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["ImageDataset"]


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """Labelled images, split into training and test set, as they were published.

    Unpacks as ``(train_images, train_labels), (test_images, test_labels) = dataset``.

    Args:
        name: what it is called.
        train_images: uint8, ``(N, H, W)`` for grey images, ``(N, 3, H, W)`` for colour.
        train_labels: int64, ``(N,)``, values ``0 … len(classes) - 1``.
        test_images: uint8, as the training images.
        test_labels: int64, as the training labels.
        classes: the name of each label.
        max_value: the largest pixel value there can be; ``images / max_value`` lies in ``[0, 1]``.

    Raises:
        ValueError: as many labels as images are expected, all of them in range.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    max_value: int = 255

    def __post_init__(self) -> None:
        for split, (images, labels) in zip(("train", "test"), self, strict=True):
            if len(images) != len(labels):
                raise ValueError(
                    f"{self.name}, {split}: expected as many labels as images, "
                    f"got {len(labels)} labels for {len(images)} images"
                )
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                raise ValueError(
                    f"{self.name}, {split}: expected labels from 0 to {len(self.classes) - 1}, "
                    f"got {labels.min()} to {labels.max()}"
                )

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield self.train_images, self.train_labels
        yield self.test_images, self.test_labels

    def __repr__(self) -> str:
        return (
            f"ImageDataset({self.name}: {len(self.train_images):,} training and "
            f"{len(self.test_images):,} test images of {self.image_shape}, {len(self.classes)} classes)"
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return self.train_images.shape[1:]
