"""Between float32 and bytes: codes = round(x / scale) + zero, x = (codes - zero) * scale, and the range of x.

x is multiplied with the float32 1 / scale and rounded half to even, before the zero point is added; then it
is cut to the range of the type.  (PyTorch rounds the sum: where the zero point is odd, exact halves differ.)
NaN gets the lowest code, for a byte has none.  It does not get lost on the way there: the range of an array
with a NaN is NaN, and so is the scale of a row with one in `quantize_rows`.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tinytorch.kernels.int8_vectors import code_line, extremes
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import empty
from tinytorch.kernels.operands import BYTE, FLOAT, INTEGER, SIGNED, item, real_number, run, step_of
from tinytorch.kernels.packing import data_address, matrix
from tinytorch.kernels.parallel import ASK, Job
from tinytorch.kernels.simd import elements, load

CHUNK = 1 << 14  # elements of a row that are done at once
SERIAL = 1 << 16  # up to so many elements one thread is faster
_NUMBERS = {float, int, np.float32, np.float64}
SMALLEST_SCALE = np.float32(2.0**-126)  # the least number whose reciprocal is finite


def _encode_all(operands, scratch, least, zero, size, _a, part, parts):
    """Codes of share `part` of `size` numbers.  operands: x, codes, scale."""
    if part == ASK:
        return 0
    first, last = size * part // parts, size * (part + 1) // parts
    inverse = np.float32(1) / real_number(item(operands, 2))
    low, high = np.float32(least - zero), np.float32(least + 255 - zero)
    x, out = data_address(item(operands, 0)) + 4 * first, data_address(item(operands, 1)) + first
    code_line(last - first, x, out, inverse, low, high, zero)
    return 0


def _encode(operands, scratch, least, _a, _b, _c, part, parts):
    """Codes of share `part` of the chunks of all rows.  operands: x (rows, inner), codes, scale, zero."""
    if part == ASK:
        return 0
    x, _, rows, inner, _, _ = matrix(item(operands, 0), 4)
    out = data_address(item(operands, 1))
    scales, scale_step = data_address(item(operands, 2)), step_of(item(operands, 2))
    zeros, zero_step = data_address(item(operands, 3)), step_of(item(operands, 3))
    chunks = (inner + CHUNK - 1) // CHUNK
    for chunk in range(rows * chunks * part // parts, rows * chunks * (part + 1) // parts):
        row = chunk // chunks
        first = chunk % chunks * CHUNK
        last = min(inner, first + CHUNK)
        inverse = np.float32(1) / load(scales + row * scale_step, np.float32(0))
        zero = elements(zeros + row * zero_step, 1, np.int32(0))[0]
        low, high = np.float32(least - zero), np.float32(least + 255 - zero)
        start = row * inner + first
        code_line(last - first, x + 4 * start, out + start, inverse, low, high, zero)
    return 0


def _decode(operands, scratch, signed, _a, _b, _c, part, parts):
    """Numbers of share `part` of the chunks of all rows.  operands: codes (rows, inner), x, scale, zero."""
    if part == ASK:
        return 0
    codes, _, rows, inner, _, _ = matrix(item(operands, 0), 1)
    out = data_address(item(operands, 1))
    scales, scale_step = data_address(item(operands, 2)), step_of(item(operands, 2))
    zeros, zero_step = data_address(item(operands, 3)), step_of(item(operands, 3))
    chunks = (inner + CHUNK - 1) // CHUNK
    for chunk in range(rows * chunks * part // parts, rows * chunks * (part + 1) // parts):
        row = chunk // chunks
        first = chunk % chunks * CHUNK
        count = min(inner, first + CHUNK) - first
        scale = load(scales + row * scale_step, np.float32(0))
        zero = elements(zeros + row * zero_step, 1, np.int32(0))[0]
        start = row * inner + first
        numbers = elements(out + 4 * start, count, np.float32(0))
        if signed:
            signed_codes = elements(codes + start, count, np.int8(0))
            for i in range(count):
                numbers[i] = np.float32(np.int32(signed_codes[i]) - zero) * scale
        else:
            plain_codes = elements(codes + start, count, np.uint8(0))
            for i in range(count):
                numbers[i] = np.float32(np.int32(plain_codes[i]) - zero) * scale
    return 0


def _find_extremes(operands, scratch, _a, _b, _c, _d, part, parts):
    """Of share `part` of the chunks of all rows.  operands: x (rows, inner), extremes (rows * chunks, 2)."""
    if part == ASK:
        return 0
    x, _, rows, inner, _, _ = matrix(item(operands, 0), 4)
    out = data_address(item(operands, 1))
    chunks = (inner + CHUNK - 1) // CHUNK
    for chunk in range(rows * chunks * part // parts, rows * chunks * (part + 1) // parts):
        first = chunk % chunks * CHUNK
        start = x + 4 * (chunk // chunks * inner + first)
        extremes(min(inner, first + CHUNK) - first, start, out + 8 * chunk)
    return 0


def _encode_rows(operands, scratch, _a, _b, _c, _d, part, parts):
    """Scale, zero point and codes of share `part` of the rows.  operands: x (m, k), codes, scale, zero."""
    if part == ASK:
        return 0
    x, _, m, k, _, _ = matrix(item(operands, 0), 4)
    out = data_address(item(operands, 1))
    scales = elements(data_address(item(operands, 2)), m, np.float32(0))
    zeros = elements(data_address(item(operands, 3)), m, np.int32(0))
    for row in range(m * part // parts, m * (part + 1) // parts):
        line, codes = x + 4 * row * k, out + row * k
        pair = elements(data_address(item(operands, 4)) + 8 * row, 2, np.float32(0))
        extremes(k, line, data_address(item(operands, 4)) + 8 * row)
        low, high = pair[0], pair[1]
        low = np.float32(0) if low > np.float32(0) else low
        high = np.float32(0) if high < np.float32(0) else high
        scale = (high - low) / np.float32(255)
        if low == high:
            scale = np.float32(1)
        elif scale < SMALLEST_SCALE:
            scale = SMALLEST_SCALE
        inverse = np.float32(1) / scale
        shift = -low * inverse
        zero = 0
        if shift > np.float32(0):  # and not NaN
            zero = 255
            if shift < np.float32(255):
                zero = int(np.rint(shift))
        scales[row] = scale
        zeros[row] = zero
        least, most = np.float32(-zero), np.float32(255 - zero)
        code_line(k, line, codes, inverse, least, most, zero)
    return 0


_all_job = Job(_encode_all)
_encode_job, _decode_job = Job(_encode), Job(_decode)
_extremes_job, _rows_job = Job(_find_extremes), Job(_encode_rows)


def _vectors(
    name: str, scale: Any, zero: Any, least: int, axis: int | None, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point as vectors of one number, or of one for each place of an axis."""
    scales, zeros = np.array(scale, FLOAT, ndmin=1), np.array(zero, INTEGER, ndmin=1)
    for what, vector in (("scale", scales), ("zero", zeros)):
        if vector.shape != (1,) and (axis is None or vector.shape != (length,)):
            wanted = "one number" + ("" if axis is None else f", or shape ({length},) for axis {axis}")
            raise ValueError(f"{name}: expected {what} to be {wanted}, got shape {vector.shape}.")
    if length and (not (scales > 0).all() or zeros.min() < least or zeros.max() > least + 255):
        _refuse(name, scale, zero, least)
    return scales, zeros


