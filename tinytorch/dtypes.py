"""PyTorch's names for dtypes and devices. A tensor's dtype is NumPy's, and there is one device."""

from __future__ import annotations

from typing import Any

import numpy as np

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool_ = np.dtype(np.bool_)
DTYPES = {
    "float32": float32,
    "float": float32,
    "float64": float64,
    "double": float64,
    "int8": int8,
    "int16": int16,
    "short": int16,
    "int32": int32,
    "int": int32,
    "int64": int64,
    "long": int64,
    "uint8": uint8,
    "bool": bool_,
}
_PYTHON = {float: float32, int: int64, bool: bool_}


def as_dtype(dtype: Any) -> np.dtype:
    """A dtype, its name, or one of Python's float (float32), int (int64) and bool, as a dtype from above."""
    if type(dtype) is str and dtype in DTYPES:
        return DTYPES[dtype]
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    try:
        found = np.dtype(dtype)
        if found in DTYPES.values():
            return found
    except TypeError:
        pass
    raise TypeError(f"expected a dtype among {', '.join(DTYPES)}, got {dtype!r}")


def check_device(device: Any) -> None:
    """Refuse every device but the processor."""
    if device is not None and str(device).partition(":")[0] != "cpu":
        raise ValueError(
            f"expected device 'cpu', the only one that tinytorch computes on, got {str(device)!r}"
        )


class device(str):
    """Where tensors are: the processor, which is also its name, "cpu".

    Raises ValueError for any other.

    >>> import tinytorch as tt
    >>> tt.device("cuda" if tt.cuda.is_available() else "cpu").type
    'cpu'
    """

    type = "cpu"

    def __new__(cls, name: Any = "cpu") -> device:
        """The processor, after checking that it is meant."""
        check_device(name)
        return super().__new__(cls, "cpu")

    def __repr__(self) -> str:
        return "device(type='cpu')"


CPU = device()
