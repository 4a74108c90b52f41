"""What `detect_anomaly` looks at: NaN in results and gradients, and the line that called the operation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np


def call_site() -> str:
    """`file:line` of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not (name == "tinytorch" or name.startswith("tinytorch.")):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "<unknown>"


def check_forward(name: str, inputs: Sequence[Any], result: Any) -> None:
    """Raise if the operation `name` made a NaN."""
    out = result._data
    if out.dtype.kind != "f" or not np.isnan(out).any():
        return
    floats = [(i, t._data) for i, t in enumerate(inputs) if t is not None and t._data.dtype.kind == "f"]
    sick = [i for i, array in floats if np.isnan(array).any()]
    whence = f"its arguments {sick} held NaN already" if sick else "none of its arguments held one"
    at = tuple(int(i) for i in np.argwhere(np.isnan(out))[0])
    raise RuntimeError(
        f"detect_anomaly: '{name}' made a NaN at index {at} of its result, shape {out.shape}, called at "
        f"{call_site()}; {whence}. Look at the arguments there (log of 0? 0/0? inf - inf?)."
    )


def check_backward(node: Any, g: Any, gradients: Sequence[Any]) -> None:
    """Raise if the gradient rule of a node made a NaN of `g`."""
    for i, gradient in enumerate(gradients):
        if gradient is not None and np.isnan(gradient._data).any():
            sick = " (the gradient that came in held NaN already)" if np.isnan(g._data).any() else ""
            raise RuntimeError(
                f"detect_anomaly: the gradient of '{node.op.name}' made a NaN for its argument {i}, shape "
                f"{gradient.shape}{sick}; the operation was called at "
                f"{node.site or 'a line before the mode was on'}."
            )
