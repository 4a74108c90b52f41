"""The idx format of MNIST: a big-endian header (magic, sizes), then the bytes; here gzipped.

Magic is ``0x00000803`` for three dimensions of unsigned bytes (images), ``0x00000801`` for one (labels).
Described on the MNIST page of LeCun, Cortes and Burges.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from .images import ImageDataset
from .registry import DownloadSettings, Resource, fetch_all

__all__ = ["load_idx_dataset", "read_idx_gz"]

_CHUNK = 1 << 16
_UNSIGNED_BYTES = 0x08


def read_idx_gz(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a gzipped idx file of unsigned bytes of known shape into a writeable, C-ordered uint8 array.

    Unpacks straight into the array, in pieces, so the peak is the array itself (MNIST's training images:
    47 MB; gzip's checksum is verified on the way).

    Raises:
        ValueError: not gzip, cut short, wrong magic, wrong sizes, too few or too many bytes.
    """
    header = struct.Struct(f">{1 + len(shape)}I")
    wanted = (_UNSIGNED_BYTES << 8 | len(shape), *shape)
    array = np.empty(shape, np.uint8)
    flat = array.reshape(-1).data
    inflate = zlib.decompressobj(wbits=31)
    head, filled = b"", 0
    try:
        with path.open("rb") as file:
            while not inflate.eof and (packed := file.read(_CHUNK)):
                piece = inflate.decompress(packed)
                if len(head) < header.size:
                    head += piece
                    if len(head) < header.size:
                        continue
                    _check_header(path, header.unpack_from(head), wanted)
                    piece, head = head[header.size :], head[: header.size]
                if filled + len(piece) > len(flat):
                    raise _damaged(path, f"{len(flat):,} bytes after the header", "more")
                flat[filled : filled + len(piece)] = piece
                filled += len(piece)
    except zlib.error as error:
        raise _damaged(path, "gzip data", str(error)) from error
    if filled != len(flat):
        raise _damaged(path, f"{len(flat):,} bytes after the header", f"{filled:,}")
    if not inflate.eof:
        raise _damaged(path, "the end of the gzip stream", "the end of the file")
    return array


def _damaged(path: Path, expected: str, got: str) -> ValueError:
    return ValueError(
        f"{path}: expected {expected}, got {got}; the file is damaged, "
        "delete it and it will be downloaded again"
    )


def _check_header(path: Path, got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if got[0] != wanted[0]:
        raise ValueError(
            f"{path}: expected the idx magic 0x{wanted[0]:08x} "
            f"(unsigned bytes, {len(wanted) - 1} dimensions), got 0x{got[0]:08x}"
        )
    if got[1:] != wanted[1:]:
        raise ValueError(f"{path}: expected an array of shape {wanted[1:]}, the header says {got[1:]}")


def load_idx_dataset(
    name: str,
    resources: tuple[Resource, ...],
    classes: tuple[str, ...],
    root: str | Path | None,
    offline: bool | None,
    settings: DownloadSettings | None,
) -> ImageDataset:
    """MNIST and its drop-in replacements: four files, 60,000 + 10,000 images of 28×28."""
    paths = fetch_all(resources, root, offline=offline, settings=settings)
    train_images, train_labels, test_images, test_labels = paths
    return ImageDataset(
        name,
        read_idx_gz(train_images, (60_000, 28, 28)),
        read_idx_gz(train_labels, (60_000,)).astype(np.int64),
        read_idx_gz(test_images, (10_000, 28, 28)),
        read_idx_gz(test_labels, (10_000,)).astype(np.int64),
        classes,
    )
