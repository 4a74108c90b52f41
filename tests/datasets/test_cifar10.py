"""CIFAR-10's two forms, on a small set of the same make, and pickles that want to run something."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinytorch.datasets import DatasetUnavailable, Resource, cifar10
from tinytorch.datasets.unpickle import load_arrays

module = importlib.import_module("tinytorch.datasets.cifar10")  # the package shows the function

BATCH = 20
CLASSES = tuple(f"class {index}" for index in range(10))


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A CIFAR-10 of 120 images: file name to bytes, and the hashes recorded."""
    rng = np.random.default_rng(0)
    files = {}
    for name in module.CIFAR10_MEMBERS:
        content: dict[bytes, object] = {b"label_names": [label.encode() for label in CLASSES]}
        if name != "batches.meta":
            content = {
                b"data": rng.integers(0, 256, (BATCH, 3072), dtype=np.uint8),
                b"labels": rng.integers(0, 10, BATCH).tolist(),
            }
        files[name] = pickle.dumps(content, protocol=3)
    monkeypatch.setattr(module, "_BATCH", BATCH)
    monkeypatch.setattr(
        module, "CIFAR10_MEMBERS", {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    )
    return files


@pytest.fixture
def unpack(tmp_path: Path, members: dict[str, bytes]) -> Callable[[], Path]:
    def make() -> Path:
        folder = tmp_path / "cifar-10" / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for name, data in members.items():
            (folder / name).write_bytes(data)
        return folder

    return make


@pytest.fixture
def archive(members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The same as an archive whose members stand in another order, with a stranger among them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in [("readme.html", b"<html>"), *reversed(members.items())]:
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        stranger = tarfile.TarInfo("../../data_batch_1")
        tar.addfile(stranger)
    data = buffer.getvalue()
    monkeypatch.setattr(
        module,
        "CIFAR10_ARCHIVE",
        Resource("cifar-10/cifar-10-python.tar.gz", hashlib.sha256(data).hexdigest(), len(data), ()),
    )
    return data


def check(dataset, members: dict[str, bytes]) -> None:
    first = load_arrays(members["data_batch_1"])
    third = load_arrays(members["data_batch_3"])
    test = load_arrays(members["test_batch"])
    assert dataset.train_images.shape == (5 * BATCH, 3, 32, 32)
    assert dataset.classes == CLASSES
    # Each row of the file is the red plane, then green, then blue: 2048 is where blue begins.
    np.testing.assert_array_equal(dataset.train_images[1, 2, 0], first[b"data"][1, 2048:2080])
    np.testing.assert_array_equal(dataset.train_images[2 * BATCH], third[b"data"][0].reshape(3, 32, 32))
    np.testing.assert_array_equal(dataset.train_labels[2 * BATCH : 3 * BATCH], third[b"labels"])
    np.testing.assert_array_equal(dataset.test_images.reshape(BATCH, -1), test[b"data"])
    assert dataset.test_labels.tolist() == test[b"labels"]


def test_unpacked_folder(tmp_path, members, unpack):
    unpack()
    check(cifar10(tmp_path, offline=True), members)


def test_archive(tmp_path, members, archive):
    (tmp_path / "cifar-10").mkdir()
    (tmp_path / "cifar-10" / "cifar-10-python.tar.gz").write_bytes(archive)
    check(cifar10(tmp_path, offline=True), members)
    assert [path.name for path in (tmp_path / "cifar-10").iterdir()] == ["cifar-10-python.tar.gz"]


def test_a_wrong_member_sends_the_reader_to_the_archive(tmp_path, members, unpack, archive):
    (unpack() / "data_batch_2").write_bytes(b"damaged")
    (tmp_path / "cifar-10" / "cifar-10-python.tar.gz").write_bytes(archive)
    check(cifar10(tmp_path, offline=True), members)


def test_archive_is_downloaded(tmp_path, members, archive, mirror, answers, fast, monkeypatch):
    url = mirror.url("/cifar-10-python.tar.gz", answers.good(archive))
    resource = module.CIFAR10_ARCHIVE
    monkeypatch.setattr(module, "CIFAR10_ARCHIVE", dataclasses.replace(resource, urls=(url,)))
    check(cifar10(tmp_path, settings=fast), members)


def test_neither_form(tmp_path, members, archive):
    with pytest.raises(DatasetUnavailable) as caught:
        cifar10(tmp_path, offline=True)
    assert "cifar-10-python.tar.gz is not available." in str(caught.value)
    folder = tmp_path / "cifar-10" / "cifar-10-batches-py"
    assert f"the unpacked folder {folder} would do as well, but it does not exist" in str(caught.value)


def test_a_wrong_member_is_named_with_both_hashes_and_never_unpickled(tmp_path, unpack, archive):
    bomb = tmp_path / "bomb"
    folder = unpack()
    (folder / "data_batch_2").write_bytes(pickle.dumps(Bomb(bomb)))
    (folder / "test_batch").unlink()
    with pytest.raises(DatasetUnavailable) as caught:
        cifar10(tmp_path, offline=True)
    right = module.CIFAR10_MEMBERS["data_batch_2"]
    assert f"data_batch_2: expected sha256 {right}, got sha256 " in str(caught.value)
    assert "test_batch: expected sha256" in str(caught.value)
    assert "got No such file or directory" in str(caught.value)
    assert not bomb.exists()


class Bomb:
    """Creates a folder when an unguarded unpickler reads it."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


class Evaluates:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_before_it_runs(protocol, tmp_path):
    bomb = tmp_path / "bomb"
    said = (
        r"expected NumPy arrays and plain containers only, got a reference to (posix|nt)\.mkdir; "
        "nothing of this pickle was run"
    )
    with pytest.raises(pickle.UnpicklingError, match=said):
        load_arrays(pickle.dumps({"data": [Bomb(bomb)]}, protocol))
    assert not bomb.exists()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evaluates()),
        pickle.dumps(np.load),
        pickle.dumps(np.ndarray.tofile),
        b"cnumpy\nndarray.tofile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"cos\nsystem\n(S'true'\ntR.",
    ],
    ids=["eval", "np.load", "method", "dotted", "dotted, protocol 4", "neighbour", "os.system"],
)
def test_other_ways_in_are_refused(data):
    with pytest.raises(pickle.UnpicklingError, match="plain containers only, got a reference to"):
        load_arrays(data)


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_and_containers_are_read(protocol):
    content = {
        b"data": np.arange(12, dtype=np.uint8).reshape(3, 4),
        b"labels": [1, 2],
        b"pair": (None, 1.5, True),
    }
    read = load_arrays(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(read[b"data"], content[b"data"])
    assert read[b"labels"] == [1, 2]
    assert read[b"pair"] == (None, 1.5, True)


def test_python_2_spelling_is_read():
    data = (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x03\x01\x02\x03tbs."
    )
    assert load_arrays(data)[b"data"].tolist() == [1, 2, 3]