def _refuse(name: str, scale: Any, zero: Any, least: int) -> NoReturn:
    raise ValueError(
        f"{name}: expected scale > 0 and zero from {least} to {least + 255}, got {scale} and {zero}."
    )


def _run(
    name: str, job: Job, x: np.ndarray, dtype: np.dtype, scale: Any, zero: Any, axis: int | None, least: int
) -> np.ndarray:  # fmt: skip
    """Do all rows along `axis` with their own scale and zero point."""
    if axis is not None:
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"{name}: expected an axis of {x.shape}, got {axis}.")
        axis %= x.ndim
    length = x.shape[axis] if axis is not None else 1
    scales, zeros = _vectors(name, scale, zero, least, axis, length)
    lines = ready(np.moveaxis(x, axis, 0) if axis else x)
    out = empty(lines.shape, dtype)
    if x.size:
        operands = (lines.reshape(length, -1), out, scales, zeros)
        run(job, x.size <= SERIAL, operands, least, 0, 0, 0)
    return np.ascontiguousarray(np.moveaxis(out, 0, axis)) if axis else out


def _least(name: str, dtype: np.dtype) -> int:
    """The lowest code of a type."""
    if dtype == BYTE:
        return 0
    if dtype == SIGNED:
        return -128
    raise TypeError(f"{name}: expected uint8 or int8 codes, got {dtype}.")


