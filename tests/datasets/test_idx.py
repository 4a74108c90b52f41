"""The idx reader: what it reads, and what it says about damaged files."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import struct

import numpy as np
import pytest

from tinytorch.datasets import ImageDataset, Resource
from tinytorch.datasets.idx import load_idx_dataset, read_idx_gz

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)


def idx_bytes(array: np.ndarray, magic: int | None = None) -> bytes:
    magic = 0x800 | array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    "array",
    [IMAGES, IMAGES[:, 0, 0], IMAGES[:0], np.zeros((2000, 28, 28), np.uint8)],  # spans many pieces
    ids=["images", "labels", "empty", "long"],
)
def test_reads_what_was_written(array, tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(idx_bytes(array)))
    read = read_idx_gz(path, array.shape)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    assert read.flags.c_contiguous


WHOLE = gzip.compress(idx_bytes(IMAGES))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            gzip.compress(idx_bytes(IMAGES, magic=0x801)),
            r"expected the idx magic 0x00000803 \(unsigned bytes, 3 dimensions\), got 0x00000801",
        ),
        (
            gzip.compress(b"<html><body>no such dataset</body></html>"),
            r"idx magic 0x00000803.*got 0x3c68746d",
        ),
        (
            gzip.compress(idx_bytes(IMAGES[:29])),
            r"expected an array of shape \(30, 28, 28\), the header says \(29, 28, 28\)",
        ),
        (gzip.compress(idx_bytes(IMAGES)[:-5]), "expected 23,520 bytes after the header, got 23,515"),
        (gzip.compress(idx_bytes(IMAGES) + b"more"), "expected 23,520 bytes after the header, got more"),
        (gzip.compress(b"\0\0\x08"), "expected 23,520 bytes after the header, got 0"),
        (WHOLE[:9_000], "expected 23,520 bytes after the header, got"),
        (WHOLE[:-4], "expected the end of the gzip stream, got the end of the file"),
        (WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:], "expected gzip data, got .*incorrect data check"),
        (WHOLE[:5000] + bytes(64) + WHOLE[5064:], "expected"),
        (b"not gzip at all", "expected gzip data, got .*incorrect header check"),
        (b"", "expected 23,520 bytes after the header, got 0"),
    ],
    ids=[
        "magic",
        "web page",
        "shape",
        "short",
        "long",
        "no header",
        "cut",
        "no checksum",
        "checksum",
        "flipped",
        "not gzip",
        "empty",
    ],
)
def test_damaged_files_are_refused(data, said, tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        read_idx_gz(path, IMAGES.shape)


def test_four_files_make_a_dataset(tmp_path, monkeypatch):
    module = importlib.import_module("tinytorch.datasets.idx")
    small = {
        (60_000, 28, 28): (30, 28, 28),
        (60_000,): (30,),
        (10_000, 28, 28): (20, 28, 28),
        (10_000,): (20,),
    }
    monkeypatch.setattr(module, "read_idx_gz", lambda path, shape: read_idx_gz(path, small[shape]))
    labels = np.arange(30, dtype=np.uint8) % 10
    resources = []
    for name, array in (("a", IMAGES), ("b", labels), ("c", IMAGES[:20]), ("d", labels[:20])):
        data = gzip.compress(idx_bytes(array))
        (tmp_path / name).write_bytes(data)
        resources.append(Resource(name, hashlib.sha256(data).hexdigest(), len(data), ()))
    dataset = load_idx_dataset("small", tuple(resources), tuple("0123456789"), tmp_path, True, None)
    (train_images, train_labels), (test_images, test_labels) = dataset
    np.testing.assert_array_equal(train_images, IMAGES)
    np.testing.assert_array_equal(test_images, IMAGES[:20])
    assert train_labels.dtype == test_labels.dtype == np.int64
    assert train_labels.tolist() == labels.tolist()
    assert repr(dataset) == "ImageDataset(small: 30 training and 20 test images of (28, 28), 10 classes)"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            np.zeros(29, np.int64),
            "small, train: expected as many labels as images, got 29 labels for 30 images",
        ),
        (np.full(30, 10), "small, train: expected labels from 0 to 9, got 10 to 10"),
        (np.full(30, -1), "small, train: expected labels from 0 to 9, got -1 to -1"),
    ],
)
def test_image_dataset_refuses_labels_that_do_not_fit(labels, said):
    with pytest.raises(ValueError, match=said):
        ImageDataset("small", IMAGES, labels, IMAGES, np.zeros(30, np.int64), tuple("0123456789"))
