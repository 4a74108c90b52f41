"""Module 06: gradients of any graph."""

import numpy as np

from grading.checkpoints.checking import array, gradient, near, total
from grading.gates import require


def test_product_and_sum(names, rng):
    y = rng.normal(size=(3, 2))
    gradient(names, lambda x: total(x * names.tensor(y.astype("f4"))), rng.normal(size=(3, 2)), "x * y")


def test_matrix_product(names, rng):
    y = rng.normal(size=(2, 4))
    gradient(names, lambda x: total(x @ names.tensor(y.astype("f4"))), rng.normal(size=(3, 2)), "x @ y")


def test_a_value_that_is_used_twice(names, rng):
    gradient(names, lambda x: total(x * x + x), rng.normal(size=(3, 2)), "x * x + x")


def test_broadcasting_is_undone(names, rng):
    y = rng.normal(size=(4, 3))
    gradient(names, lambda x: total(x * names.tensor(y.astype("f4"))), rng.normal(size=3), "(3,) * (4, 3)")


def test_gradients_add_up_until_they_are_cleared(names):
    x = names.tensor(np.ones(3, "f4"), requires_grad=True)
    for _ in range(2):
        total(x * 2.0).backward()
    near(x.grad, [4.0, 4.0, 4.0], "x.grad after two backward()")


def test_a_long_chain_needs_no_recursion(names):
    x = names.tensor(np.ones(1, "f4"), requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + x * 0.0
    total(y).backward()
    near(x.grad, [1.0], "the gradient through 3,000 sums")


def test_layers_hand_gradients_on(names, rng):
    first, second = names("Linear")(3, 4), names("Linear")(4, 1)
    total(second(names("ReLU")()(first(names.tensor(rng.normal(size=(8, 3)).astype("f4")))))).backward()
    for name, p in (("weight", first.weight), ("bias", first.bias)):
        require(
            p.grad is not None and np.abs(array(p.grad)).sum() > 0, f"no gradient reached the first {name}"
        )
