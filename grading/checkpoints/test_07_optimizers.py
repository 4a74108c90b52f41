"""07 Optimisers: SGD with momentum, and Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

START = naive.numbers(3)
GRADIENTS = [naive.numbers(3, seed=seed) for seed in range(1, 6)]


def push(lib: Names, optimizer: Any, parameter: Any, gradient: np.ndarray) -> None:
    """One step with this gradient: that of a weighted sum is its weights."""
    optimizer.zero_grad()
    (parameter * lib.tensor(gradient)).sum().backward()
    optimizer.step()


def adam(start: np.ndarray, gradients: list[np.ndarray], lr: float) -> np.ndarray:
    p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def test_sgd_steps_against_the_gradient(lib: Names):
    p = lib.tensor(START, learn=True)
    push(lib, lib.SGD([p], lr=0.1), p, GRADIENTS[0])
    close("p after a step of SGD(lr=0.1)", p, START - 0.1 * GRADIENTS[0], "p - lr · gradient.")


def test_sgd_takes_every_gradient_anew(lib: Names):
    p = lib.tensor(START, learn=True)
    optimizer = lib.SGD([p], lr=0.1)
    for gradient in GRADIENTS:
        push(lib, optimizer, p, gradient)
    close("p after five steps", p, START - 0.1 * sum(GRADIENTS),
          "Without momentum nothing is remembered; zero_grad has to forget the last gradient.")  # fmt: skip


def test_what_has_no_gradient_stays(lib: Names):
    p, other = lib.tensor(START, learn=True), lib.tensor(START, learn=True)
    push(lib, lib.SGD([p, other], lr=0.1), p, GRADIENTS[0])
    close("a parameter that the loss does not use", other, START, "Its `.grad` is None: go on to the next.")


def test_momentum_remembers_the_direction(lib: Names):
    p, expected, velocity = lib.tensor(START, learn=True), START.copy(), np.zeros(3)
    optimizer = lib.SGD([p], lr=0.1, momentum=0.9)
    for gradient in GRADIENTS:
        push(lib, optimizer, p, gradient)
        velocity = 0.9 * velocity + gradient
        expected -= 0.1 * velocity
    close("p after five steps of SGD(momentum=0.9)", p, expected, "v = momentum · v + gradient; p -= lr · v.")


def test_adams_first_step_is_the_learning_rate(lib: Names):
    p, gradient = lib.tensor(np.zeros(3), learn=True), np.array([100.0, -1e-3, 2.0])
    push(lib, lib.Adam([p], lr=0.1), p, gradient)
    close("p after Adam's first step from 0", p, [-0.1, 0.1, -0.1],
          "However long the gradient: both means are divided by 1 - beta^t.")  # fmt: skip


def test_adam_follows_both_means(lib: Names):
    p = lib.tensor(START, learn=True)
    optimizer = lib.Adam([p], lr=0.1)
    for gradient in GRADIENTS:
        push(lib, optimizer, p, gradient)
    close("p after five steps of Adam(lr=0.1)", p, adam(START, GRADIENTS, 0.1),
          "betas 0.9 and 0.999; t counts the steps from 1.")  # fmt: skip


def test_adam_keeps_a_state_for_each_parameter(lib: Names):
    pair = [lib.tensor(START, learn=True), lib.tensor(START[:2], learn=True)]
    optimizer = lib.Adam(pair, lr=0.1)
    weights = [GRADIENTS[0], 50 * GRADIENTS[1][:2]]
    for sign in (1.0, -0.5, 1.0):
        optimizer.zero_grad()
        first, second = ((p * lib.tensor(sign * w)).sum() for p, w in zip(pair, weights, strict=True))
        (first + second).backward()
        optimizer.step()
    for p, start, w in zip(pair, (START, START[:2]), weights, strict=True):
        expected = adam(start, [w, -0.5 * w, w], 0.1)
        close("one of two parameters after three steps", p, expected, "Means are each parameter's own.")


def test_both_find_the_bottom_of_a_bowl(lib: Names):
    bottom = np.array([1.0, -2.0, 0.5])
    for name, lr, steps in (("SGD", 0.2, 60), ("Adam", 0.1, 300)):
        p = lib.tensor(START, learn=True)
        optimizer = getattr(lib, name)([p], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            away = p - lib.tensor(bottom)
            (away * away).sum().backward()
            optimizer.step()
        close(f"where {name} ends in (p - c)²", numbers(p), bottom, "It has to come to rest there.", 0.02)
