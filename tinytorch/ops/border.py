"""Borders made of what is inside: reflected, replicated, or taken from the other end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinytorch.autograd.registry import Node, Refusal, Sample, op
from tinytorch.kernels import memory
from tinytorch.ops.common import Array
from tinytorch.ops.join import pad

# What np.pad calls each mode.
_NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _strips(shape: tuple[int, ...], padding: tuple[int, ...], mode: str) -> Iterator[tuple[int, Any, Any]]:
    """The borders of an array that has been padded to `shape`, last axis first: the axis, counted from the
    end, where the border is, and where the entries are that it repeats; both as (start, stop).
    """
    for axis, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True), 1):
        first, last = before, shape[-axis] - after
        if mode == "reflect":  # without the outermost entry, and backwards
            sources = (first + 1, first + 1 + before), (last - 1 - after, last - 1)
        elif mode == "replicate":
            sources = (first, first + 1), (last - 1, last)
        else:
            sources = (last - before, last), (first, first + after)
        yield -axis, (0, before), sources[0]
        yield -axis, (last, last + after), sources[1]


def _part(a: Array, axis: int, span: tuple[int, int], backwards: bool = False) -> Array:
    """A view of the entries `span` along `axis`, which is negative."""
    part = a[(..., slice(*span), *(slice(None),) * (-axis - 1))]
    return np.flip(part, axis) if backwards else part


def _inside(shape: tuple[int, ...], padding: tuple[int, ...]) -> tuple[Any, ...]:
    """Where the entries themselves are in an array that has been padded to `shape`."""
    spans = zip(shape[::-1], padding[::2], padding[1::2], strict=False)
    return (..., *[slice(before, n - after) for n, before, after in spans][::-1])


def _check(x: Array, padding: tuple[int, ...], mode: str) -> None:
    axes = len(padding) // 2
    if len(padding) % 2 or not 1 <= axes <= 3 or x.ndim - axes not in (1, 2):
        raise ValueError(
            f"pad: with mode {mode!r}, expected two numbers for each of the last 1 to 3 axes, and one or two "
            f"axes before them, got {padding} for shape {x.shape}"
        )
    for i in range(axes):
        n, border = x.shape[-1 - i], max(padding[2 * i : 2 * i + 2])
        most = {"reflect": max(n - 1, 0), "replicate": border if n else 0, "circular": n}[mode]
        if border > most:
            raise ValueError(
                f"pad: expected a border of at most {most} for an axis of length {n} with mode {mode!r}, got "
                f"{border}"
            )


def _samples() -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """(shape, parameters)."""
    return [
        ((2, 5), {"padding": (2, 3), "mode": "reflect"}),
        ((2, 3, 4), {"padding": (0, 3, 2, 1), "mode": "reflect"}),
        ((2, 2, 2, 3, 4), {"padding": (1, 0, 2, 1, 1, 1), "mode": "reflect"}),
        ((2, 3, 2), {"padding": (3, 2), "mode": "replicate"}),
        ((1, 2, 3, 1), {"padding": (2, 2, 0, 3), "mode": "replicate"}),
        ((2, 2, 3, 2), {"padding": (1, 2, 0, 0, 3, 1), "mode": "replicate"}),
        ((2, 4), {"padding": (4, 1), "mode": "circular"}),
        ((2, 2, 3, 4), {"padding": (0, 2, 3, 1), "mode": "circular"}),
        ((0, 2, 3, 4), {"padding": (1, 1, 1, 1), "mode": "reflect"}),
    ]


def _naive(x: Array, padding: tuple[int, ...], mode: str) -> Array:
    sides = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)][::-1]
    return np.pad(x, [(0, 0)] * (x.ndim - len(sides)) + sides, mode=_NUMPY[mode])  # pyright: ignore


def _naive_grad(g: Array, padding: tuple[int, ...], mode: str) -> Array:
    """Each g added to the entry that the border, or the entry itself, was copied from."""
    shape = g[_inside(g.shape, padding)].shape
    places = _naive(np.arange(np.prod(shape, dtype=int)).reshape(shape), padding, mode)
    out = np.zeros(shape, g.dtype)
    np.add.at(out.reshape(-1), places.reshape(-1), g.reshape(-1))
    return out


@op(
    samples=lambda s: [Sample(s(*shape), **options) for shape, options in _samples()],
    refuses=lambda s: [
        Refusal(
            (s(2, 3),), {"padding": (3, 0), "mode": "reflect"}, ValueError,
            "pad: expected a border of at most 2 for an axis of length 3 with mode 'reflect', got 3",
        ),
        Refusal((s(2, 3),), {"padding": (0, 4), "mode": "circular"}, ValueError, "at most 3 .* got 4"),
        Refusal((s(2, 0),), {"padding": (1, 0), "mode": "replicate"}, ValueError, "at most 0 .* got 1"),
        Refusal(
            (s(2, 3),), {"padding": (1,), "mode": "reflect"}, ValueError,
            r"pad: .* expected two numbers for each .* got \(1,\) for shape \(2, 3\)",
        ),
        Refusal((s(3),), {"padding": (1, 1), "mode": "replicate"}, ValueError, "one or two axes before them"),
        Refusal((s(2, 3),), {"padding": (), "mode": "circular"}, ValueError, r"to 3 axes, .* got \(\)"),
    ],
    reference=_naive,
    oracle=lambda t, x, padding, mode: t.nn.functional.pad(x, padding, mode),
)  # fmt: skip
def border(x: Array, /, padding: tuple[int, ...], mode: str) -> Array:
    """`x` with a border made of its own entries; `padding` holds (before, after), last axis first, none
    negative. See `extend`.
    """
    _check(x, padding, mode)
    grown = [(padding[i] + padding[i + 1]) for i in range(0, len(padding), 2)][::-1]
    lead = x.ndim - len(grown)
    shape = (*x.shape[:lead], *(n + more for n, more in zip(x.shape[lead:], grown, strict=True)))
    out = memory.empty(shape, x.dtype)
    out[_inside(shape, padding)] = x
    for axis, strip, source in _strips(shape, padding, mode):
        _part(out, axis, strip)[...] = _part(out, axis, source, mode == "reflect")
    return out


@border.gradient(arrays=True)
def _(ctx: Node, g: Any) -> Any:
    return border_grad(g, **ctx.params)


@op(
    cost=lambda g, *, out, **_: g.size - out.size,
    samples=lambda s: [
        Sample(s(*_naive(s(*shape), **options).shape), **options) for shape, options in _samples()
    ],
    reference=_naive_grad,
)
def border_grad(g: Array, /, padding: tuple[int, ...], mode: str) -> Array:
    """The gradient of `border`: every part of the border added to the entries that it repeats."""
    whole = memory.empty(g.shape, g.dtype)
    whole[...] = g
    for axis, strip, source in reversed(list(_strips(g.shape, padding, mode))):
        more = _part(whole, axis, strip)
        part = _part(whole, axis, source, mode == "reflect")
        part += more.sum(axis, keepdims=True) if mode == "replicate" else more
    return whole[_inside(g.shape, padding)].copy()


@border_grad.gradient(arrays=True)
def _(ctx: Node, h: Any) -> Any:
    return border(h, **ctx.params)


def extend(x: Any, padding: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Any:
    """`x` with a border of one of four kinds; see `nn.functional.pad`.

    >>> import tinytorch as tt
    >>> extend(tt.tensor([[1.0, 2.0, 3.0]]), (2, 1), "reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    if mode == "constant":
        return pad(x, padding=padding, value=0.0 if value is None else value)
    if mode not in _NUMPY:
        raise ValueError(f"pad: expected mode 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise ValueError(f"pad: expected a value with mode 'constant' only, got {value} with mode {mode!r}")
    more, less = (tuple(limit(n, 0) for n in padding) for limit in (max, min))
    if not any(less):
        return border(x, padding=padding, mode=mode)
    if mode == "circular":  # goes round what is left, where the others repeat what is cut off
        return border(pad(x, padding=less), padding=more, mode=mode)
    return pad(border(x, padding=more, mode=mode), padding=less)
