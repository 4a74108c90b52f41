"""Files of models from untrusted hands: nothing of them is used before it was looked at.

A reader of safetensors believes a header's lengths, and follows links. Here a file is a regular one, small,
with a header that says what a header should, and holds the layers of the network that was handed out, none of
them larger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grading.gates import NotMet, require
from grading.optimised import Optimised
from grading.sandbox import Unreadable
from grading.sandbox.reading import read_bytes

MOST_BYTES = 1 << 20  # the network as it is takes 70,000
_TYPES = {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}


@dataclass
class Received(Optimised):
    """What a submission left about the network. shapes: of the network as it is, by the arrays' names."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    known: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def file(self, candidate: str) -> Path:
        """Where a candidate's numbers are; NotMet for what no reader should be given."""
        path = super().file(candidate)
        for folder in (self.folder, self.folder.parent):
            require(not folder.is_symlink(), f"{path.name}: its folder was exchanged for a link")
        try:
            _check(path.name, read_bytes(path, MOST_BYTES))
        except Unreadable as error:
            raise NotMet(f"it left no file that can be read: {error}") from None
        return path

    def weights(self, candidate: str) -> dict[str, np.ndarray]:
        """Its arrays in float32; NotMet unless they are the network's, or smaller ones in their places."""
        if candidate not in self.known:
            path = self.file(candidate)
            try:
                found = super().weights(candidate)
            except Exception as error:  # whatever a made-up file may cause
                raise NotMet(f"{path.name}: cannot be read: {type(error).__name__}: {error!s:.200}") from None
            self._fits(path.name, found)
            self.known[candidate] = found
        return self.known[candidate]

    def _fits(self, file: str, found: dict[str, np.ndarray]) -> None:
        missing, extra = sorted(self.shapes.keys() - found.keys()), sorted(found.keys() - self.shapes.keys())
        require(
            not missing and not extra,
            f"{file}: expected the arrays {', '.join(self.shapes)}, where codes and scale may stand for a "
            f"weight; missing: {', '.join(missing)[:200] or 'none'}; "
            f"more than these: {', '.join(extra)[:200] or 'none'}",
        )
        for name, whole in self.shapes.items():
            array = found[name]
            fits = array.ndim == len(whole) and all(
                0 < n <= most for n, most in zip(array.shape, whole, strict=True)
            )
            require(fits, f"{file}: expected {name} of shape {whole} or smaller, got {array.shape}")
            require(array.dtype.kind == "f", f"{file}: expected {name} in floats, got {array.dtype}")
            require(np.isfinite(array).all(), f"{file}: NaN or infinity in {name}")


def _check(file: str, content: bytes) -> None:
    """NotMet unless the header is one: names with type and shape, and words about them."""
    length = int.from_bytes(content[:8], "little")
    require(
        8 < 8 + length <= len(content),
        f"{file}: not safetensors: a header of {length:,} bytes in a file of {len(content):,}",
    )
    try:
        header: Any = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise NotMet(f"{file}: not safetensors: its header is no JSON: {error!s:.200}") from None
    require(isinstance(header, dict), f"{file}: not safetensors: its header is no table")
    words = header.pop("__metadata__", {})
    require(
        isinstance(words, dict) and all(isinstance(word, str) for word in words.values()),
        f"{file}: not safetensors: its metadata are not words",
    )
    for name, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        require(
            isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape),
            f"{file}: not safetensors: {name!s:.80} has no shape",
        )
        require(
            entry.get("dtype") in _TYPES,
            f"{file}: expected {name!s:.80} in a type that NumPy has, got {entry.get('dtype')!s:.80}",
        )
