"""Layers of convolutional networks in JAX, channels last: XLA's convolutions on processors are faster so."""

from __future__ import annotations

from typing import Any

import numpy as np


def convolution(x: Any, weight: Any, stride: int = 1, groups: int = 1, layout: str = "NHWC") -> Any:
    """weight: (kh, kw, c, oc) for NHWC, (oc, c, kh, kw) for NCHW; the border is half a window."""
    from jax import lax

    last = layout == "NHWC"
    border = weight.shape[0 if last else 2] // 2
    return lax.conv_general_dilated(
        x,
        weight,
        (stride, stride),
        [(border, border)] * 2,
        dimension_numbers=(layout, "HWIO" if last else "OIHW", layout),
        feature_group_count=groups,
    )


def max_pool(x: Any) -> Any:
    """Of 2×2 pixels, from slices: with `reduce_window`, the way back took more than 20 times as long."""
    from jax import numpy as jnp

    top, bottom = x[:, ::2], x[:, 1::2]
    larger = jnp.maximum(top, bottom)
    return jnp.maximum(larger[:, :, ::2], larger[:, :, 1::2])


def avg_pool(x: Any) -> Any:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def batch_norm(x: Any, weight: Any, bias: Any) -> Any:
    """Of a batch in training. Running statistics, a few numbers for each channel, are left out."""
    from jax import lax

    mean = x.mean((0, 1, 2))
    variance = ((x - mean) ** 2).mean((0, 1, 2))
    return (x - mean) * (weight * lax.rsqrt(variance + 1e-5)) + bias


def weights(*shape: int) -> np.ndarray:
    """First weights, scaled by how many inputs each output has; the last size is the outputs'."""
    draws = np.random.default_rng(0).uniform(-1, 1, shape)
    return (draws / np.prod(shape[:-1]) ** 0.5).astype(np.float32)
