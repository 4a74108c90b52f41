"""Module 12: vectors of tokens and places."""

import numpy as np

from grading.checkpoints.checking import array, near, total


def test_a_row_for_each_token(names):
    table, tokens = names("Embedding")(5, 3), np.array([[0, 4], [2, 2]])
    near(table(names.tensor(tokens)), array(table.weight)[tokens], "Embedding(5, 3)(tokens)")


def test_gradients_of_a_token_that_comes_twice_add_up(names):
    table = names("Embedding")(4, 2)
    total(table(names.tensor(np.array([1, 1, 3])))).backward()
    near(table.weight.grad, [[0, 0], [2, 2], [0, 0], [1, 1]], "the gradient of the table")


def test_places_are_waves(names):
    x = np.zeros((1, 6, 4), "f4")
    found = array(names("SinusoidalPositionalEncoding")(4)(names.tensor(x)))[0]
    near(found[:, 0], np.sin(np.arange(6)), "the first wave", 1e-4)
    near(found[:, 1], np.cos(np.arange(6)), "its cosine", 1e-4)
