"""Module 07: SGD and Adam."""

import numpy as np

from grading.checkpoints.checking import array, near, total
from grading.gates import require


def _layer(names, rng):
    layer = names("Linear")(3, 2)
    total(layer(names.tensor(rng.normal(size=(4, 3)).astype("f4")))).backward()
    return layer


def test_sgd_goes_against_the_gradient(names, rng):
    layer = _layer(names, rng)
    before, slope = array(layer.weight).copy(), array(layer.weight.grad).copy()
    names("SGD")(layer.parameters(), lr=0.1).step()
    near(layer.weight, before - 0.1 * slope, "after SGD(lr=0.1).step(), the weight")


def test_zero_grad_clears(names, rng):
    layer = _layer(names, rng)
    names("SGD")(layer.parameters(), lr=0.1).zero_grad()
    for p in layer.parameters():
        require(p.grad is None or not array(p.grad).any(), "zero_grad() left a gradient")


def test_adam_s_first_step_is_the_learning_rate(names, rng):
    layer = _layer(names, rng)
    before, slope = array(layer.weight).copy(), array(layer.weight.grad).copy()
    names("Adam")(layer.parameters(), lr=0.01).step()
    near(layer.weight, before - 0.01 * np.sign(slope), "after Adam's first step, the weight", 1e-4)


def test_adam_remembers(names, rng):
    layer = names("Linear")(3, 2)
    optimizer, w, m, v = names("Adam")(layer.parameters(), lr=0.01), array(layer.weight).copy(), 0.0, 0.0
    for t in (1, 2, 3):
        optimizer.zero_grad()
        total(layer(names.tensor(rng.normal(size=(4, 3)).astype("f4")))).backward()
        g = array(layer.weight.grad).copy()
        optimizer.step()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    near(layer.weight, w, "after three steps of Adam, the weight", 1e-4)
