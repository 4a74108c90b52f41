"""Rounding to what integer codes would stand for, with a gradient that goes straight through."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.ops.common import Array, as_float, normalize_axis


def _spread(x: Array, scale: Array, zero: Array, axis: int | None) -> tuple[Array, Array]:
    """Scale and zero point in the dtype of x, and in a shape that broadcasts with it."""
    if axis is None:
        shape: tuple[int, ...] = (1,) * x.ndim
        wanted = 1
    else:
        axis = normalize_axis("fake_quantize", axis, x.ndim)
        shape = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
        wanted = x.shape[axis]
    for name, array in (("scale", scale), ("zero", zero)):
        if array.size != wanted:
            where = "for a whole tensor" if axis is None else f"for {wanted} channels along axis {axis}"
            raise ValueError(f"fake_quantize: expected a {name} of size {wanted} {where}, got {array.shape}")
    return scale.reshape(shape).astype(x.dtype), zero.reshape(shape).astype(x.dtype)


def _levels(x: Array, scale: Array, zero: Array, axis: int | None) -> tuple[Array, Array, Array]:
    """The codes of x, not clipped yet, as numbers of its dtype; and scale and zero point."""
    scale, zero = _spread(x, scale, zero, axis)
    codes = np.multiply(x, 1 / scale)
    np.rint(codes, out=codes)
    codes += zero
    return codes, scale, zero


def _naive(
    x: Array, scale: Array, zero: Array, quant_min: int, quant_max: int, axis: int | None = None
) -> Array:
    if axis is not None:
        pairs = zip(np.moveaxis(x, axis, 0), scale, zero, strict=True)
        return np.moveaxis(
            np.stack([_naive(part, s, z, quant_min, quant_max) for part, s, z in pairs]), 0, axis
        )
    codes = [
        min(max(float(np.rint(v * (1 / scale.item()))) + zero.item(), quant_min), quant_max)
        for v in x.ravel()
    ]
    return np.array([(code - zero.item()) * scale.item() for code in codes]).reshape(x.shape)


def _naive_grad(
    g: Array, x: Array, scale: Array, zero: Array, quant_min: int, quant_max: int, axis: int | None
) -> Array:
    """The gradient of a clipping between what the outermost codes stand for, and half a step beyond."""
    shape = (1,) * x.ndim if axis is None else [-1 if i == axis else 1 for i in range(x.ndim)]
    scale, zero = scale.reshape(shape), zero.reshape(shape)
    low, high = (quant_min - zero - 0.5) * scale, (quant_max - zero + 0.5) * scale
    return np.where((x >= low) & (x <= high), g, 0)


def _samples(s: Any) -> list[Sample]:
    fine = np.array(2.0**-46, s.dtype)  # steps too small for finite differences to see, over -0.5 to 0.5
    channels, none = np.array([0.125, 0.25, 0.5], s.dtype), np.array(0)
    inside = np.array([[-0.4375, 0.3125, 0.125], [0.8125, -0.875, 0.25]], s.dtype)
    far = s(4, 3, low=-3.0, high=3.0)
    return [
        Sample(inside, fine, none, quant_min=-(2**45), quant_max=2**45 - 1),
        Sample(far, np.array(0.0625, s.dtype), np.array(3), quant_min=0, quant_max=15, smooth=False),
        Sample(far, channels, np.array([0, 1, -1]), quant_min=-8, quant_max=7, axis=1, smooth=False),
        Sample(s(3, 2, 2), channels, np.zeros(3, np.int64), quant_min=-2, quant_max=2, axis=0, smooth=False),
        Sample(s(0, 3), np.array([0.5], s.dtype), np.array([0]), quant_min=-8, quant_max=7, smooth=False),
    ]


def _per_tensor_or_channel(t: Any, x: Any, scale: Any, zero: Any, quant_min: int, quant_max: int, axis=None):
    if axis is None:
        return t.fake_quantize_per_tensor_affine(x, scale.item(), zero.item(), quant_min, quant_max)
    scale, zero = scale.to(t.float32), zero.to(t.int32)
    return t.fake_quantize_per_channel_affine(x, scale, zero, axis, quant_min, quant_max)


@op(
    saves=(0, 1, 2),
    constants=(1, 2),
    cost=lambda x, *_, out, **__: 5 * out.size,
    samples=_samples,
    refuses=lambda s: [
        Refusal(
            (s(3, 4), s(3), s.ints(3, high=2)),
            {"quant_min": 0, "quant_max": 255},
            ValueError,
            r"fake_quantize: expected a scale of size 1 for a whole tensor, got \(3,\)",
        ),
        Refusal(
            (s(3, 4), s(3), s.ints(3, high=2)),
            {"quant_min": 0, "quant_max": 255, "axis": 1},
            ValueError,
            r"fake_quantize: expected a scale of size 4 for 4 channels along axis 1, got \(3,\)",
        ),
        Refusal(
            (s(3, 4), s(1), s.ints(1, high=2)),
            {"quant_min": 5, "quant_max": 4},
            ValueError,
            r"fake_quantize: expected quant_min below quant_max, got 5 and 4",
        ),
    ],
    reference=_naive,
    oracle=_per_tensor_or_channel,
)
def fake_quantize(
    x: Array, scale: Array, zero: Array, /, quant_min: int, quant_max: int, axis: int | None = None
) -> Array:
    """`(clip(round(x · (1 / scale)) + zero, quant_min, quant_max) - zero) · scale`: x as codes will have it.

    scale, zero: one number, or with `axis` one for each channel along it. They are constants.
    The gradient is that of the clipping alone: 1 where a code lies inside the limits, else 0, as if rounding
    were the identity (a straight-through estimator).

    Raises ValueError for sizes that do not fit and limits that are upside down.
    Source: Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through stochastic
    neurons", 2013; for quantisation, B. Jacob et al., 2018.

    >>> import tinytorch as tt
    >>> x = tt.tensor([0.12, 0.9, 7.0])
    >>> tt.ops.fake_quantize(x, tt.tensor(0.25), tt.tensor(0), quant_min=0, quant_max=15)
    tensor([0.  , 1.  , 3.75])
    """
    if quant_min >= quant_max:
        raise ValueError(
            f"fake_quantize: expected quant_min below quant_max, got {quant_min} and {quant_max}"
        )
    codes, scale, zero = _levels(as_float(x), scale, zero, axis)
    np.clip(codes, quant_min, quant_max, out=codes)
    codes -= zero
    codes *= scale
    return codes


@fake_quantize.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return fake_quantize_grad(g, ctx[0], ctx[1], ctx[2], **{"axis": None, **ctx.params}), None, None


@op(
    saves=(1, 2, 3),
    constants=(2, 3),
    cost=lambda g, *_, out, **__: 5 * out.size,
    samples=lambda s: [
        Sample(s(*sample.args[0].shape), *sample.args, **{"axis": None, **sample.params})
        for sample in _samples(s)
    ],
    reference=_naive_grad,
)
def fake_quantize_grad(
    g: Array, x: Array, scale: Array, zero: Array, /, quant_min: int, quant_max: int, axis: int | None
) -> Array:
    """`g` where the code of `x` lies inside the limits, else 0."""
    codes, _, _ = _levels(as_float(x), scale, zero, axis)
    return np.where((codes >= quant_min) & (codes <= quant_max), g, g.dtype.type(0))


@fake_quantize_grad.gradient(arrays=True)
def _(ctx: Node, h: Any) -> Any:
    return fake_quantize_grad(h, ctx[1], ctx[2], ctx[3], **ctx.params), None, None, None
