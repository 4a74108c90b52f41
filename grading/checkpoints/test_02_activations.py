"""Module 02: ReLU, Sigmoid, Tanh, Softmax, GELU."""

from math import erf

import numpy as np

from grading.checkpoints.checking import array, near
from grading.gates import require

X = np.array([[-3.0, -0.5, 0.0], [0.5, 2.0, 4.0]])


def test_relu(names):
    near(names("ReLU")()(names.tensor(X)), np.maximum(X, 0), "ReLU")


def test_sigmoid(names):
    near(names("Sigmoid")()(names.tensor(X)), 1 / (1 + np.exp(-X)), "Sigmoid")


def test_sigmoid_of_large_numbers(names):
    near(names("Sigmoid")()(names.tensor([[-1000.0, 1000.0]])), [[0.0, 1.0]], "Sigmoid of ±1000")


def test_tanh(names):
    near(names("Tanh")()(names.tensor(X)), np.tanh(X), "Tanh")


def test_softmax_sums_to_one(names):
    found = array(names("Softmax")(dim=1)(names.tensor(X)))
    near(found.sum(1), np.ones(2), "the sums of Softmax(dim=1)")
    near(found, np.exp(X) / np.exp(X).sum(1, keepdims=True), "Softmax(dim=1)")


def test_softmax_of_large_numbers(names):
    found = array(names("Softmax")(dim=1)(names.tensor([[1000.0, 1001.0]])))
    require(np.isfinite(found).all(), "Softmax of 1000 and 1001: take the largest away before exp")


def test_gelu(names):
    right = X * 0.5 * (1 + np.vectorize(erf)(X / 2**0.5))
    near(names("GELU")()(names.tensor(X)), right, "GELU", within=2e-3)
