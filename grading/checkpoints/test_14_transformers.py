"""14 Transformers: LayerNorm, and the block that a GPT is a stack of.

The block is put together here, of an implementation's own parts: x + attention(norm(x)), x + mlp(norm(x)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

WIDTH, HEADS, CONTEXT = 8, 2, 6
X = naive.numbers(2, CONTEXT, WIDTH)


class Block:
    """As in GPT-2: normalised before, so that the sum itself goes through."""

    def __init__(self, lib: Names):
        self.norms = lib.LayerNorm(WIDTH), lib.LayerNorm(WIDTH)
        self.attention = lib.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.up, self.down = lib.Linear(WIDTH, 4 * WIDTH), lib.Linear(4 * WIDTH, WIDTH)
        self.gelu = lib.GELU(approximate="tanh")
        parts = [*self.norms, self.attention, self.up, self.down]
        self.parameters = [parameter for part in parts for parameter in part.parameters()]

    def __call__(self, x: Any) -> Any:
        normal = self.norms[0](x)
        x = x + self.attention(normal, normal, normal, need_weights=False, is_causal=True)[0]
        return x + self.down(self.gelu(self.up(self.norms[1](x))))

    def by_hand(self, x: np.ndarray) -> np.ndarray:
        first, second = ([numbers(n.weight), numbers(n.bias)] for n in self.norms)
        a, up, down = self.attention, self.up, self.down
        given = [numbers(p) for p in (a.in_proj_weight, a.in_proj_bias, a.out_proj.weight, a.out_proj.bias)]
        x = x + naive.attention(naive.layer_norm(x, *first), *given, heads=HEADS, causal=True)
        inner = naive.layer_norm(x, *second) @ numbers(up.weight).T + numbers(up.bias)
        inner = np.vectorize(naive.gelu)(inner)
        return x + inner @ numbers(down.weight).T + numbers(down.bias)


class Reader:
    """Embeddings of tokens and places, a block, and a head: the smallest GPT."""

    def __init__(self, lib: Names, tokens: int):
        self.lib, self.block = lib, Block(lib)
        self.tokens, self.places = lib.Embedding(tokens, WIDTH), lib.Embedding(CONTEXT, WIDTH)
        self.norm, self.head = lib.LayerNorm(WIDTH), lib.Linear(WIDTH, tokens)
        parts = [self.tokens, self.places, self.norm, self.head]
        self.parameters = [*self.block.parameters, *(p for part in parts for p in part.parameters())]

    def __call__(self, tokens: np.ndarray) -> Any:
        places = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape).copy()
        x = self.tokens(self.lib.tensor(tokens)) + self.places(self.lib.tensor(places))
        return self.head(self.norm(self.block(x)))


def test_a_norm_gives_each_token_mean_zero_and_variance_one(lib: Names):
    found = numbers(lib.LayerNorm(WIDTH)(lib.tensor(X * 3 + 5)))
    close(
        "means of a new LayerNorm's output",
        found.mean(-1),
        np.zeros((2, CONTEXT)),
        "Over the last axis.",
        1e-4,
    )
    close("variances", (found**2).mean(-1), np.ones((2, CONTEXT)), "weight starts at 1, bias at 0.", 1e-3)


def test_a_norm_scales_and_shifts(lib: Names):
    layer, weight, bias = lib.LayerNorm(WIDTH), naive.numbers(WIDTH), naive.numbers(WIDTH, seed=1)
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    close("LayerNorm(8)(x)", layer(lib.tensor(X)), naive.layer_norm(X, weight, bias),
          "The variance divides by n, and eps = 1e-5 stands under the root.", 1e-4)  # fmt: skip


def test_a_norm_survives_equal_numbers(lib: Names):
    found = lib.LayerNorm(WIDTH)(lib.tensor(np.full((1, 1, WIDTH), 3.0)))
    close("LayerNorm of equal numbers", found, np.zeros((1, 1, WIDTH)), "eps keeps the root from 0.", 1e-4)


def test_gradients_of_a_norm(lib: Names):
    layer, weight, bias = lib.LayerNorm(WIDTH), naive.numbers(WIDTH), naive.numbers(WIDTH, seed=1)
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    x, up = lib.tensor(X, learn=True), naive.numbers(2, CONTEXT, WIDTH, seed=2)
    (layer(x) * lib.tensor(up)).sum().backward()
    arrays = [X, weight, bias]
    for i, (name, tensor) in enumerate({"input": x, "weight": layer.weight, "bias": layer.bias}.items()):

        def by(array: np.ndarray, i: int = i) -> float:
            return float((naive.layer_norm(*arrays[:i], array, *arrays[i + 1 :]) * up).sum())

        look = "Mean and variance depend on every element of the row."
        close(f"gradient of a norm by its {name}", gradient(name, tensor, look), naive.slopes(by, arrays[i]),
              look, 1e-4)  # fmt: skip


def test_a_block_is_the_sum_of_its_parts(lib: Names):
    lib.seed()
    block = Block(lib)
    close("a block's output", block(lib.tensor(X)), block.by_hand(X), "Try checkpoints 02, 04 and 13.", 1e-3)


def test_the_future_is_hidden_from_two_blocks(lib: Names):
    lib.seed()
    first, second, other = Block(lib), Block(lib), X.copy()
    other[:, 4:] += 1.0
    seen, changed = (numbers(second(first(lib.tensor(x)))) for x in (X, other))
    close(
        "answers at places 0 to 3 after a change at 4", changed[:, :4], seen[:, :4], "is_causal=True.", 1e-5
    )
    holds(
        not np.allclose(changed[:, 4:], seen[:, 4:]),
        "answers from place 4 on: expected others, got the same",
        "Does attention reach the output?",
    )


def test_every_parameter_has_a_gradient(lib: Names):
    reader = Reader(lib, 5)
    logits = reader(np.arange(CONTEXT)[None] % 5).reshape(CONTEXT, 5)
    lib.CrossEntropyLoss()(logits, lib.tensor(np.arange(CONTEXT) % 5)).backward()
    for i, parameter in enumerate(reader.parameters):
        found = gradient(f"parameter {i} of {len(reader.parameters)}", parameter, "Where is the graph cut?")
        shape = numbers(parameter).shape
        holds(
            found.shape == shape, f"a gradient: expected the shape {shape}, got {found.shape}", "As its own."
        )


def test_it_learns_to_say_what_came_two_tokens_ago(lib: Names):
    lib.seed()
    reader, criterion = Reader(lib, 4), lib.CrossEntropyLoss()
    optimizer = lib.Adam(reader.parameters, lr=0.01)
    tokens = np.random.default_rng(0).integers(0, 4, (32, CONTEXT))
    targets = np.roll(tokens, 2, axis=1)
    targets[:, :2] = tokens[:, :2]
    loss = None
    for _ in range(150):
        optimizer.zero_grad()
        loss = criterion(reader(tokens).reshape(32 * CONTEXT, 4), lib.tensor(targets.ravel()))
        loss.backward()
        optimizer.step()
    got = float(numbers(loss).item())
    holds(got < 0.5, f"loss after 150 steps: expected less than 0.5 (1.39 is guessing), got {got:.2f}",
          "It needs places, attention to the past, and gradients of all of it.")  # fmt: skip
