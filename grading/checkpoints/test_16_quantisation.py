"""16 Quantisation: weights of 8 bits, and what they cost in quality."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers


def answers(lib: Names, x: np.ndarray, *sizes: int) -> tuple[np.ndarray, np.ndarray]:
    """What a model says to x, asked before it was quantised, and what it says in 8 bits."""
    lib.seed()
    model, _ = lib.layers(*sizes)
    before = ask(lib, model, x)
    return before, ask(lib, lib.quantize_dynamic(model), x)


def matrices(lib: Names, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The weight (out, in) of one layer, and that which it computes with in 8 bits.

    The second is told by its answers to the unit vectors.
    """
    lib.seed()
    model, (layer,) = lib.layers(inputs, outputs)
    before = numbers(layer.weight).copy()
    small = lib.quantize_dynamic(model)
    return before, (ask(lib, small, np.eye(inputs)) - ask(lib, small, np.zeros((1, inputs)))).T


def ask(lib: Names, model: Any, x: np.ndarray) -> np.ndarray:
    return numbers(model(lib.tensor(x.astype(np.float32)))).astype(np.float64)


def test_answers_are_nearly_the_same(lib: Names):
    expected, got = answers(lib, naive.numbers(200, 32), 32, 48, 10)
    error = np.abs(got - expected).max() / np.abs(expected).max()
    holds(error < 0.04, f"largest error of the answers: expected below 4 % of the largest, got {error:.1%}",
          "scale = max|w| / 127, and w is about scale · round(w / scale).")  # fmt: skip


def test_decisions_stay(lib: Names):
    expected, got = answers(lib, naive.numbers(300, 32), 32, 48, 10)
    same = (expected.argmax(1) == got.argmax(1)).mean()
    holds(
        same > 0.93, f"share of the same decisions: expected above 93 %, got {same:.0%}", "Round, do not cut."
    )


def test_no_weight_is_off_by_more_than_half_a_step(lib: Names):
    weight, got = matrices(lib, 24, 16)
    worst = np.abs(got - weight).max() / (np.abs(weight).max() / 127)
    holds(
        worst < 0.6,
        f"largest error of a weight: expected half a step (max|w| / 127), got {worst:.2f} steps",
        "Round to the nearest; 127 stands for the largest.",
    )


def test_weights_lie_on_a_grid(lib: Names):
    weight, got = matrices(lib, 512, 4)
    step = np.abs(weight).max() / 127
    kinds = len(np.unique(np.round(got[0] / step, 2)))
    holds(
        kinds <= 256,
        f"different weights in a row of 512: expected at most 256, those of 8 bits, got {kinds}",
        "Are they still floats?",
    )


def test_biases_stay_exact(lib: Names):
    lib.seed()
    model, (layer,) = lib.layers(8, 4)
    layer.bias.data[...] = [1000.0, -0.001, 3.3, 0.0]
    found = ask(lib, lib.quantize_dynamic(model), np.zeros((1, 8)))
    close(
        "the answer to zeros", found, [[1000.0, -0.001, 3.3, 0.0]], "There are few biases: keep floats.", 1e-5
    )


def test_the_original_stays(lib: Names):
    lib.seed()
    model, layers = lib.layers(16, 12, 4)
    before = [numbers(layer.weight).copy() for layer in layers]
    lib.quantize_dynamic(model)
    for layer, weight in zip(layers, before, strict=True):
        close("a weight of the model that was quantised", layer.weight, weight, "Make a new model.")
    got = numbers(layers[0].weight).dtype
    holds(got.kind == "f", f"its type: expected floats, got {got}", "Make a new model.")


def test_the_file_is_a_quarter(lib: Names):
    model, _ = lib.layers(256, 256, 10)
    small = lib.quantize_dynamic(model)
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        for name, one in (("large", model), ("small", small)):
            path = Path(folder) / f"{name}.safetensors"
            lib.save_model(one, path)
            sizes.append(path.stat().st_size)
    holds(
        sizes[1] < sizes[0] / 3.5,
        f"bytes of the file in 8 bits: expected below {sizes[0] / 3.5:.0f} (the "
        f"floats take {sizes[0]}), got {sizes[1]}",
        "Save codes of int8 and their scales, not floats.",
    )
