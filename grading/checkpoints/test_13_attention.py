"""13 Attention: MultiheadAttention, with the future hidden."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

N, T, WIDTH = 2, 5, 8
X = naive.numbers(N, T, WIDTH)
GIVEN = (naive.numbers(24, 8) / 2, naive.numbers(24) / 2, naive.numbers(8, 8), naive.numbers(8))
PARTS = "in_proj_weight has the rows of queries, keys and values, in this order, each (width, width)."


def layer(lib: Names, heads: int) -> tuple[Any, list[Any]]:
    """Attention with the weights of `GIVEN`, and its four parameters."""
    made = lib.MultiheadAttention(WIDTH, heads, batch_first=True)
    parameters = [made.in_proj_weight, made.in_proj_bias, made.out_proj.weight, made.out_proj.bias]
    for parameter, values in zip(parameters, GIVEN, strict=True):
        got = numbers(parameter).shape
        holds(got == values.shape, f"a parameter of MultiheadAttention(8, {heads}): expected the shape "
              f"{values.shape}, got {got}", PARTS)  # fmt: skip
        parameter.data[...] = values
    return made, parameters


def attend(lib: Names, x: np.ndarray = X, *, heads: int = 2, causal: bool = False) -> np.ndarray:
    made, given = layer(lib, heads)[0], lib.tensor(x)
    return numbers(made(given, given, given, need_weights=False, is_causal=causal)[0])


def test_one_head(lib: Names):
    expected = naive.attention(X, *GIVEN, heads=1, causal=False)
    close("attention with one head", attend(lib, heads=1), expected,
          f"softmax(q @ k.T / sqrt(head size)) @ v, then out_proj. {PARTS}", 1e-4)  # fmt: skip


def test_heads_work_side_by_side(lib: Names):
    expected = naive.attention(X, *GIVEN, heads=2, causal=False)
    close("attention with two heads", attend(lib), expected, "Each head has its own columns of q, k and v, "
          "and scores divided by the root of the head's size, not of the whole width.", 1e-4)  # fmt: skip


def test_a_token_sees_itself_and_what_came_before(lib: Names):
    expected = naive.attention(X, *GIVEN, heads=2, causal=True)
    close("attention with is_causal=True", attend(lib, causal=True), expected,
          "Scores of later tokens are -inf before the softmax.", 1e-4)  # fmt: skip


def test_the_future_changes_nothing(lib: Names):
    other = X.copy()
    other[:, 3:] = naive.numbers(N, 2, WIDTH, seed=5)
    close("answers at places 0 to 2 after a change at 3", attend(lib, other, causal=True)[:, :3],
          attend(lib, causal=True)[:, :3], "A token must not see what comes after it.")  # fmt: skip


def test_the_first_token_sees_itself_alone(lib: Names):
    alone = attend(lib, X[:, :1], causal=True)
    close(
        "the first of five answers", attend(lib, causal=True)[:, :1], alone, "As if nobody else were there."
    )


def test_without_places_order_does_not_matter(lib: Names):
    order = [3, 0, 4, 1, 2]
    close("answers to tokens in another order", attend(lib, X[:, order]), attend(lib)[:, order],
          "Attention is a sum over a set.", 1e-4)  # fmt: skip


def test_examples_do_not_see_each_other(lib: Names):
    close("an example by itself", attend(lib, X[1:]), attend(lib)[1:], "Dimension 0 is the batch.", 1e-4)


def test_gradients(lib: Names):
    made, parameters = layer(lib, 2)
    x, up = lib.tensor(X, learn=True), naive.numbers(N, T, WIDTH, seed=3)
    (made(x, x, x, need_weights=False, is_causal=True)[0] * lib.tensor(up)).sum().backward()
    arrays = [X, *GIVEN]
    for i, (name, tensor) in enumerate(
        zip(("input", "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"), [x, *parameters],
            strict=True)
    ):  # fmt: skip
        found = gradient(name, tensor, "Is it cut off, by .data or by a new Tensor?")
        direction = naive.numbers(*arrays[i].shape, seed=9)

        def along(step: np.ndarray, i: int = i, direction: np.ndarray = direction) -> float:
            taken = [*arrays[:i], arrays[i] + step[0] * direction, *arrays[i + 1 :]]
            return float((naive.attention(*taken, heads=2, causal=True) * up).sum())

        close(f"gradient by {name}, along a random direction", np.array([(found * direction).sum()]),
              naive.slopes(along, np.zeros(1)), "Try one head and one example first.", 1e-3)  # fmt: skip
