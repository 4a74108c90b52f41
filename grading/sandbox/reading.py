"""Reading what untrusted code left: regular files of a limited size, never a pickle, never through a link."""

from __future__ import annotations

import io
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 64 << 20
_HEADER = 4096  # bytes of a .npy file's header at most


class Unreadable(ValueError):
    """What is wrong with a file, in a sentence."""


def read_bytes(path: Path, max_bytes: int = MOST_BYTES) -> bytes:
    """The content of a regular file. Raises Unreadable for none, a link, a pipe, and what is too large."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable(f"{path.name}: expected a regular file")
        if facts.st_size > max_bytes:
            raise Unreadable(f"{path.name}: expected at most {max_bytes:,} bytes, got {facts.st_size:,}")
        with open(handle, "rb", closefd=False) as stream:
            return stream.read(max_bytes)
    finally:
        os.close(handle)


def read_array(path: Path, max_bytes: int = MOST_BYTES) -> np.ndarray:
    """A NumPy array of numbers. Raises Unreadable for anything else, before any memory is taken for it."""
    content = read_bytes(path, max_bytes)
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream, max_header_size=_HEADER)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise Unreadable(f"{path.name}: expected an array of numbers, got {dtype}")
        if math.prod(shape) * dtype.itemsize > len(content):
            raise Unreadable(f"{path.name}: its header says {shape}, its file has {len(content):,} bytes")
        stream.seek(0)
        return np.load(stream, allow_pickle=False, max_header_size=_HEADER)
    except Unreadable:
        raise
    except Exception as error:  # whatever a made-up header may cause
        raise Unreadable(f"{path.name}: not a NumPy array: {error!s:.200}") from None


def read_json(path: Path, max_bytes: int = 1 << 20) -> Any:
    """What a JSON file holds. Raises Unreadable where it holds none, or is nested too deeply."""
    try:
        return json.loads(read_bytes(path, max_bytes).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name}: not JSON: {error!s:.200}") from None
