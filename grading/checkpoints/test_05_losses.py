"""Module 05: MSE, BCE, cross-entropy."""

import numpy as np

from grading.checkpoints.checking import array, near
from grading.gates import require


def test_mean_squared_error(names, rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    near(names("MSELoss")()(names.tensor(x), names.tensor(y)), ((x - y) ** 2).mean(), "MSELoss")


def test_binary_cross_entropy(names, rng):
    p, y = rng.uniform(0.1, 0.9, (6, 1)), rng.integers(0, 2, (6, 1)).astype(float)
    right = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    near(names("BCELoss")()(names.tensor(p), names.tensor(y)), right, "BCELoss")


def test_cross_entropy(names, rng):
    z, y = rng.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    logs = z - np.log(np.exp(z).sum(1, keepdims=True))
    near(
        names("CrossEntropyLoss")()(names.tensor(z), names.tensor(y)),
        -logs[range(5), y].mean(),
        "CrossEntropyLoss",
    )


def test_cross_entropy_of_large_logits(names):
    loss = array(names("CrossEntropyLoss")()(names.tensor([[1000.0, 0.0]]), names.tensor(np.array([1]))))
    require(abs(float(loss) - 1000) < 1, f"CrossEntropyLoss of logits 1000 and 0: expected 1000, got {loss}")


def test_knowing_nothing_costs_log_of_the_classes(names):
    loss = names("CrossEntropyLoss")()(names.tensor(np.zeros((4, 10))), names.tensor(np.arange(4)))
    near(loss, np.log(10), "CrossEntropyLoss of equal logits")
