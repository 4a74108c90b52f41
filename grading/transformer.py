"""A GPT in NumPy: its logits, its gradients by hand and what it writes, from somebody's weights.

Nothing of the library under examination takes part in it. The names of the weights are GPT-2's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grading.networks import Weights

EPSILON = 1e-5  # of layer normalisation
BASE = 10000.0  # of rotary positions
CUBIC, SLOPE = 0.044715, math.sqrt(2 / math.pi)  # of GELU by tanh
IGNORED = -100  # a target that is not asked for
Array = np.ndarray
Back = Callable[[Array], Array]  # from the gradient to what came out to the one to what went in


@dataclass(frozen=True)
class Transformer:
    """The sizes of a GPT.

    context: tokens of an example, and how far it looks back when it writes. positions: "learned" or "rotary".
    head: whether the output layer has weights of its own; else it is the table of the embedding.
    """

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    positions: str = "rotary"
    head: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by name, in order."""
        c = self.width
        shapes: dict[str, tuple[int, ...]] = {"wte.weight": (self.vocabulary, c)}
        if self.positions == "learned":
            shapes["wpe.weight"] = (self.context, c)
        layers = {
            "ln_1": (c,), "attn.c_attn": (3 * c, c), "attn.c_proj": (c, c),
            "ln_2": (c,), "mlp.c_fc": (4 * c, c), "mlp.c_proj": (c, 4 * c),
        }  # fmt: skip
        named = {f"h.{i}.{name}": shape for i in range(self.layers) for name, shape in layers.items()}
        for name, shape in (named | {"ln_f": (c,)}).items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        if self.head:
            shapes |= {"head.weight": (self.vocabulary, c), "head.bias": (self.vocabulary,)}
        return shapes

    @property
    def parameters(self) -> int:
        """How many numbers training has to find."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def numbers(self) -> int:
        """Of an example: its tokens, of two float32 each, and every layer's result, in a block these widths:
        norm 1, queries, keys and values 3, these turned 3, attention 1, projection 1, sum 1, norm 1, hidden
        layer 4, its GELU 4, projection 1, sum 1; and from each head a number for each row of scores, never
        the row."""
        block = (21 if self.positions == "rotary" else 18) * self.width + self.heads
        return self.context * (2 + 2 * self.width + self.layers * block + self.vocabulary)

    @property
    def outputs(self) -> int:
        """Numbers in an answer."""
        return self.vocabulary

    def read(self, saved: Mapping[str, Array]) -> Weights:
        """The arrays by name, in float64; ValueError where they are not those of this model."""
        shapes, found = self.shapes, {name: array.shape for name, array in saved.items()}
        wrong = [
            f"{name} {shapes.get(name, 'not at all')}, got {found.get(name, 'none')}"
            for name in sorted(shapes.keys() | found.keys())
            if shapes.get(name) != found.get(name)
        ]
        if wrong:
            raise ValueError(f"expected {'; '.join(wrong[:3])}{' …' * (len(wrong) > 3)}")
        return [{name: saved[name].astype(np.float64) for name in shapes}]

    def prepared(self, x: Array) -> Array:
        """Tokens (n, t), as the model wants them."""
        return x.astype(np.int64)

    def answer(self, weights: Weights, x: Array, *, dtype: Any = np.float32) -> Array:
        """The logits of the token after each, (n, t, vocabulary)."""
        return _Pass(self, weights, dtype).logits(x)[0]

    def attention(self, weights: Weights, x: Array) -> list[Array]:
        """For each block, how much each token looks at each: (n, heads, t, t)."""
        going = _Pass(self, weights, np.float64)
        going.logits(x)
        return going.maps

    def gradients(self, weights: Weights, x: Array, y: Array, smoothing: float = 0.0) -> Weights:
        """Of the mean cross-entropy of the tokens that follow, (n, t): by name, in the order of `shapes`."""
        assert not smoothing
        going = _Pass(self, weights, np.float64)
        z, back = going.logits(x)
        asked = y != IGNORED
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        p[(*np.nonzero(asked), y[asked])] -= 1
        back(p * asked[..., None] / asked.sum())
        return [{name: going.gradients[name] for name in self.shapes}]

    def write(self, weights: Weights, prompt: Array, count: int, temperature: float, seed: int) -> Array:
        """Continue a prompt (n, t) by `count` tokens; keys and values of what was read are kept.

        When the context is full, it goes on with the second half of it.
        """
        rng, going, tokens = np.random.default_rng(seed), _Pass(self, weights, np.float32), prompt
        new = prompt
        for _ in range(count):
            if going.read + new.shape[1] > self.context:
                going.forget()
                new = tokens[:, -(self.context // 2) :]
            z = going.logits(new)[0][:, -1].astype(np.float64) / temperature
            sums = np.exp(z - z.max(1, keepdims=True)).cumsum(1)
            new = (sums <= rng.random((len(z), 1)) * sums[:, -1:]).sum(1, keepdims=True)
            tokens = np.concatenate([tokens, new], axis=1)
        return tokens


class _Pass:
    """One way through the model. Each layer gives its result, and the way back through it, which notes the
    gradients of its weights. What is read later looks back at what was read before, until `forget`."""

    def __init__(self, model: Transformer, weights: Weights, dtype: Any):
        self.model = model
        self.weights = {name: array.astype(dtype) for name, array in weights[0].items()}
        self.gradients: dict[str, Array] = {}
        self.forget()

    def forget(self) -> None:
        """Begin at the first position again."""
        self.read = 0
        self.past: list[list[Array]] = [[] for _ in range(self.model.layers)]

    def logits(self, tokens: Array) -> tuple[Array, Callable[[Array], None]]:
        """Of tokens (n, t) that follow those read before: (n, t, vocabulary)."""
        table, learned = self.weights["wte.weight"], self.weights.get("wpe.weight")
        places = slice(self.read, self.read + tokens.shape[1])
        x = table[tokens] if learned is None else table[tokens] + learned[places]
        self.maps: list[Array] = []
        backs = []
        for i in range(self.model.layers):
            x, back = self._block(i, x)
            backs.append(back)
        self.read = places.stop
        x, last = self._norm("ln_f", x)
        if self.model.head:
            result, out = self._linear("head", x)
        else:
            result, out = x @ table.T, lambda dz: dz @ table

        def back(dz: Array) -> None:
            dx = last(out(dz))
            for block in reversed(backs):
                dx = block(dx)
            # Without a head the table is the output layer too.
            gradient = np.zeros_like(table) if self.model.head else _rows(dz).T @ _rows(x)
            np.add.at(gradient, tokens.ravel(), _rows(dx))
            self.gradients["wte.weight"] = gradient
            if learned is not None:
                self.gradients["wpe.weight"] = np.pad(dx.sum(0), ((0, len(learned) - dx.shape[1]), (0, 0)))

        return result, back

    def _block(self, i: int, x: Array) -> tuple[Array, Back]:
        """`x + attention(norm(x))`, then `x + mlp(norm(x))`."""
        ways: list[list[Back]] = []
        for norm, first, between, second in (
            ("ln_1", "attn.c_attn", lambda a: self._attention(i, a), "attn.c_proj"),
            ("ln_2", "mlp.c_fc", _gelu, "mlp.c_proj"),
        ):
            a, through_norm = self._norm(f"h.{i}.{norm}", x)
            a, through_first = self._linear(f"h.{i}.{first}", a)
            a, through_between = between(a)
            a, through_second = self._linear(f"h.{i}.{second}", a)
            x = x + a
            ways.append([through_second, through_between, through_first, through_norm])

        def back(dx: Array) -> Array:
            for way in reversed(ways):
                dx = dx + functools.reduce(lambda inner, step: step(inner), way, dx)
            return dx

        return x, back

    def _linear(self, name: str, x: Array) -> tuple[Array, Back]:
        weight = self.weights[f"{name}.weight"]

        def back(dz: Array) -> Array:
            self._note(name, _rows(dz).T @ _rows(x), dz)
            return dz @ weight

        return x @ weight.T + self.weights[f"{name}.bias"], back

    def _norm(self, name: str, x: Array) -> tuple[Array, Back]:
        weight = self.weights[f"{name}.weight"]
        centred = x - x.mean(-1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        hat = centred * scale

        def back(dz: Array) -> Array:
            self._note(name, _rows(dz * hat).sum(0), dz)
            dz = dz * weight
            return scale * (dz - dz.mean(-1, keepdims=True) - hat * (dz * hat).mean(-1, keepdims=True))

        return hat * weight + self.weights[f"{name}.bias"], back

    def _attention(self, i: int, qkv: Array) -> tuple[Array, Back]:
        """softmax(q k^T / sqrt(d)) v of each head, over the tokens up to each."""
        n, t, c = *qkv.shape[:2], self.model.width
        d = c // self.model.heads
        q, k, v = qkv.reshape(n, t, 3, -1, d).transpose(2, 0, 3, 1, 4)  # (n, heads, t, d)
        q, k = (self._turned(a, 1) for a in (q, k))
        if self.past[i]:
            k, v = (np.concatenate(pair, axis=2) for pair in zip(self.past[i], (k, v), strict=True))
        self.past[i] = [k, v]
        scores = q @ k.swapaxes(2, 3) / np.asarray(math.sqrt(d), q.dtype)
        scores[..., ~np.tri(t, k.shape[2], self.read, dtype=bool)] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        self.maps.append(p)

        def back(dz: Array) -> Array:
            dz = dz.reshape(n, t, -1, d).swapaxes(1, 2)
            dp = dz @ v.swapaxes(2, 3)
            ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / math.sqrt(d)
            dq, dk = self._turned(ds @ k, -1), self._turned(ds.swapaxes(2, 3) @ q, -1)
            return np.stack([dq, dk, p.swapaxes(2, 3) @ dz]).transpose(1, 3, 0, 2, 4).reshape(n, t, 3 * c)

        return (p @ v).swapaxes(1, 2).reshape(n, t, c), back

    def _turned(self, x: Array, direction: int) -> Array:
        """Pairs (i, i + d / 2) of x (n, heads, t, d), turned by their place: Su et al., "RoFormer", 2021."""
        if self.model.positions != "rotary":
            return x
        half = x.shape[-1] // 2
        start = self.read if direction > 0 else 0  # the way back is for what was read all at once
        places = np.arange(start, start + x.shape[2])[:, None]
        angles = direction * places * BASE ** (-np.arange(half) / half)
        cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
        one, other = x[..., :half], x[..., half:]
        return np.concatenate([one * cos - other * sin, other * cos + one * sin], axis=-1)

    def _note(self, name: str, weight: Array, dz: Array) -> None:
        self.gradients[f"{name}.weight"], self.gradients[f"{name}.bias"] = weight, _rows(dz).sum(0)


def _gelu(x: Array) -> tuple[Array, Back]:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2."""
    th = np.tanh(SLOPE * (x + CUBIC * x * x * x))
    slope = (1 + th + x * (1 - th * th) * SLOPE * (1 + 3 * CUBIC * x * x)) / 2
    return x * (1 + th) / 2, lambda dz: dz * slope


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
