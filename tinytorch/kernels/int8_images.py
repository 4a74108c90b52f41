"""Images of bytes with their channels side by side: from float32 and back, and pooled.

The layout is that of `int8_conv`: uint8 (n, height, width, channels filled up to a multiple of GROUP).
"""

from __future__ import annotations

import functools

import numpy as np

from tinytorch.kernels._jit import kernel
from tinytorch.kernels.int8_vectors import GROUP, LANES, code_groups, decode_groups, max_bytes
from tinytorch.kernels.maps import ready
from tinytorch.kernels.memory import ALIGNMENT, empty
from tinytorch.kernels.operands import BYTE, FLOAT, item, real_number, run
from tinytorch.kernels.packing import data_address, first_length
from tinytorch.kernels.parallel import ASK, Job
from tinytorch.kernels.simd import VECTOR_BYTES, elements, word

Pair = tuple[int, int]
SERIAL = 1 << 15  # up to so many elements one thread is faster


def filled(channels: int) -> int:
    """The least multiple of GROUP that is not less."""
    return -(-channels // GROUP) * GROUP


def room(n: int, height: int, width: int, channels: int, padding: Pair, zero: int) -> np.ndarray:
    """An array for uint8 images in a border, which is the kernel's to fill; filling channels hold `zero`."""
    out = empty((n, height + 2 * padding[0], width + 2 * padding[1], filled(channels)), BYTE)
    if channels % GROUP:
        out[..., channels:] = zero
    return out


@kernel(inline=True)
def fill_bytes(target, count, code):
    """The same code in `count` bytes."""
    line = elements(target, count, np.uint8(0))
    for i in range(count):
        line[i] = np.uint8(code)


@kernel(inline=True)
def fill_borders(images, n, lines, line_bytes, down, side, code, part, parts):
    """The borders of share `part` of n images: `down` lines above and below, `side` bytes left and right."""
    if down == 0 and side == 0:
        return
    for entry in range(n * part // parts, n * (part + 1) // parts):
        for line in range(lines):
            here = images + (entry * lines + line) * line_bytes
            if line < down or line >= lines - down:
                fill_bytes(here, line_bytes, code)
            else:
                fill_bytes(here, side, code)
                fill_bytes(here + line_bytes - side, side, code)


@functools.lru_cache(maxsize=1024)
def _numbers(*integers: int) -> np.ndarray:
    """What a kernel must know about shapes."""
    return np.array(integers, np.int64)


def _fill(operands, scratch_id, zero, _a, _b, _c, part, parts):
    """Codes of share `part` of the lines.  operands: x, bytes, scale, and the integers read first."""
    missing = ALIGNMENT + parts * 2 * VECTOR_BYTES - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    x, out = data_address(item(operands, 0)), data_address(item(operands, 1))
    inverse = np.float32(1) / real_number(item(operands, 2))
    shape = data_address(item(operands, 3))
    n, channels, height, width = word(shape), word(shape + 8), word(shape + 16), word(shape + 24)
    down, side, line_bytes = word(shape + 32), word(shape + 40), word(shape + 48)
    fill_borders(out, n, height + 2 * down, line_bytes, down, side, zero, part, parts)
    low, high = np.float32(-zero), np.float32(255 - zero)
    full = (channels + GROUP - 1) // GROUP * GROUP
    plane = 4 * height * width
    words_at = data_address(scratch_id) + part * 2 * VECTOR_BYTES
    words = elements(words_at, LANES, np.int32(0))
    for line in range(n * height * part // parts, n * height * (part + 1) // parts):
        entry = line // height
        i = line - entry * height
        source = x + entry * channels * plane + 4 * i * width
        target = out + (entry * (height + 2 * down) + down + i) * line_bytes + side
        for channel in range(0, channels, GROUP):
            present = min(GROUP, channels - channel)
            for j in range(0, width, LANES):
                count = min(LANES, width - j)
                there = target + j * full + channel
                here = source + channel * plane + 4 * j
                if full == GROUP and count == LANES:
                    code_groups(count, present, here, plane, there, inverse, low, high, zero)
                else:
                    code_groups(count, present, here, plane, words_at, inverse, low, high, zero)
                    for k in range(count):
                        elements(there + k * full, 1, np.int32(0))[0] = words[k]
    return 0


def _unfill(operands, scratch_id, zero, _a, _b, _c, part, parts):
    """Numbers of share `part` of all LANES pixels.  operands: bytes, x, scale, (n, c, pixels)."""
    missing = ALIGNMENT + parts * VECTOR_BYTES - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    codes, out = data_address(item(operands, 0)), data_address(item(operands, 1))
    scale = real_number(item(operands, 2))
    shape = data_address(item(operands, 3))
    n, channels, pixels = word(shape), word(shape + 8), word(shape + 16)
    full = (channels + GROUP - 1) // GROUP * GROUP
    words_at = (data_address(scratch_id) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT + part * VECTOR_BYTES
    words = elements(words_at, LANES, np.int32(0))
    runs = (pixels + LANES - 1) // LANES
    for turn in range(n * runs * part // parts, n * runs * (part + 1) // parts):
        entry = turn // runs
        first = (turn - entry * runs) * LANES
        count = min(LANES, pixels - first)
        source = codes + (entry * pixels + first) * full
        target = out + 4 * (entry * channels * pixels + first)
        for channel in range(0, channels, GROUP):
            for k in range(count):
                words[k] = elements(source + k * full + channel, 1, np.int32(0))[0]
            decode_groups(
                count, min(GROUP, channels - channel), words_at, target + 4 * channel * pixels, 4 * pixels,
                zero, scale,
            )  # fmt: skip
    return 0


def _pool(operands, scratch_id, zero, _a, _b, _c, part, parts):
    """Maxima of share `part` of the lines.  operands: bytes, maxima, and the integers that are read first."""
    shape = elements(data_address(item(operands, 2)), 13, np.int64(0))
    n, height, width, channels = shape[0], shape[1], shape[2], shape[3]
    image, line_bytes, down, side, out_line = shape[4], shape[5], shape[6], shape[7], shape[8]
    rows, columns, step, across = shape[9], shape[10], shape[11], shape[12]
    missing = parts * line_bytes - first_length(scratch_id)
    if missing > 0 or part == ASK:
        return max(missing, 0)
    x, out = data_address(item(operands, 0)), data_address(item(operands, 1))
    fill_borders(out, n, height + 2 * down, out_line, down, side, zero, part, parts)
    used = ((width - 1) * across + columns) * channels
    most = data_address(scratch_id) + part * line_bytes  # of the window's rows
    for line in range(n * height * part // parts, n * height * (part + 1) // parts):
        entry = line // height
        i = line - entry * height
        source = x + entry * image + i * step * line_bytes
        max_bytes(used, source, source + (rows - 1) * line_bytes, most)
        for row in range(1, rows - 1):
            max_bytes(used, most, source + row * line_bytes, most)
        target = out + (entry * (height + 2 * down) + down + i) * out_line + side
        for j in range(width):
            start = most + j * across * channels
            max_bytes(channels, start, start + (columns - 1) * channels, target)
            for column in range(1, columns - 1):
                max_bytes(channels, target, start + column * channels, target)
            target += channels
    return 0


def _mean(operands, scratch, zero, _a, _b, _c, part, parts):
    """Means of share `part` of the images.  operands: bytes, means, scale / pixels, (c, full, pixels)."""
    if part == ASK:
        return 0
    shape = data_address(item(operands, 3))
    channels, full, pixels = word(shape), word(shape + 8), word(shape + 16)
    n = first_length(item(operands, 0))
    scale = real_number(item(operands, 2))
    for entry in range(n * part // parts, n * (part + 1) // parts):
        first = data_address(item(operands, 0)) + entry * pixels * full
        sums = elements(data_address(item(operands, 1)) + 4 * entry * channels, channels, np.int32(0))
        means = elements(data_address(item(operands, 1)) + 4 * entry * channels, channels, np.float32(0))
        for c in range(channels):
            sums[c] = -zero * pixels
        for p in range(pixels):
            pixel = elements(first + p * full, channels, np.uint8(0))
            for c in range(channels):
                sums[c] += np.int32(pixel[c])
        for c in range(channels):
            means[c] = np.float32(sums[c]) * scale
    return 0


_fill_job, _unfill_job, _pool_job, _mean_job = Job(_fill), Job(_unfill), Job(_pool), Job(_mean)


def _images(name: str, x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """Images of bytes, contiguous; else what is wrong with them."""
    if x.ndim != 4 or x.dtype != BYTE:
        raise ValueError(f"{name}: expected uint8 (n, h, w, c), got {x.dtype} {x.shape}.")
    _check_code(name, scale, zero)
    return ready(x)


def _check_code(name: str, scale: float, zero: int) -> None:
    if not scale > 0 or not 0 <= zero <= 255:
        raise ValueError(f"{name}: expected scale > 0 and zero from 0 to 255, got {scale} and {zero}.")


def to_nhwc(x: np.ndarray, scale: float, zero: int, padding: Pair = (0, 0)) -> np.ndarray:
    """float32 (n, c, h, w) -> uint8 (n, h + 2 ph, w + 2 pw, c filled up), quantised as `quantize` does.

    The border of `padding` (ph, pw) and the filling channels hold `zero`.  TypeError unless float32;
    ValueError for other shapes, a scale that is not positive and a zero that is not a byte.

    >>> to_nhwc(np.array([1, 2], np.float32).reshape(1, 2, 1, 1), 0.5, 3)
    array([[[[5, 7, 3, 3]]]], dtype=uint8)
    """
    if x.dtype != FLOAT:
        raise TypeError(f"to_nhwc: expected float32, got {x.dtype}. Convert with .astype() first.")
    if x.ndim != 4:
        raise ValueError(f"to_nhwc: expected (n, c, h, w), got {x.shape}.")
    _check_code("to_nhwc", scale, zero)
    n, channels, height, width = x.shape
    out = room(n, height, width, channels, padding, zero)
    if out.size:
        _, _, wide, full = out.shape
        shape = _numbers(n, channels, height, width, padding[0], padding[1] * full, wide * full)
        run(_fill_job, x.size <= SERIAL, (ready(x), out, float(scale), shape), zero, 0, 0, 0)
    return out


def from_nhwc(x: np.ndarray, channels: int, scale: float, zero: int) -> np.ndarray:
    """uint8 (n, h, w, channels filled up), without a border -> float32 (n, channels, h, w).

    >>> from_nhwc(np.array([[[[5, 7, 3, 3]]]], np.uint8), 2, 0.5, 3).ravel()
    array([1., 2.], dtype=float32)
    """
    x = _images("from_nhwc", x, scale, zero)
    n, height, width, full = x.shape
    if full != filled(channels):
        raise ValueError(f"from_nhwc: {channels} channels fill up to {filled(channels)}, got {x.shape}.")
    out = empty((n, channels, height, width), FLOAT)
    if out.size:
        shape = _numbers(n, channels, height * width)
        run(_unfill_job, out.size <= SERIAL, (x, out, float(scale), shape), zero, 0, 0, 0)
    return out


def int8_max_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair | None = None, padding_out: Pair = (0, 0), zero: int = 0
) -> np.ndarray:
    """The greatest codes of windows: uint8 (n, h, w, c) -> (n, h' + 2 ph, w' + 2 pw, c).

    The order of codes is that of the numbers they stand for, so scale and zero point stay.  `stride` None is
    the window's size.  A border of `padding_out` (ph, pw) around the result holds `zero`, for the next layer.
    ValueError where x holds no images of bytes, or smaller ones than the window.

    >>> int8_max_pool2d(np.arange(16, dtype=np.uint8).reshape(1, 2, 2, 4), (2, 2))
    array([[[[12, 13, 14, 15]]]], dtype=uint8)
    """
    x = _images("int8_max_pool2d", x, 1, zero)
    stride = kernel_size if stride is None else stride
    n, *size, channels = x.shape
    height, width = ((size[i] - kernel_size[i]) // stride[i] + 1 for i in (0, 1))
    if height < 1 or width < 1 or channels % GROUP:
        raise ValueError(
            f"int8_max_pool2d: expected images of at least {kernel_size} and a multiple of {GROUP} channels, "
            f"got {x.shape}."
        )
    out = room(n, height, width, channels, padding_out, zero)
    if n:
        line = size[1] * channels
        shape = _numbers(
            n, height, width, channels, size[0] * line, line, padding_out[0], padding_out[1] * channels,
            out.shape[2] * channels, *kernel_size, *stride,
        )  # fmt: skip
        run(_pool_job, x.size <= SERIAL, (x, out, shape), zero, 0, 0, 0)
    return out


def int8_global_avg_pool2d(x: np.ndarray, channels: int, scale: float, zero: int) -> np.ndarray:
    """The mean of every channel: uint8 (n, h, w, c filled up), without a border -> float32 (n, c).

    Exact sums in int32.  ValueError for an image of no pixels, or of more than 2**23.

    >>> int8_global_avg_pool2d(np.array([[[[5, 7, 3, 3]]]], np.uint8), 2, 0.5, 3)
    array([[1., 2.]], dtype=float32)
    """
    x = _images("int8_global_avg_pool2d", x, scale, zero)
    n, height, width, full = x.shape
    if full != filled(channels) or not 1 <= height * width <= 1 << 23:
        raise ValueError(
            f"int8_global_avg_pool2d: expected (n, h, w, {filled(channels)}) with 1 to 2**23 pixels, "
            f"got {x.shape}."
        )
    out = empty((n, channels), FLOAT)
    if n:
        shape = _numbers(channels, full, height * width)
        run(_mean_job, x.size <= SERIAL, (x, out, float(scale) / (height * width), shape), zero, 0, 0, 0)
    return out
