"""Module 09: convolution and pooling."""

import numpy as np

from grading.checkpoints.checking import array, gradient, near, total


def _plain(x, w, b, padding):
    """Seven loops' worth of convolution, by the definition."""
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    n, o, k = len(x), len(w), w.shape[2]
    out = np.zeros((n, o, x.shape[2] - k + 1, x.shape[3] - k + 1))
    for i, j in np.ndindex(out.shape[2:]):
        out[:, :, i, j] = np.einsum("ncab,ocab->no", x[:, :, i : i + k, j : j + k], w) + b
    return out


def test_convolution(names, rng):
    for padding in (0, 1):
        layer, x = names("Conv2d")(2, 3, 3, padding=padding), rng.normal(size=(2, 2, 6, 5)).astype("f4")
        right = _plain(x, array(layer.weight), array(layer.bias), padding)
        near(layer(names.tensor(x)), right, f"Conv2d(2, 3, 3, padding={padding})", 1e-4)


def test_the_window_is_not_turned(names):
    layer, x = names("Conv2d")(1, 1, 3), np.zeros((1, 1, 3, 3), "f4")
    layer.weight.data[...] = np.arange(9).reshape(1, 1, 3, 3)
    layer.bias.data[...] = 0
    x[0, 0, 0, 0] = 1
    near(layer(names.tensor(x)), [[[[0.0]]]], "a one in the corner meets the window's corner")


def test_gradient_of_a_convolution(names, rng):
    layer = names("Conv2d")(1, 2, 3, padding=1)
    gradient(
        names,
        lambda x: total(layer(x) * layer(x)),
        rng.normal(size=(1, 1, 4, 4)),
        "Conv2d, by its input",
        5e-2,
    )


def test_pooling_takes_the_largest(names, rng):
    x = rng.normal(size=(2, 3, 4, 6))
    near(names("MaxPool2d")(2)(names.tensor(x)), x.reshape(2, 3, 2, 2, 3, 2).max((3, 5)), "MaxPool2d(2)")


def test_gradient_of_pooling(names, rng):
    pool = names("MaxPool2d")(2)
    gradient(names, lambda x: total(pool(x)), rng.permutation(16).reshape(1, 1, 4, 4) * 1.0, "MaxPool2d")


def test_flatten_keeps_the_batch(names, rng):
    x = rng.normal(size=(2, 3, 4, 4))
    near(names("Flatten")()(names.tensor(x)), x.reshape(2, 48), "Flatten")
