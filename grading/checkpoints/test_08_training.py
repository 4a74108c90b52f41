"""08 Training: the loop, schedules, clipping and accuracy.

The loop is written out here, with an implementation's layers, losses and optimisers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers


class Network:
    """Two layers with ReLU between."""

    def __init__(self, lib: Names, inputs: int, hidden: int, classes: int):
        self.first, self.second, self.relu = (
            lib.Linear(inputs, hidden),
            lib.Linear(hidden, classes),
            lib.ReLU(),
        )
        self.parameters = [*self.first.parameters(), *self.second.parameters()]

    def __call__(self, x: Any) -> Any:
        return self.second(self.relu(self.first(x)))


def fit(lib: Names, x: np.ndarray, labels: np.ndarray, steps: int, lr: float) -> tuple[Network, list[float]]:
    lib.seed()
    network, criterion = Network(lib, x.shape[1], 16, labels.max() + 1), lib.CrossEntropyLoss()
    optimizer, losses = lib.SGD(network.parameters, lr=lr), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(network(lib.tensor(x)), lib.tensor(labels))
        loss.backward()
        optimizer.step()
        losses.append(float(numbers(loss).item()))
    return network, losses


def clouds() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(60) % 3
    return naive.numbers(60, 2) * 0.4 + np.array([[2, 0], [-2, 0], [0, 3]])[labels], labels


def moves(lib: Names, schedule: Any, steps: int) -> list[float]:
    """The learning rate of each step, seen by how far a parameter goes with a gradient of 1."""
    p = lib.tensor([0.0], learn=True)
    optimizer = lib.SGD([p], lr=0.8)
    scheduler, at, found = schedule(optimizer), 0.0, []
    for _ in range(steps):
        optimizer.zero_grad()
        (p * 1.0).sum().backward()
        optimizer.step()
        scheduler.step()
        now = float(numbers(p).item())
        found.append(at - now)
        at = now
    return found


def test_the_loss_falls(lib: Names):
    _, losses = fit(lib, *clouds(), steps=60, lr=0.2)
    holds(losses[-1] < 0.3 * losses[0], f"loss of three clouds after 60 steps: expected less than 30 % of "
          f"the first, {losses[0]:.3f}, got {losses[-1]:.3f}",
          "zero_grad, forward, loss, backward, step: is each of them there, and in this order?")  # fmt: skip


def test_what_was_learned_holds_for_new_points(lib: Names):
    x, labels = clouds()
    network, _ = fit(lib, x[::2], labels[::2], steps=100, lr=0.2)
    right = (numbers(network(lib.tensor(x[1::2]))).argmax(1) == labels[1::2]).mean()
    holds(right > 0.9, f"share of right answers on points that were not trained on: expected more than 90 %, "
          f"got {right:.0%}", "The loss may fall for the wrong labels.")  # fmt: skip


def test_four_points_that_no_line_separates_are_learned_by_heart(lib: Names):
    x, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    _, losses = fit(lib, x, labels, steps=600, lr=0.5)
    holds(losses[-1] < 0.1, f"loss of XOR after 600 steps: expected less than 0.1, got {losses[-1]:.3f}",
          "0.69 means that the hidden layer does not learn: has it a gradient?")  # fmt: skip


def test_an_example_is_answered_alike_in_every_batch(lib: Names):
    x, labels = clouds()
    network, _ = fit(lib, x, labels, steps=5, lr=0.2)
    whole = numbers(network(lib.tensor(x)))
    close("answers one by one", np.concatenate([numbers(network(lib.tensor(row[None]))) for row in x]), whole,
          "Nothing may look at the other examples.", 1e-4)  # fmt: skip


def test_accuracy_is_the_share_of_right_answers(lib: Names):
    scores = np.array([[0.1, 0.9], [3.0, 1.0], [0.2, 0.3], [-2.0, -1.0], [5.0, 4.0]])
    found = np.asarray(numbers(lib.accuracy(lib.tensor(scores), lib.tensor([1, 1, 1, 0, 0]))), np.float64)
    close("accuracy of three right answers in five", found, 0.6, "The largest score is the answer.")


def test_steps_divide_the_learning_rate(lib: Names):
    got = moves(lib, lambda optimizer: lib.StepLR(optimizer, step_size=3, gamma=0.5), 8)
    expected = [0.8 * 0.5 ** (step // 3) for step in range(8)]
    close("learning rates of StepLR(step_size=3, gamma=0.5)", np.array(got), expected,
          "lr · gamma^(steps // step_size), by the optimiser's own rate.", 1e-4)  # fmt: skip


def test_a_cosine_leads_the_learning_rate_to_zero(lib: Names):
    got = moves(lib, lambda optimizer: lib.CosineAnnealingLR(optimizer, T_max=8), 8)
    expected = [0.4 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    close("learning rates of CosineAnnealingLR(T_max=8)", np.array(got), expected,
          "lr / 2 · (1 + cos(π · step / T_max)).", 1e-4)  # fmt: skip


def test_clipping_shortens_long_gradients(lib: Names):
    for largest, expected in ((1.0, [0.6, 0.8]), (10.0, [3.0, 4.0])):
        pair = [lib.tensor([0.0], learn=True), lib.tensor([0.0], learn=True)]
        (pair[0] * 3.0 + pair[1] * 4.0).sum().backward()
        lib.clip_grad_norm_(pair, largest)
        got = np.array([numbers(p.grad).item() for p in pair])
        close(f"gradients 3 and 4 of two parameters, clipped to {largest:g}", got, expected,
              "One norm over all parameters; what is short enough stays.", 1e-4)  # fmt: skip
