"""The 8×8 digits that ship inside the package: 1,797 images, no download.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
doi:10.24432/C50P49, CC BY 4.0: its test set, as scikit-learn's ``load_digits`` gives it. Each pixel counts
the set points, 0 to 16, of a 4×4 block of a 32×32 scan.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from .images import ImageDataset

__all__ = ["digits"]

_TEST_EVERY = 5


def digits() -> ImageDataset:
    """The embedded digits: 1,442 training and 355 test images, uint8 ``(N, 8, 8)``, pixels 0 to 16.

    The source has no split of its own. Here every fifth image of each class is a test image: balanced, the
    same everywhere, and independent of any random generator.

    >>> data = digits()
    >>> data.train_images.shape, data.test_images.shape, data.max_value
    ((1442, 8, 8), (355, 8, 8), 16)
    """
    with (
        files("tinytorch.datasets").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    test = np.zeros(len(labels), bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return ImageDataset(
        "8×8 digits",
        images[~test],
        labels[~test],
        images[test],
        labels[test],
        tuple("0123456789"),
        max_value=16,
    )
