"""Comparisons whose failures a student can act on: what was expected, what came, where to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grading.gates import NotMet
from grading.submissions.inside.requirements import numbers

SHOWN = 8  # numbers of an array, in a message


def close(what: str, got: Any, expected: Any, look: str, tolerance: float | None = None) -> None:
    """Shape and numbers are those expected, within what the floats that came can hold."""
    found, wanted = numbers(got), np.asarray(expected)
    if found.shape != wanted.shape:
        raise NotMet(f"{what}: expected the shape {wanted.shape}, got {found.shape}. {look}")
    if not found.size:
        return
    narrow = found.dtype != np.float64
    if tolerance is None:
        tolerance = 1e-4 if narrow else 1e-6
    off = np.abs(found.astype(np.float64) - wanted)
    bound = tolerance * (1.0 + np.abs(wanted))
    if np.all(off <= bound):  # NaN is not
        return
    worst = np.unravel_index(np.argmax(np.where(np.isnan(off), np.inf, off - bound)), off.shape)
    place = f" at {[int(i) for i in worst]}" if found.ndim else ""
    rest = f" (of {shown(wanted)}; got {shown(found)})" if found.size > 1 else ""
    raise NotMet(f"{what}: expected {wanted[worst]:.6g}{place}, got {found[worst]:.6g}{rest}. {look}")


def holds(condition: Any, what: str, look: str) -> None:
    """`what` says what was expected and what came instead."""
    if not condition:
        raise NotMet(f"{what}. {look}")


def refuses(what: str, call: Callable[[], Any], look: str) -> None:
    """Any exception will do; an answer will not."""
    try:
        answer = call()
    except Exception:
        return
    shape = getattr(answer, "shape", None)
    got = f"a result of shape {shape}" if shape is not None else repr(answer)
    raise NotMet(f"{what}: expected an error, got {got}. {look}")


def gradient(what: str, tensor: Any, look: str) -> np.ndarray:
    """What `backward` has left in `tensor.grad`."""
    found = getattr(tensor, "grad", None)
    if found is None:
        raise NotMet(f"{what}: expected a gradient in `.grad` after backward(), got None. {look}")
    return numbers(found)


def shown(array: np.ndarray) -> str:
    """The first numbers of an array, short."""
    flat = array.ravel()
    text = ", ".join(f"{value:.4g}" for value in flat[:SHOWN])
    return f"[{text}{', …' if flat.size > SHOWN else ''}]"
