"""From numbers to codes and back: scales and zero points, and how they are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytorch.kernels import quantize as kernels

LARGEST = 127  # of a symmetric code: -128 has no counterpart, and is left out


@dataclass(frozen=True)
class QParams:
    """`q = clip(round(x / scale) + zero, least, most)`, and back `x ≈ (q - zero) · scale`.

    scale: float32, (1,) for a whole tensor or (n,) for each of n channels. zero: int32 of the same shape, the
    code of 0.0, which every scheme has. dtype: of the codes, int8 or uint8. axis: that of the channels.

    >>> p = choose_qparams(-1.0, 3.0)
    >>> p.zero, p.dequantize(p.quantize(np.float32([0.0, 3.0, 9.0])))
    (array([64], dtype=int32), array([0.       , 2.9960785, 2.9960785], dtype=float32))
    """

    scale: np.ndarray
    zero: np.ndarray
    dtype: np.dtype
    axis: int | None = None
    symmetric: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest code that are used."""
        if self.symmetric:
            middle = 128 if self.dtype == np.uint8 else 0
            return middle - LARGEST, middle + LARGEST
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """x of any shape -> codes of the same shape, rounded half to even."""
        return kernels.quantize(_floats(x), self.scale, self.zero, self.dtype, self.axis)

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """Codes -> float32."""
        return kernels.dequantize(codes, self.scale, self.zero, self.axis)


def choose_qparams(
    low: Any, high: Any, symmetric: bool = False, dtype: Any = np.uint8, axis: int | None = None
) -> QParams:
    """The scale and zero point with which the codes of `dtype` cover the numbers from `low` to `high`, and 0.

    low, high: numbers, or one for each channel along `axis`.
    symmetric: scale = max(-low, high) / 127, and 0.0 in the middle (0 of int8, 128 of uint8). Otherwise
    affine: scale = (high - low) / 255, and 0.0 where it falls, moved to a code.
    A range of no width has the scale 1.

    Raises ValueError for a range that is upside down or not finite.
    """
    dtype = np.dtype(dtype)
    if dtype.name not in ("uint8", "int8"):
        raise TypeError(f"choose_qparams: expected uint8 or int8 codes, got {dtype}")
    low, high = (np.atleast_1d(np.asarray(x, np.float64)) for x in (low, high))
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise ValueError(f"choose_qparams: expected finite numbers low <= high, got {low} and {high}")
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    if symmetric:
        scale = np.maximum(-low, high) / LARGEST
    else:
        scale = (high - low) / 255
    scale = np.where(scale < np.finfo(np.float32).tiny, 1.0, scale).astype(np.float32)
    if symmetric:
        zero = np.full(scale.shape, 128 if dtype == np.uint8 else 0, np.int32)
    else:
        info = np.iinfo(dtype)
        zero = np.clip(np.rint(info.min - low / scale), info.min, info.max).astype(np.int32)
    return QParams(scale, zero, dtype, axis, symmetric)


def weight_qparams(weight: np.ndarray, per_channel: bool = True) -> QParams:
    """Symmetric int8 for a weight whose axis 0 are the outputs: a scale for each of them, or one for all."""
    if not np.isfinite(weight).all():
        raise ValueError("quantise: expected finite weights, got NaN or infinity; the model is not trained")
    rest = tuple(range(1, weight.ndim)) if per_channel else None
    largest = np.abs(weight).max(axis=rest, initial=0.0)
    return choose_qparams(-largest, largest, True, np.int8, 0 if per_channel else None)


def _floats(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float32)
