"""Networks in NumPy, described by their layers: answers, and gradients by hand, from somebody's weights.

Nothing of the library under examination takes part in it: a wrong forward pass and a wrong gradient both show
as a difference from what is computed here.

A layer is a word, with numbers where it has some: `linear 64`, `conv 32` (3 × 3 with a border of one pixel;
`conv 32 plain` has no bias), `norm` (of a batch), `relu`, `pool` (maxima of 2 × 2), `largest` (of each
channel), `flatten`. A list of layers is a residual block: what they give is added to what they got.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

EPSILON = 1e-5  # of batch normalisation
Array = np.ndarray
Weights = list[dict[str, Array]]  # of each layer that has some, in order


@dataclass(frozen=True, eq=False)
class Network:
    """A network's layers, for inputs of shape `inputs`.

    mean, std: what inputs from 0 to 1 are normalised with, a number for each channel.
    """

    inputs: tuple[int, ...]
    layers: list[Any]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __str__(self) -> str:
        return f"the layers {self.layers}"

    # --- its size, counted from the description ---------------------------------------------------------

    def _walk(
        self, layers: list[Any], shape: tuple[int, ...]
    ) -> Iterator[tuple[str, dict[str, tuple], tuple]]:
        """Each layer's kind, the shapes of its parameters and that of its result, blocks unfolded."""
        for layer in layers:
            if isinstance(layer, list):
                inner = list(self._walk(layer, shape))
                yield from inner
                shape = inner[-1][2]
                continue
            kind, *options = layer.split()
            wanted: dict[str, tuple] = {}
            if kind == "linear":
                wanted = {"weight": (int(options[0]), *shape), "bias": (int(options[0]),)}
                shape = (int(options[0]),)
            elif kind == "conv":
                wanted = {"weight": (int(options[0]), shape[0], 3, 3), "bias": (int(options[0]),)}
                if "plain" in options:
                    del wanted["bias"]
                shape = (int(options[0]), *shape[1:])
            elif kind == "norm":
                wanted = {"weight": shape[:1], "bias": shape[:1]}
            elif kind == "pool":
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
            elif kind in ("flatten", "largest"):
                shape = (math.prod(shape),) if kind == "flatten" else shape[:1]
            yield kind, wanted, shape

    @property
    def shapes(self) -> list[dict[str, tuple]]:
        """Shapes of weight and bias of every layer that has some."""
        return [wanted for _, wanted, _ in self._walk(self.layers, self.inputs) if wanted]

    @property
    def parameters(self) -> int:
        """How many numbers training has to find."""
        return sum(math.prod(shape) for wanted in self.shapes for shape in wanted.values())

    @property
    def numbers(self) -> int:
        """Of an example: its inputs, and every layer's result. That of a ReLU takes the place of what it got,
        and what is flattened is the same numbers again."""
        walked = self._walk(self.layers, self.inputs)
        sizes = [math.prod(shape) for kind, _, shape in walked if kind not in ("relu", "flatten")]
        return math.prod(self.inputs) + sum(sizes)

    @property
    def outputs(self) -> int:
        """Numbers in an answer."""
        return list(self._walk(self.layers, self.inputs))[-1][2][0]

    # --- somebody's weights -----------------------------------------------------------------------------

    def read(self, saved: Mapping[str, Array]) -> Weights:
        """The arrays of each layer, in float64; ValueError where they are not those of this network."""
        groups: dict[str, dict[str, Array]] = {}
        for name in sorted(saved, key=_natural):
            layer, _, what = name.rpartition(".")
            if what != "num_batches_tracked":
                groups.setdefault(layer, {})[what] = saved[name].astype(np.float64)
        wanted = self.shapes
        kinds = [kind for kind, shapes, _ in self._walk(self.layers, self.inputs) if shapes]
        found = [
            {what: group[what].shape for what in ("weight", "bias") if what in group}
            for group in groups.values()
        ]
        if found != wanted:
            raise ValueError(
                f"expected weights of shapes {_brief(wanted)}, got {_brief(found) or 'none at all'}"
            )
        for kind, (layer, group) in zip(kinds, groups.items(), strict=True):
            if kind == "norm" and not {"running_mean", "running_var"} <= group.keys():
                raise ValueError(f"expected a running_mean and a running_var beside {layer}.weight, got none")
        return list(groups.values())

    # --- what it answers, and its gradients -------------------------------------------------------------

    def prepared(self, x: Array) -> Array:
        """Inputs from 0 to 1, (n, ...), as the network wants them."""
        x = x.reshape(len(x), *self.inputs)
        shape = (-1, *[1] * (x.ndim - 2)) if len(self.mean) > 1 else (1,)
        mean, std = (np.array(values, x.dtype).reshape(shape) for values in (self.mean, self.std))
        return (x - mean) / std

    def answer(self, weights: Weights, x: Array, *, relu: bool = True) -> Array:
        """What comes out for prepared inputs, before any sigmoid or softmax; `relu=False` leaves ReLU out."""
        out, _ = _forward(self.layers, iter(weights), x, training=False, relu=relu)
        return out

    def gradients(self, weights: Weights, x: Array, y: Array, smoothing: float = 0.0) -> Weights:
        """Of the mean cross-entropy of prepared inputs, in training: for each layer, in order.

        With p the sigmoid, or the softmax, of the output, the loss's gradient to it is (p - y) / n; from
        there each layer hands on the gradient to its input, and keeps that to its weights.
        Source: Rumelhart, Hinton, Williams, 1986. smoothing: the part of y that is spread over all classes.
        """
        z, kept = _forward(self.layers, iter(weights), x.astype(np.float64), training=True, relu=True)
        if z.shape[1] == 1:
            dz = 1 / (1 + np.exp(-z)) - y.reshape(-1, 1)
        else:
            p = np.exp(z - z.max(1, keepdims=True))
            dz = (
                p / p.sum(1, keepdims=True) - (1 - smoothing) * np.eye(z.shape[1])[y] - smoothing / z.shape[1]
            )
        found: Weights = []
        _backward(kept, dz / len(x), found)
        return found[::-1]


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts layers.10 behind layers.2."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _brief(shapes: list[dict[str, tuple]]) -> str:
    return ", ".join(" + ".join(map(str, shape.values())) for shape in shapes)


