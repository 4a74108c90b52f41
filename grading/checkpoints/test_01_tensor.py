"""Module 01: an array that can be computed with."""

import numpy as np

from grading.checkpoints.checking import near
from grading.gates import require


def test_it_holds_an_array(names, rng):
    x = rng.normal(size=(2, 3)).astype(np.float32)
    near(names.tensor(x), x, "Tensor(x).data")
    require(tuple(names.tensor(x).shape) == (2, 3), "Tensor(x).shape: expected (2, 3)")


def test_arithmetic_is_elementwise(names, rng):
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)) + 3
    a, b = names.tensor(x), names.tensor(y)
    for sign, found, right in (
        ("+", a + b, x + y),
        ("-", a - b, x - y),
        ("*", a * b, x * y),
        ("/", a / b, x / y),
    ):
        near(found, right, f"a {sign} b")


def test_shapes_broadcast(names, rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=3)
    near(names.tensor(x) + names.tensor(y), x + y, "(4, 3) + (3,)")
    near(names.tensor(x) * 2.0, x * 2, "a * 2.0")


def test_matrix_product(names, rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))
    near(names.tensor(x) @ names.tensor(y), x @ y, "a @ b")


def test_sums_means_and_shapes(names, rng):
    x = rng.normal(size=(4, 6))
    a = names.tensor(x)
    near(a.sum(), x.sum(), "a.sum()")
    near(a.mean(), x.mean(), "a.mean()")
    near(a.reshape(8, 3), x.reshape(8, 3), "a.reshape(8, 3)")
