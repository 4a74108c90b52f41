"""06 Autograd: backward, the chain rule through every operation.

Gradients are compared with central differences of the same formula in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

A, B = naive.numbers(3, 4), naive.numbers(3, 4, seed=1) + np.where(naive.numbers(3, 4, seed=1) > 0, 1, -1)


def agree(lib: Names, what: str, function: Callable[..., Any], *arrays: np.ndarray, look: str) -> None:
    """The gradient of a weighted sum of `function` by each array; the function is for both kinds."""
    tensors = [lib.tensor(array, learn=True) for array in arrays]
    weights = naive.numbers(*np.shape(function(*arrays)), seed=7)
    (function(*tensors) * lib.tensor(weights)).sum().backward()
    for i, tensor in enumerate(tensors):

        def by(x: np.ndarray, i: int = i) -> float:
            return float((function(*arrays[:i], x, *arrays[i + 1 :]) * weights).sum())

        name = f"gradient of {what} by its operand {i + 1}"
        close(name, gradient(name, tensor, look), naive.slopes(by, arrays[i]), look, 1e-4)


def test_a_square(lib: Names):
    x = lib.tensor([3.0, -2.0], learn=True)
    (x * x).sum().backward()
    close("gradient of (x * x).sum() at [3, -2]", gradient("x * x", x, "Look at backward."), [6.0, -4.0],
          "2x: both operands of the product are x, and their parts are added.")  # fmt: skip


def test_arithmetic(lib: Names):
    agree(lib, "a + b", lambda a, b: a + b, A, B, look="1 for both.")
    agree(lib, "a - b", lambda a, b: a - b, A, B, look="1, and -1 for what is subtracted.")
    agree(lib, "a * b", lambda a, b: a * b, A, B, look="The other operand.")
    agree(lib, "a / b", lambda a, b: a / b, A, B, look="1 / b, and -a / b².")
    agree(lib, "a ** 3", lambda a: a**3, A, look="3a².")


def test_broadcasting(lib: Names):
    look = "What was stretched on the way forward is summed on the way back: same shape as the operand."
    agree(lib, "(3, 4) + (4,)", lambda a, b: a + b, A, naive.numbers(4), look=look)
    agree(lib, "(3, 1) * (3, 4)", lambda a, b: a * b, naive.numbers(3, 1), A, look=look)


def test_matrix_products(lib: Names):
    look = "Of y = a @ b: dy @ b.T for a, and a.T @ dy for b."
    agree(lib, "a @ b", lambda a, b: a @ b, A, naive.numbers(4, 2), look=look)


def test_sums_and_means(lib: Names):
    agree(lib, "a.sum(0)", lambda a: a.sum(0), A, look="The same for all that were summed.")
    agree(lib, "a.mean(1)", lambda a: a.mean(1), A, look="1 / n for each of n.")


def test_shapes_and_parts(lib: Names):
    agree(lib, "a.reshape(2, 6)", lambda a: a.reshape(2, 6), A, look="Reshape the gradient back.")
    agree(lib, "a[1:, :2]", lambda a: a[1:, :2], A, look="Zero where nothing was taken.")


def test_a_tensor_that_is_used_twice_collects_both_gradients(lib: Names):
    x = lib.tensor([2.0], learn=True)
    y = x * 3
    (y * x + y).sum().backward()
    close(
        "gradient of 3x·x + 3x at 2",
        gradient("it", x, "Look at backward."),
        [15.0],
        "6x + 3. Wait for the gradients of all who use a tensor before handing on: topological order.",
    )


def test_doubling_sixteen_times(lib: Names):
    x = y = lib.tensor([1.0], learn=True)
    for _ in range(16):
        y = y + y
    y.sum().backward()
    close("gradient of x doubled 16 times", gradient("it", x, "Look at backward."), [2.0**16],
          "Visit each tensor once, or the paths through this graph are 65,536.")  # fmt: skip


def test_a_long_chain_needs_no_recursion(lib: Names):
    x = y = lib.tensor([1.0], learn=True)
    for _ in range(3000):
        y = y + 1.0
    y.sum().backward()
    close("gradient through 3,000 sums", gradient("it", x, "Look at backward."), [1.0],
          "Python gives up at 1,000 calls within each other: walk the graph with a list.")  # fmt: skip


def test_two_backward_passes_add_up(lib: Names):
    x = lib.tensor([1.0, 2.0], learn=True)
    for _ in range(2):
        (x * 5).sum().backward()
    close("x.grad after two passes of 5x", gradient("it", x, "Look at backward."), [10.0, 10.0],
          "backward adds to `.grad`; zero_grad is what forgets.")  # fmt: skip


def test_what_needs_no_gradient_gets_none(lib: Names):
    x, constant = lib.tensor([2.0], learn=True), lib.tensor([3.0])
    (x * constant).sum().backward()
    holds(constant.grad is None, "`.grad` of a tensor without requires_grad: expected None, got a gradient",
          "Data would carry one as large as itself.")  # fmt: skip


def test_gradients_of_a_network(lib: Names):
    x, labels = naive.numbers(6, 4), np.array([0, 1, 2, 0, 1, 2])
    first, second = lib.Linear(4, 5), lib.Linear(5, 3)
    given = [naive.numbers(5, 4), naive.numbers(5), naive.numbers(3, 5), naive.numbers(3)]
    parameters = [first.weight, first.bias, second.weight, second.bias]
    for parameter, values in zip(parameters, given, strict=True):
        parameter.data[...] = values
    lib.CrossEntropyLoss()(second(lib.ReLU()(first(lib.tensor(x)))), lib.tensor(labels)).backward()
    for i, (parameter, values) in enumerate(zip(parameters, given, strict=True)):

        def loss(value: np.ndarray, i: int = i) -> float:
            w, b, v, c = [*given[:i], value, *given[i + 1 :]]
            return naive.cross_entropy(np.maximum(x @ w.T + b, 0) @ v.T + c, labels)

        name = ("first weight", "first bias", "second weight", "second bias")[i]
        look = "Linear, ReLU and CrossEntropyLoss: try each alone."
        close(
            f"gradient of the {name}", gradient(name, parameter, look), naive.slopes(loss, values), look, 1e-4
        )


def test_gradients_of_a_perceptron(lib: Names):
    x, y = naive.numbers(6, 2), np.array([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]])
    layer, w, b = lib.Linear(2, 1), naive.numbers(1, 2), naive.numbers(1)
    layer.weight.data[...], layer.bias.data[...] = w, b
    lib.BCELoss()(lib.Sigmoid()(layer(lib.tensor(x))), lib.tensor(y)).backward()

    def loss(weight: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-(x @ weight.T + b)))
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))

    look = "Together, Sigmoid and BCELoss hand (p - y) / n back."
    found = gradient("weight", layer.weight, look)
    close("gradient of the perceptron's weight", found, naive.slopes(loss, w), look, 1e-4)
    close("the weight after backward()", numbers(layer.weight), w, "backward changes `.grad` alone.", 1e-4)
