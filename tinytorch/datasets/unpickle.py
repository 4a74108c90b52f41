"""A reader for pickles that hold NumPy arrays, plain containers, and nothing that can run.

A pickle is a program: unrestricted, it may call any importable function. This one may name three things,
the ones that rebuild an array; every other name ends the reading before anything is called.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

_reconstruct = np.empty(0).__reduce__()[0]  # NumPy's own, whose module has moved between versions

# Old pickles (CIFAR-10 was written by Python 2) and new ones spell the module differently.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}

__all__ = ["load_arrays"]


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"expected NumPy arrays and plain containers only, got a reference to {module}.{name}; "
                "nothing of this pickle was run, do not use the file"
            ) from None


def load_arrays(data: bytes) -> Any:
    """Unpickle dictionaries, lists, strings, numbers and NumPy arrays; Python 2 strings become ``bytes``.

    Raises:
        pickle.UnpicklingError: the pickle names anything else, or is damaged.

    >>> load_arrays(pickle.dumps({"labels": [1, 2]}))
    {'labels': [1, 2]}
    """
    return _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