def _check_float(name: str, x: np.ndarray) -> None:
    if x.dtype != FLOAT:
        raise TypeError(f"{name}: expected float32, got {x.dtype}. Convert with .astype() first.")


def quantize(x: np.ndarray, scale: Any, zero: Any, dtype: Any = BYTE, axis: int | None = None) -> np.ndarray:
    """round(x / scale) + zero, cut to 0 .. 255 (uint8) or -128 .. 127 (int8), of x's shape.

    x: float32.  scale, zero: numbers, or with an `axis` vectors with one for each place along it.
    TypeError for other types; ValueError for scales that are not positive, and zero points that the type does
    not have.

    >>> quantize(np.array([-1, 0, 0.25, 0.75, 9], np.float32), 0.5, 10)
    array([ 8, 10, 10, 12, 28], dtype=uint8)
    """
    _check_float("quantize", x)
    if dtype is not BYTE:
        dtype = np.dtype(dtype)
    least = _least("quantize", dtype)
    if axis is None and type(zero) is int and type(scale) in _NUMBERS:  # quickly
        if not 0 < scale < np.inf or not least <= zero <= least + 255:
            _refuse("quantize", scale, zero, least)
        x, size = ready(x), x.size
        out = empty(x.shape, dtype)
        run(_all_job, size <= SERIAL, (x, out, float(scale)), least, zero, size, 0)
        return out
    return _run("quantize", _encode_job, x, dtype, scale, zero, axis, least)


def dequantize(q: np.ndarray, scale: Any, zero: Any, axis: int | None = None) -> np.ndarray:
    """(q - zero) * scale in float32, of uint8 or int8 codes; scale, zero and axis as in `quantize`.

    >>> dequantize(np.array([8, 10, 28], np.uint8), 0.5, 10)
    array([-1.,  0.,  9.], dtype=float32)
    """
    least = _least("dequantize", q.dtype)
    return _run("dequantize", _decode_job, q, FLOAT, scale, zero, axis, least)


def min_max(x: np.ndarray, axis: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest of x, float32: arrays without axes, or (length,) for places along an axis.

    NaN where there is a NaN.  ValueError where there is nothing.

    >>> min_max(np.array([[1, 2], [5, 4]], np.float32), axis=0)
    (array([1., 4.], dtype=float32), array([2., 5.], dtype=float32))
    """
    _check_float("min_max", x)
    if not x.size:
        raise ValueError(f"min_max: expected at least one number, got shape {x.shape}.")
    lines = ready(x if axis is None else np.moveaxis(x, axis, 0))
    lines = lines.reshape(1 if axis is None else x.shape[axis], -1)
    pairs = np.empty((len(lines), -(-lines.shape[1] // CHUNK), 2), FLOAT)
    run(_extremes_job, x.size <= SERIAL, (lines, pairs), 0, 0, 0, 0)
    low, high = pairs[..., 0].min(axis=1), pairs[..., 1].max(axis=1)
    return (low[0], high[0]) if axis is None else (low, high)


def quantize_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of each row of x with the row's own range: uint8 (m, k), scale float32 (m,), zero int32 (m,).

    The range is widened to contain 0, which then has a code of its own: scale = (max - min) / 255, and zero =
    round(-min / scale).  A row of zeros has scale 1.  What is not finite stays so: a row with a NaN has scale
    NaN, one with an infinity has scale inf and codes of 0 with zero point 0, which decode to NaN.
    TypeError unless float32; ValueError unless two axes.

    >>> quantize_rows(np.array([[0, 1, 255], [-2, 0, 0]], np.float32))
    (array([[  0,   1, 255],
           [  0, 255, 255]], dtype=uint8), array([1.        , 0.00784314], dtype=float32), array([  0, 255], dtype=int32))
    """  # noqa: E501
    _check_float("quantize_rows", x)
    if x.ndim != 2:
        raise ValueError(f"quantize_rows: expected (m, k), got {x.shape}.")
    m, k = x.shape
    codes, scale, zero = empty((m, k), BYTE), np.ones(m, FLOAT), np.zeros(m, INTEGER)
    if x.size:
        operands = (ready(x), codes, scale, zero, np.empty((m, 2), FLOAT))
        run(_rows_job, x.size <= SERIAL, operands, 0, 0, 0, 0)
    return codes, scale, zero
