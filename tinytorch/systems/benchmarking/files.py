"""How many bytes a model takes in a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from tinytorch.nn import Module


def save_model(model: Module, path: str | os.PathLike[str]) -> int:
    """Write `model.state_dict()` to a safetensors file at `path`, arrays as they are; returns its bytes."""
    from safetensors.numpy import save_file  # 10 ms that an import need not spend

    arrays = {name: np.ascontiguousarray(t._data).reshape(t.shape) for name, t in model.state_dict().items()}
    save_file(arrays, path)
    return Path(path).stat().st_size


def file_bytes(model: Module) -> int:
    """The size of the file that `save_model` makes: it is written, looked at and deleted.

    Header included. Codes that are kept in float32 therefore take four bytes each, and int8 ones one.

    >>> import tinytorch as tt
    >>> 4 * 7850 < file_bytes(tt.nn.Linear(784, 10)) < 4 * 7850 + 200
    True
    """
    with tempfile.TemporaryDirectory() as folder:
        return save_model(model, Path(folder) / "model.safetensors")
