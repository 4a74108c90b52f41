"""02 Activations: ReLU, Sigmoid, Tanh, GELU and Softmax."""

from __future__ import annotations

import math

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

X = naive.numbers(2, 3, 4) * 2


def each(function, x=X):
    return np.array([function(value) for value in x.ravel()]).reshape(x.shape)


def test_relu_keeps_what_is_positive(lib: Names):
    close("ReLU()(x)", lib.ReLU()(lib.tensor(X)), each(lambda v: max(v, 0.0)), "max(x, 0).")
    close("ReLU()(0)", lib.ReLU()(lib.tensor([0.0])), [0.0], "Zero stays zero.")


def test_sigmoid_is_a_probability(lib: Names):
    expected = each(lambda v: 1 / (1 + math.exp(-v)))
    close("Sigmoid()(x)", lib.Sigmoid()(lib.tensor(X)), expected, "1 / (1 + exp(-x)).")


def test_sigmoid_survives_large_numbers(lib: Names):
    with np.errstate(over="ignore"):
        found = lib.Sigmoid()(lib.tensor([-1000.0, 0.0, 1000.0]))
    close("Sigmoid()([-1000, 0, 1000])", found, [0.0, 0.5, 1.0], "exp(1000) is inf, and inf / inf no number.")


def test_tanh_goes_from_minus_one_to_one(lib: Names):
    close("Tanh()(x)", lib.Tanh()(lib.tensor(X)), each(math.tanh), "It is odd: tanh(-x) = -tanh(x).")
    close("Tanh()([-500, 500])", lib.Tanh()(lib.tensor([-500.0, 500.0])), [-1.0, 1.0], "Mind exp(500).")


def test_gelu_is_a_smooth_relu(lib: Names):
    found = lib.GELU(approximate="tanh")(lib.tensor(X))
    close('GELU("tanh")(x)', found, each(naive.gelu), "x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³))).")


def test_softmax_makes_shares_that_sum_to_one(lib: Names):
    found = lib.Softmax(dim=-1)(lib.tensor(X))
    close("Softmax(dim=-1)(x)", found, naive.softmax(X), "exp(x) over its sum along the last dimension.")
    close("their sums", numbers(found).sum(-1), np.ones((2, 3)), "Divide by the sum of the same row.")


def test_softmax_knows_its_dimension(lib: Names):
    expected = naive.softmax(X.swapaxes(1, 2)).swapaxes(1, 2)
    close("Softmax(dim=1)(x)", lib.Softmax(dim=1)(lib.tensor(X)), expected, "Sum along `dim`, and keep it.")


def test_softmax_survives_large_numbers(lib: Names):
    with np.errstate(over="ignore", invalid="ignore"):
        found = lib.Softmax(dim=-1)(lib.tensor([[1000.0, 1001.0]]))
    expected = naive.softmax(np.array([[0.0, 1.0]]))
    close("Softmax()([1000, 1001])", found, expected, "Subtract the largest first: it changes no share.")


def test_the_input_is_left_alone(lib: Names):
    x = lib.tensor(X)
    for name, options in {"ReLU": {}, "Sigmoid": {}, "Tanh": {}, "Softmax": {"dim": -1}}.items():
        getattr(lib, name)(**options)(x)
        holds(np.allclose(numbers(x), X), f"x after {name}()(x): expected the same numbers, got others",
              "Compute a new array.")  # fmt: skip
