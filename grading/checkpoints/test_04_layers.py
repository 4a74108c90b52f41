"""Module 04: Linear and Dropout."""

import numpy as np

from grading.checkpoints.checking import array, near
from grading.gates import require


def test_linear_is_x_w_transposed_plus_b(names, rng):
    layer, x = names("Linear")(3, 2), rng.normal(size=(5, 3)).astype("f4")
    near(layer(names.tensor(x)), x @ array(layer.weight).T + array(layer.bias), "Linear(3, 2)(x)")


def test_linear_has_the_field_s_shapes(names):
    layer = names("Linear")(3, 2)
    shapes = array(layer.weight).shape, array(layer.bias).shape
    require(shapes == ((2, 3), (2,)), f"weight and bias: expected (2, 3) and (2,), got {shapes}")


def test_linear_adds_its_bias(names):
    layer = names("Linear")(3, 2)
    layer.bias.data[...] = [5.0, -5.0]
    near(layer(names.tensor(np.zeros((1, 3), "f4"))), [[5.0, -5.0]], "Linear of zeros")


def test_linear_begins_small_and_not_the_same(names):
    weight = array(names("Linear")(100, 50).weight)
    require(0.01 < weight.std() < 0.5, f"initial weights: expected about 1/sqrt(in), got {weight.std():.3g}")


def test_dropout_drops_in_training_and_scales_the_rest(names):
    layer, x = names("Dropout")(0.5), names.tensor(np.ones((100, 100), "f4"))
    layer.train()
    found = array(layer(x))
    require(0.4 < (found == 0).mean() < 0.6, "Dropout(0.5) in training: expected about half zeros")
    require(abs(found.mean() - 1) < 0.1, "Dropout: what is left is divided by 1 - p, so that the mean stays")


def test_dropout_is_off_in_evaluation(names):
    layer = names("Dropout")(0.5)
    layer.eval()
    near(layer(names.tensor(np.ones((4, 4), "f4"))), np.ones((4, 4)), "Dropout in evaluation")