def _forward(
    layers: list[Any], weights: Iterator[dict[str, Array]], x: Array, *, training: bool, relu: bool
) -> Any:
    """The result, and for each layer what its way back needs."""
    kept: list[Any] = []
    for layer in layers:
        if isinstance(layer, list):
            inner, inside = _forward(layer, weights, x, training=training, relu=relu)
            kept.append(("block", inside))
            x = x + inner
            continue
        kind = layer.split()[0]
        own = next(weights) if kind in ("linear", "conv", "norm") else {}
        own = {what: array.astype(x.dtype) for what, array in own.items()}
        before, extra = x, None
        if kind == "linear":
            x = x @ own["weight"].T + own["bias"]
        elif kind == "conv":
            x = np.tensordot(_windows(x), own["weight"], axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
            x = x + _each_channel(own.get("bias", np.zeros(1, x.dtype)))
        elif kind == "norm":
            mean, var = (
                (x.mean((0, 2, 3)), x.var((0, 2, 3)))
                if training
                else (own["running_mean"], own["running_var"])
            )
            extra = 1 / np.sqrt(var + EPSILON), mean
            x = (x - _each_channel(mean)) * _each_channel(extra[0] * own["weight"]) + _each_channel(
                own["bias"]
            )
        elif kind == "relu":
            x = np.maximum(x, 0) if relu else x
        elif kind == "pool":
            upper, lower = x[:, :, ::2], x[:, :, 1::2]
            higher = np.maximum(upper, lower)
            x = np.maximum(higher[..., ::2], higher[..., 1::2])
        elif kind == "largest":
            x = x.max((2, 3))
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            raise ValueError(f"a layer of the kind {kind!r} is not known here")
        kept.append((kind, before, own, extra))
    return x, kept


def _backward(kept: list[Any], dz: Array, found: Weights) -> Array:
    """The gradient to what went in; those to weights are added to `found`, the last layer's first."""
    for kind, *rest in reversed(kept):
        if kind == "block":
            dz = dz + _backward(rest[0], dz, found)
            continue
        x, own, extra = rest
        if kind == "linear":
            found.append({"weight": dz.T @ x, "bias": dz.sum(0)})
            dz = dz @ own["weight"]
        elif kind == "conv":
            gradient = np.tensordot(dz, _windows(x), axes=([0, 2, 3], [0, 2, 3]))
            found.append({"weight": gradient} | ({"bias": dz.sum((0, 2, 3))} if "bias" in own else {}))
            turned = own["weight"][:, :, ::-1, ::-1]
            dz = np.tensordot(_windows(dz), turned, axes=([1, 4, 5], [0, 2, 3])).transpose(0, 3, 1, 2)
        elif kind == "norm":
            scale, mean = extra
            hat = (x - _each_channel(mean)) * _each_channel(scale)
            found.append({"weight": (dz * hat).sum((0, 2, 3)), "bias": dz.sum((0, 2, 3))})
            inner = dz - _each_channel(dz.mean((0, 2, 3))) - hat * _each_channel((dz * hat).mean((0, 2, 3)))
            dz = inner * _each_channel(scale * own["weight"])
        elif kind == "relu":
            dz = dz * (x > 0)
        elif kind == "pool":
            n, c, h, w = x.shape
            quarters = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
            first = quarters.argmax(-1)[..., None] == np.arange(4)
            dz = (dz[..., None] * first).reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(x.shape)
        elif kind == "largest":
            flat = x.reshape(*x.shape[:2], -1)
            first = flat.argmax(-1)[..., None] == np.arange(flat.shape[-1])
            dz = (dz[..., None] * first).reshape(x.shape)
        elif kind == "flatten":
            dz = dz.reshape(x.shape)
    return dz


def _windows(x: Array) -> Array:
    """(n, c, h, w) -> (n, c, h, w, 3, 3): around every pixel, zeros beyond the edge."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))


def _each_channel(values: Array) -> Array:
    return values.reshape(-1, 1, 1)
