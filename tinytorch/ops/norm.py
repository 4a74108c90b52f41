"""Normalisation of activations: over a batch, over the features of each example, over groups of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, as_tensors, new_tensor, op
from tinytorch.kernels import norm as kernels
from tinytorch.ops.common import Array
from tinytorch.ops.rectifier import relu_grad

Statistics = tuple[Array, Array] | None


def _along_channels(x: Any, ndim: int) -> Any:
    """A number for each channel, to broadcast with (n, c, ...)."""
    return x.reshape((-1,) + (1,) * (ndim - 2))


def _check_affine(name: str, size: tuple[int, ...], **numbers: Array | None) -> None:
    for what, extra in numbers.items():
        if extra is not None and extra.shape != size:
            raise ValueError(f"{name}: expected a {what} of shape {size}, got {extra.shape}")


def _in_dtype(x: Array, shape: tuple[int, ...], *arrays: Array | None) -> list[Array]:
    """Weight and bias in the dtype of x: ones and zeros for what was left out."""
    return [
        np.full(shape, fill, x.dtype) if a is None else a.astype(x.dtype, copy=False)
        for a, fill in zip(arrays, (1, 0), strict=True)
    ]


# --- over a batch ---------------------------------------------------------------------------------------


def _batches(s: Any) -> list[Sample]:
    x, known = s(4, 3, 5), (np.array([0.5, -0.5, 0.25]), np.array([0.5, 1.0, 2.0]))
    return [
        Sample(x, s(3), s(3)),
        Sample(s(3, 2, 2, 3) + np.array(5.0), s(2), None),
        Sample(s(6, 4), None, None, eps=0.1),
        Sample(s(1, 2, 7), s(2), s(2)),
        Sample(x, s(3), s(3), statistics=known, fixed=True),
        Sample(x, s(3), s(3) + np.array(6.0), activation="relu"),
        Sample(x, s(3), s(3), activation="relu", smooth=False),
        Sample(s(0, 3), None, s(3), statistics=known, fixed=True, activation="relu", smooth=False),
    ]


def _naive_batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float = 1e-5, statistics: Statistics = None,
    fixed: bool = False, activation: str | None = None,
) -> Array:  # fmt: skip
    axes = (0, *range(2, x.ndim))
    mean, variance = (x.mean(axis=axes), x.var(axis=axes)) if statistics is None else statistics
    out = (x - _along_channels(mean, x.ndim)) / np.sqrt(_along_channels(variance, x.ndim) + eps)
    out = out if weight is None else out * _along_channels(weight, x.ndim)
    out = out if bias is None else out + _along_channels(bias, x.ndim)
    return np.maximum(out, 0) if activation == "relu" else out


def _batch_oracle(
    t: Any, x: Any, w: Any, b: Any, eps: float = 1e-5, statistics: Any = None, fixed: bool = False,
    activation: str | None = None,
) -> Any:  # fmt: skip
    known = (None, None) if statistics is None else (t.from_numpy(a).to(x.dtype) for a in statistics)
    out = t.nn.functional.batch_norm(x, *known, w, b, not fixed, 0.0, eps)
    return t.relu(out) if activation else out


@op(
    name="batch_norm",
    extras=True,
    saves=(0, 1, 2),
    cost=lambda x, w, b, *, out, activation=None, **_: (8 + (activation is not None)) * x.size,
    samples=_batches,
    refuses=lambda s: [
        Refusal((s(4), None, None), {}, ValueError, r"batch_norm: expected an input of shape \(n, channels"),
        Refusal((s(4, 3), s(2), None), {}, ValueError, r"expected a weight of shape \(3,\), got \(2,\)"),
        Refusal((s(1, 3), None, None), {}, ValueError, r"more than one value a channel .* got \(1, 3\)"),
        Refusal((np.ones((2, 2), np.int64), None, None), {}, TypeError, "batch_norm: expected a floating"),
        Refusal(
            (s(4, 3), None, None), {"statistics": (s(3), s(2)), "fixed": True}, ValueError,
            r"batch_norm: expected a variance of shape \(3,\), got \(2,\)",
        ),
    ],
    reference=_naive_batch_norm,
    oracle=_batch_oracle,
)  # fmt: skip
def normalize_batch(
    x: Array, weight: Array | None, bias: Array | None, /, eps: float = 1e-5, statistics: Statistics = None,
    fixed: bool = False, activation: str | None = None,
) -> tuple[Array, Any]:  # fmt: skip
    """`activation((x - mean) / sqrt(variance + eps) * weight + bias)` with each channel's mean and variance.

    statistics: these two, where they are known. fixed: they do not depend on x, so no gradient flows through
    them.
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected an input of shape (n, channels, ...), got {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(
            f"batch_norm: expected a floating point input, got {x.dtype}. Convert it with .float()."
        )
    channels = x.shape[1:2]
    mean, variance = (None, None) if statistics is None else statistics
    numbers = {"weight": weight, "bias": bias, "mean": mean, "variance": variance}
    _check_affine("batch_norm", channels, **numbers)
    if x.size <= channels[0] and not fixed:
        raise ValueError(
            f"batch_norm: expected more than one value a channel to train on, got {x.shape}. Use a larger "
            "batch, or .eval()."
        )
    if mean is None or variance is None:
        mean, variance = kernels.channel_statistics(x)
    mean, rstd = mean.astype(x.dtype), _one_over_root(variance, eps, x.dtype)
    factor, more = _in_dtype(x, channels, weight, bias)
    return kernels.normalize_channels(x, mean, rstd * factor, more, activation), (mean, rstd)


def _one_over_root(variance: Array, eps: float, dtype: Any) -> Array:
    return (1.0 / np.sqrt(variance.astype(np.float64) + eps)).astype(dtype)


@normalize_batch.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    x, weight = ctx[0], ctx.get(1)
    fixed, activation = ctx.params.get("fixed", False), ctx.params.get("activation")
    needs_x, needs_weight, needs_bias = ctx.needs
    mean, rstd = ctx.extras
    if ctx.arrays:
        factor, more = _in_dtype(x, x.shape[1:2], weight, ctx.get(2) if activation else None)
        return kernels.batch_norm_grad(g, x, mean, rstd, factor, more, fixed, activation)
    if activation == "relu":
        pair = (t if t is None else t._data for t in (weight, ctx.get(2)))
        factor, more = _in_dtype(x._data, x.shape[1:2], *pair)
        g = relu_grad(g, new_tensor(kernels.normalize_channels(x._data, mean, rstd * factor, more)))
    axes, count = (0, *range(2, x.ndim)), x._data.size // x.shape[1]
    if fixed:
        middle, scale = (new_tensor(_along_channels(a, x.ndim)) for a in (mean, rstd))
        centred = x - middle
    else:
        centred = x - x.mean(axes, keepdim=True)
        scale = ((centred * centred).mean(axes, keepdim=True) + ctx.params.get("eps", 1e-5)) ** -0.5
    hat = centred * scale
    products = (g * hat).sum(axes, keepdim=True)
    to_x = None
    if needs_x:
        factor = scale if weight is None else scale * _along_channels(weight, x.ndim)
        to_x = g if fixed else g - g.mean(axes, keepdim=True) - hat * (products * (1.0 / count))
        to_x = to_x * factor
    return (
        to_x,
        products.reshape((-1,)) if needs_weight else None,
        g.sum(axes) if needs_bias else None,
    )


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> Any:
    """`(x - mean) / sqrt(variance + eps) * weight + bias`, each of a channel of x (n, c, ...).

    training: with the batch's own mean and (biased) variance; the running ones, if given, move towards them,
    and towards the unbiased variance, by `momentum`, in place. Otherwise with the running ones.
    activation: "relu" is applied to the result while it is written.
    Raises ValueError for a batch of one value a channel in training.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import tinytorch as tt
    >>> x = tt.tensor([[1.0, 5.0], [3.0, 5.0]])
    >>> tt.nn.functional.batch_norm(x, None, None, training=True)
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """
    x, weight, bias = as_tensors(normalize_batch, (input, weight, bias))
    if running_mean is None or running_var is None:
        if not training:
            raise ValueError(
                "batch_norm: expected running_mean and running_var outside of training, got None"
            )
        return normalize_batch(x, weight, bias, eps=eps, activation=activation)
    statistics, fixed = (running_mean._data, running_var._data), not training
    if training and x.ndim >= 2 and x._data.size > x.shape[1]:
        statistics = mean, variance = kernels.channel_statistics(x._data)
        count = x._data.size // x.shape[1]
        for running, now in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
            running._write(lambda data, now=now: np.add(data * (1 - momentum), momentum * now, out=data))
    return normalize_batch(
        x, weight, bias, eps=eps, statistics=statistics, fixed=fixed, activation=activation
    )


# --- over the features of each example ------------------------------------------------------------------


def _rows(s: Any) -> list[Sample]:
    return [
        Sample(s(3, 4, 5), s(5), s(5)),
        Sample(s(4, 6) + np.array(3.0), s(6), None, eps=0.1),
        Sample(s(5, 3), None, None),
        Sample(s(0, 3), s(3), s(3)),
    ]


def _naive_layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float = 1e-5, centred: bool = True
) -> Array:
    off = x - (x.mean(axis=-1, keepdims=True) if centred else 0)
    out = off / np.sqrt((off**2).mean(axis=-1, keepdims=True) + eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _rows_oracle(t: Any, x: Any, w: Any, b: Any, eps: float = 1e-5, centred: bool = True) -> Any:
    if centred:
        return t.nn.functional.layer_norm(x, x.shape[-1:], w, b, eps)
    return t.nn.functional.rms_norm(x, x.shape[-1:], w, eps)


@op(
    name="layer_norm",
    extras=True,
    saves=(0, 1),
    cost=lambda x, w, b, *, out, **_: 8 * x.size,
    samples=lambda s: [
        *_rows(s),
        Sample(s(3, 5), s(5), None, centred=False),
        Sample(s(2, 3, 4), None, None, centred=False, eps=0.2),
    ],
    refuses=lambda s: [
        Refusal((s(4, 3), s(2), None), {}, ValueError, r"layer_norm: expected a weight of shape \(3,\), got"),
        Refusal((np.ones((2, 2), np.int64), None, None), {}, TypeError, "layer_norm: expected a floating"),
    ],
    reference=_naive_layer_norm,
    oracle=_rows_oracle,
)
def normalize_last(
    x: Array, weight: Array | None, bias: Array | None, /, eps: float = 1e-5, centred: bool = True
) -> tuple[Array, Any]:
    """`(x - mean) / sqrt(variance + eps) * weight + bias` along the last axis; without the mean: RMS norm."""
    if x.dtype.kind != "f":
        raise TypeError(
            f"layer_norm: expected a floating point input, got {x.dtype}. Convert it with .float()."
        )
    size = x.shape[-1:]
    _check_affine("layer_norm", size, weight=weight, bias=bias)
    factor = _factor(x, weight)
    more = None if bias is None else bias.astype(x.dtype, copy=False)
    rows = x.reshape(math.prod(x.shape[:-1]), *size)
    out, *moments = kernels.normalize_rows(rows, factor, more, eps, centred)
    return out.reshape(x.shape), moments


@normalize_last.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    x, weight, centred = ctx[0], ctx.get(1), ctx.params.get("centred", True)
    if ctx.arrays:
        return _normalize_last_grad(ctx, g, x, weight, centred)
    needs_x, needs_weight, needs_bias = ctx.needs
    off = x - x.mean(-1, keepdim=True) if centred else x
    rstd = ((off * off).mean(-1, keepdim=True) + ctx.params.get("eps", 1e-5)) ** -0.5
    hat = off * rstd
    leading = tuple(range(x.ndim - 1))
    to_x = None
    if needs_x:
        weighted = g if weight is None else g * weight
        to_x = weighted - hat * (weighted * hat).mean(-1, keepdim=True)
        to_x = (to_x - weighted.mean(-1, keepdim=True) if centred else to_x) * rstd
    return (
        to_x,
        (g * hat).sum(leading) if needs_weight else None,
        g.sum(leading) if needs_bias else None,
    )


def _normalize_last_grad(ctx: Node, g: Array, x: Array, weight: Array | None, centred: bool) -> Any:
    mean, rstd = ctx.extras
    rows = x.reshape(len(mean), x.shape[-1])
    to_x, to_weight, to_bias = kernels.normalize_rows_grad(
        g.reshape(rows.shape), rows, mean, rstd, _factor(x, weight), centred
    )
    return to_x.reshape(x.shape), to_weight, to_bias


def _factor(x: Array, weight: Array | None) -> Array:
    """The weight of each feature of x in x's dtype."""
    return np.ones(x.shape[-1], x.dtype) if weight is None else weight.astype(x.dtype, copy=False)


def _flat(name: str, x: Any, normalized_shape: Any, *affine: Any) -> tuple[Any, list[Any]]:
    """x, weight and bias with the normalised axes as one."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"{name}: expected an input whose last dimensions are {shape}, got {x.shape}")
    for extra in affine:
        if extra is not None and extra.shape != shape:
            raise ValueError(f"{name}: expected weights of shape {shape}, got {extra.shape}")
    if len(shape) == 1:
        return x, list(affine)
    flat = x.reshape((*x.shape[: -len(shape)], math.prod(shape)))
    return flat, [None if extra is None else extra.reshape((-1,)) for extra in affine]


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """`(x - mean) / sqrt(variance + eps) * weight + bias` over the last dimensions, `normalized_shape`.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import tinytorch as tt
    >>> tt.nn.functional.layer_norm(tt.tensor([[1.0, 3.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.]])
    """
    x, weight, bias = as_tensors(normalize_last, (input, weight, bias))
    flat, affine = _flat("layer_norm", x, normalized_shape, weight, bias)
    out = normalize_last(flat, *affine, eps=eps)
    return out if flat is x else out.reshape(x.shape)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """`x / sqrt(mean(x²) + eps) * weight` over the last dimensions; eps: the dtype's own, by default.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> import tinytorch as tt
    >>> tt.nn.functional.rms_norm(tt.tensor([[3.0, 3.0]]), (2,))
    tensor([[1., 1.]])
    """
    x, weight = as_tensors(normalize_last, (input, weight))
    flat, affine = _flat("rms_norm", x, normalized_shape, weight, None)
    least = float(np.finfo(x.dtype).eps) if eps is None else eps
    out = normalize_last(flat, *affine, eps=least, centred=False)
    return out if flat is x else out.reshape(x.shape)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each example's groups of channels normalised by themselves; then weight and bias of each channel.

    input (n, c, ...), weight and bias (c,).
    Raises ValueError for a number of groups that does not divide the channels.
    Source: Wu and He, "Group normalization", 2018.

    >>> import tinytorch as tt
    >>> tt.nn.functional.group_norm(tt.tensor([[1.0, 3.0, 5.0, 5.0]]), 2, eps=1e-12)
    tensor([[-1.,  1.,  0.,  0.]])
    """
    x, weight, bias = as_tensors(normalize_last, (input, weight, bias))
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: expected an input (n, channels, ...) and groups that divide the channels, got "
            f"{x.shape} and {num_groups}"
        )
    for extra in (weight, bias):
        if extra is not None and extra.shape != x.shape[1:2]:
            raise ValueError(f"group_norm: expected weights of shape {x.shape[1:2]}, got {extra.shape}")
    rows = x.reshape((x.shape[0] * num_groups, math.prod(x.shape[1:]) // num_groups))
    out = normalize_last(rows, None, None, eps=eps).reshape(x.shape)
    out = out if weight is None else out * _along_channels(weight, x.ndim)
    return out if bias is None else out + _along_channels(bias, x.ndim)
