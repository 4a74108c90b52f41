"""09 Spatial: Conv2d and MaxPool2d."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

X, W, B = naive.numbers(2, 3, 5, 6), naive.numbers(4, 3, 3, 3), naive.numbers(4)
UP = naive.numbers(2, 4, 5, 6)


def conv(lib: Names, weight: np.ndarray = W, bias: np.ndarray = B, **options: Any) -> Any:
    layer = lib.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], **options)
    got = numbers(layer.weight).shape
    holds(got == weight.shape, f"Conv2d.weight: expected the shape {weight.shape}, got {got}",
          "(out_channels, in_channels, kernel, kernel).")  # fmt: skip
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    return layer


def test_a_window_looks_at_every_place(lib: Names):
    found = conv(lib)(lib.tensor(X))
    close(
        "Conv2d(3, 4, 3)(x)", found, naive.conv2d(X, W, B), "Sum over channels and window, plus bias.", 1e-4
    )


def test_padding_adds_a_border_of_zeros(lib: Names):
    found = conv(lib, padding=1)(lib.tensor(X))
    expected = naive.conv2d(X, W, B, padding=1)
    close("Conv2d(3, 4, 3, padding=1)(x)", found, expected, "One row of zeros on each of four sides.", 1e-4)


def test_the_window_is_not_turned_round(lib: Names):
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 0, 2] = 1.0
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    found = conv(lib, weight, np.zeros(1))(lib.tensor(image))
    close(
        "a window that takes its upper right corner",
        found,
        image[:, :, :2, 2:],
        "Weight [0, 2] meets the pixel above and to the right. Turned round is another convention.",
    )


def test_windows_of_one_and_five(lib: Names):
    for size in (1, 5):
        weight = naive.numbers(2, 3, size, size)
        found = conv(lib, weight, B[:2])(lib.tensor(X))
        expected = naive.conv2d(X, weight, B[:2])
        close(f"Conv2d(3, 2, {size})(x)", found, expected, "The output is smaller by size - 1.", 1e-4)


def test_what_moves_in_the_image_moves_in_the_output(lib: Names):
    layer, image = conv(lib, padding=1), np.zeros((2, 3, 9, 9))
    image[0, :, 3, 3] = image[1, :, 4, 5] = 1.0
    found = numbers(layer(lib.tensor(image)))
    close("the answer to a dot one down and two right", found[1, :, 3:6, 4:7], found[0, :, 2:5, 2:5],
          "The same weights at every place.", 1e-4)  # fmt: skip


def test_gradients_of_a_convolution(lib: Names):
    layer, x = conv(lib, padding=1), lib.tensor(X, learn=True)
    (layer(x) * lib.tensor(UP)).sum().backward()
    given = [X, W, B]
    for i, (name, tensor) in enumerate({"input": x, "weight": layer.weight, "bias": layer.bias}.items()):

        def by(array: np.ndarray, i: int = i) -> float:
            taken = [*given[:i], array, *given[i + 1 :]]
            return float((fast(*taken) * UP).sum())

        look = {"input": "Each pixel collects from all windows that saw it.",
                "weight": "Sum over all places and all examples.",
                "bias": "The sum of the gradient over examples and places."}[name]  # fmt: skip
        close(f"gradient of a convolution by its {name}", gradient(name, tensor, look),
              naive.slopes(by, given[i]), look, 1e-4)  # fmt: skip


def fast(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`naive.conv2d` with a padding of 1, for the many calls of a difference."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]


def test_pooling_takes_the_largest(lib: Names):
    x = naive.numbers(2, 3, 4, 6)
    found = lib.MaxPool2d(2)(lib.tensor(x))
    close("MaxPool2d(2)(x)", found, naive.max_pool2d(x, 2), "Squares side by side, none twice.")
    close("MaxPool2d(2)(-|x| - 1)", lib.MaxPool2d(2)(lib.tensor(-abs(x) - 1)),
          naive.max_pool2d(-abs(x) - 1, 2), "All are below zero: do not begin at 0.")  # fmt: skip


def test_pooling_hands_back_to_the_largest_alone(lib: Names):
    image, up = np.array([[[[1.0, 9.0, 4.0, 3.0], [5.0, 2.0, 8.0, 7.0]]]]), np.array([[[[10.0, 20.0]]]])
    x = lib.tensor(image, learn=True)
    (lib.MaxPool2d(2)(x) * lib.tensor(up)).sum().backward()
    look = "The others changed nothing."
    close("gradient of max pooling", gradient("pooling", x, look), [[[[0, 10, 0, 0], [0, 0, 20, 0]]]], look)


def test_parameters_are_the_windows_and_not_the_places(lib: Names):
    layer = lib.Conv2d(3, 4, 3, padding=1)
    got = sum(numbers(parameter).size for parameter in layer.parameters())
    holds(got == 112, f"numbers in Conv2d(3, 4, 3).parameters(): expected 4·3·3·3 + 4 = 112, got {got}",
          "weight and bias.")  # fmt: skip
