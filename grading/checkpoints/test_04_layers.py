"""04 Layers: Linear, Dropout and Flatten."""

from __future__ import annotations

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

W, B = naive.numbers(4, 3), naive.numbers(4)
DROPPED = 0.25


def linear(lib: Names):
    layer = lib.Linear(3, 4)
    for name, wanted in (("weight", W), ("bias", B)):
        got = numbers(getattr(layer, name)).shape
        holds(got == wanted.shape, f"Linear(3, 4).{name}: expected the shape {wanted.shape}, got {got}",
              "weight is (out_features, in_features).")  # fmt: skip
        getattr(layer, name).data[...] = wanted
    return layer


def test_linear_multiplies_and_adds(lib: Names):
    x = naive.numbers(5, 3)
    expected = naive.matmul(x, W.T) + B
    close("Linear(3, 4)(x)", linear(lib)(lib.tensor(x)), expected, "x @ weight.T + bias.", 1e-4)


def test_linear_takes_any_number_of_dimensions_before_the_last(lib: Names):
    x = naive.numbers(2, 5, 3)
    expected = np.stack([naive.matmul(part, W.T) + B for part in x])
    close("Linear(3, 4)(x), x (2, 5, 3)", linear(lib)(lib.tensor(x)), expected, "Only the last counts.", 1e-4)


def test_linear_has_two_parameters(lib: Names):
    shapes = sorted(numbers(parameter).shape for parameter in lib.Linear(3, 4).parameters())
    holds(shapes == [(4,), (4, 3)], f"Linear(3, 4).parameters(): expected the shapes [(4,), (4, 3)], got "
          f"{shapes}", "The optimiser sees nothing else.")  # fmt: skip


def test_weights_start_random(lib: Names):
    lib.seed()
    first, second = (numbers(lib.Linear(64, 32).weight) for _ in range(2))
    holds(first.std() > 0, "weights of a new Linear: expected random ones, got all the same",
          "Equal weights get equal gradients, and stay equal for ever.")  # fmt: skip
    holds(not np.array_equal(first, second), "two new layers: expected different weights, got the same",
          "Draw them anew for each layer.")  # fmt: skip


def test_weights_start_at_a_size_that_keeps_the_signal(lib: Names):
    lib.seed()
    for inputs in (16, 1024):
        got = numbers(lib.Linear(inputs, 64).weight).std() * inputs**0.5
        holds(0.2 < got < 2.5, f"weights of Linear({inputs}, 64): expected a standard deviation of about "
              f"1 / sqrt(in_features) (0.2 to 2.5 times that), got {got:.2g} times that",
              "Divide by sqrt(in_features): Glorot and Bengio (2010), He et al. (2015).")  # fmt: skip


def test_dropout_drops_the_share_that_it_is_told(lib: Names):
    lib.seed()
    layer = lib.Dropout(DROPPED)
    layer.train()
    got = (numbers(layer(lib.tensor(np.ones((200, 200))))) == 0).mean()
    holds(abs(got - DROPPED) < 0.02, f"share of zeros after Dropout({DROPPED}) while training: expected "
          f"{DROPPED}, got {got:.3f}", "p is the probability to be dropped, not to stay.")  # fmt: skip


def test_dropout_keeps_the_mean(lib: Names):
    layer = lib.Dropout(DROPPED)
    layer.train()
    found = numbers(layer(lib.tensor(np.ones((50, 50)))))
    kept = found[found != 0]
    close("what Dropout(0.25) lets through of ones", kept, np.full(kept.shape, 1 / (1 - DROPPED)),
          "Divide by 1 - p, so that evaluation needs no correction.")  # fmt: skip


def test_dropout_does_nothing_in_evaluation(lib: Names):
    layer, x = lib.Dropout(0.5), naive.numbers(20, 20)
    layer.eval()
    close("Dropout(0.5)(x) after .eval()", layer(lib.tensor(x)), x, "Look at `self.training`.")


def test_dropout_draws_anew(lib: Names):
    layer, x = lib.Dropout(0.5), lib.tensor(np.ones((20, 20)))
    layer.train()
    same = np.array_equal(numbers(layer(x)), numbers(layer(x)))
    holds(not same, "two calls while training: expected different zeros, got the same",
          "A new mask in each call.")  # fmt: skip


def test_flatten_keeps_the_batch(lib: Names):
    x = naive.numbers(2, 3, 4, 5)
    found = lib.Flatten()(lib.tensor(x))
    close("Flatten()(x), x (2, 3, 4, 5)", found, [x[0].ravel(), x[1].ravel()], "Dimension 0 is the examples.")
