"""12 Embeddings: a vector for each token, and one for each place."""

from __future__ import annotations

import math

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds, refuses
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

TABLE, TOKENS = naive.numbers(7, 4), np.array([[0, 6, 3], [3, 3, 1]])


def embedding(lib: Names):
    layer = lib.Embedding(7, 4)
    got = numbers(layer.weight).shape
    holds(
        got == (7, 4),
        f"Embedding(7, 4).weight: expected the shape (7, 4), got {got}",
        "A row for each token.",
    )
    layer.weight.data[...] = TABLE
    return layer


def test_a_token_is_a_row(lib: Names):
    expected = [[TABLE[token] for token in row] for row in TOKENS]
    close("Embedding(7, 4)(tokens)", embedding(lib)(lib.tensor(TOKENS)), expected, "weight[tokens].", 1e-4)


def test_gradients_go_to_the_rows_that_were_used(lib: Names):
    layer, up = embedding(lib), naive.numbers(2, 3, 4)
    (layer(lib.tensor(TOKENS)) * lib.tensor(up)).sum().backward()
    expected = np.zeros((7, 4))
    for place in np.ndindex(2, 3):
        expected[TOKENS[place]] += up[place]
    look = "Token 3 occurs three times: its row collects all three. `grad[tokens] += g` keeps one of them."
    close("gradient of the table", gradient("table", layer.weight, look), expected, look, 1e-4)


def test_rows_start_different(lib: Names):
    lib.seed()
    rows = numbers(lib.Embedding(50, 8).weight)
    holds(len({row.tobytes() for row in rows}) == 50, "rows of a new table: expected 50 different ones, got "
          f"{len({row.tobytes() for row in rows})}", "Draw them at random.")  # fmt: skip


def test_the_table_is_a_parameter(lib: Names):
    got = [numbers(parameter).shape for parameter in lib.Embedding(7, 4).parameters()]
    holds(got == [(7, 4)], f"Embedding(7, 4).parameters(): expected one of shape (7, 4), got {got}",
          "It is learned.")  # fmt: skip


def test_tokens_that_there_are_not_are_refused(lib: Names):
    layer = embedding(lib)
    refuses("token 7 of 7", lambda: layer(lib.tensor(np.array([[7]]))), "Tokens are 0 to 6.")


def test_sines_and_cosines_tell_places_apart(lib: Names):
    x = naive.numbers(2, 5, 6)
    table = np.zeros((5, 6))
    for t in range(5):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            table[t, 2 * i], table[t, 2 * i + 1] = math.sin(angle), math.cos(angle)
    close("SinusoidalPositionalEncoding(6)(x)", lib.SinusoidalPositionalEncoding(6)(lib.tensor(x)), x + table,
          "sin at even columns, cos at odd ones, of t / 10000^(2i / dim); added to x.", 1e-4)  # fmt: skip


def test_learned_places_are_added(lib: Names):
    layer, x, places = lib.LearnedPositionalEmbedding(4, 8), naive.numbers(2, 5, 4), naive.numbers(8, 4)
    layer.weight.data[...] = places
    close("LearnedPositionalEmbedding(4, 8)(x)", layer(lib.tensor(x)), x + places[:5],
          "The first t rows, for every example.", 1e-4)  # fmt: skip


def test_learned_places_have_gradients(lib: Names):
    layer, up = lib.LearnedPositionalEmbedding(4, 8), naive.numbers(2, 5, 4)
    (layer(lib.tensor(naive.numbers(2, 5, 4, seed=1))) * lib.tensor(up)).sum().backward()
    expected = np.zeros((8, 4))
    expected[:5] = up.sum(0)
    look = "Summed over the examples; zero for places that were not there."
    close("gradient of the places", gradient("places", layer.weight, look), expected, look, 1e-4)
