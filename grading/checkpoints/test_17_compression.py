"""17 Compression: pruning and distillation."""

from __future__ import annotations

from typing import Any

import numpy as np

from grading.checkpoints import naive
from grading.checkpoints.expect import close, gradient, holds
from grading.checkpoints.names import Names
from grading.submissions.inside.requirements import numbers

STUDENT, TEACHER, LABELS = naive.numbers(6, 4), naive.numbers(6, 4, seed=1) * 2, np.array([0, 1, 2, 3, 0, 1])


def model_of(lib: Names, *sizes: int) -> tuple[Any, list[Any]]:
    lib.seed()
    return lib.layers(*sizes)


def size(model: Any) -> int:
    return sum(numbers(parameter).size for parameter in model.parameters())


def divergence(temperature: float) -> float:
    p, q = naive.softmax(TEACHER / temperature), naive.softmax(STUDENT / temperature)
    return float((p * (np.log(p) - np.log(q))).sum(1).mean())


def loss(lib: Names, temperature: float, alpha: float) -> Any:
    given = [lib.tensor(array) for array in (STUDENT, TEACHER, LABELS)]
    return lib.DistillationLoss(temperature, alpha)(*given)


def test_the_share_that_is_asked_for_becomes_zero(lib: Names):
    for wanted in (0.5, 0.9):
        model, layers = model_of(lib, 40, 30, 10)
        lib.prune_magnitude(model, wanted)
        got = np.mean(np.concatenate([numbers(layer.weight).ravel() for layer in layers]) == 0)
        holds(
            abs(got - wanted) < 0.005,
            f"share of zeros for sparsity {wanted}: expected {wanted}, got {got:.3f}",
            "In the model itself, over all weights.",
        )


def test_the_smallest_go_and_the_others_stay(lib: Names):
    model, (layer,) = model_of(lib, 40, 30)
    before = numbers(layer.weight).copy()
    lib.prune_magnitude(model, 0.5)
    after = numbers(layer.weight)
    kept = after != 0
    holds(
        np.abs(before[~kept]).max() <= np.abs(before[kept]).min(),
        "what was set to zero: expected the smallest by magnitude, got larger ones",
        "-3 is larger than 1: take the absolute value.",
    )
    close("the weights that stay", after[kept], before[kept], "They keep their numbers.")


def test_biases_are_left_alone(lib: Names):
    model, (layer,) = model_of(lib, 40, 30)
    layer.bias.data[...] = 1e-6
    lib.prune_magnitude(model, 0.9)
    close("biases after pruning", layer.bias, np.full(30, 1e-6), "Weights alone are pruned.")
    holds(not np.any(numbers(layer.bias) == 0), "biases after pruning: expected none at 0", "Weights alone.")


def test_zeros_can_be_held_while_training_goes_on(lib: Names):
    model, (layer,) = model_of(lib, 40, 30)
    pruner = lib.prune_magnitude(model, 0.5)
    zero = numbers(layer.weight) == 0
    layer.weight.data[...] = numbers(layer.weight) + 1.0
    pruner.apply()
    after = numbers(layer.weight)
    holds(np.all(after[zero] == 0), f"pruned weights after pruner.apply(): expected zeros, got "
          f"{np.count_nonzero(after[zero])} others", "Remember which they were.")  # fmt: skip
    holds(
        np.all(after[~zero] != 0), "the others after pruner.apply(): expected as they were", "Nothing else."
    )


def test_without_half_its_channels_a_model_is_smaller(lib: Names):
    model, _ = model_of(lib, 20, 16, 5)
    x = lib.tensor(naive.numbers(3, 20).astype(np.float32))
    small = lib.prune_channels(model, 0.5, example_input=x)
    got = size(small)
    holds(
        got == 213,
        f"parameters of 20-16-5 without half of the 16: expected 20·8 + 8 + 8·5 + 5 = 213, got {got}",
        "Take rows out of one layer, and the columns that read them out of the next.",
    )
    close("the shape of its answers", np.array(numbers(small(x)).shape), [3, 5], "All outputs stay.")
    holds(
        size(model) == 421,
        f"parameters of the original: expected 421, got {size(model)}",
        "Make a new model.",
    )


def test_the_channels_that_matter_least_go(lib: Names):
    model, (first, second) = model_of(lib, 20, 16, 5)
    first.weight.data[::2], first.bias.data[::2] = 1e-5, 0.0
    second.weight.data[:, ::2] = 1e-5
    x = lib.tensor(naive.numbers(3, 20).astype(np.float32))
    small = lib.prune_channels(model, 0.5, example_input=x)
    close("answers without eight channels that do nothing", small(x), numbers(model(x)),
          "Rank channels by the norm of their weights.", 1e-3)  # fmt: skip


def test_labels_alone_are_cross_entropy(lib: Names):
    close("DistillationLoss(4, alpha=0)", loss(lib, 4.0, 0.0), naive.cross_entropy(STUDENT, LABELS),
          "alpha is the weight of the teacher.", 1e-4)  # fmt: skip


def test_a_teacher_alone_is_a_divergence(lib: Names):
    for temperature in (1.0, 3.0):
        expected = temperature**2 * divergence(temperature)
        close(f"DistillationLoss({temperature:g}, alpha=1)", loss(lib, temperature, 1.0), expected,
              "T² · KL(teacher ‖ student), both softened by T, mean over the examples.", 1e-4)  # fmt: skip


def test_both_are_mixed(lib: Names):
    expected = 0.7 * 4 * divergence(2.0) + 0.3 * naive.cross_entropy(STUDENT, LABELS)
    close("DistillationLoss(2, alpha=0.7)", loss(lib, 2.0, 0.7), expected, "alpha, and 1 - alpha.", 1e-4)


def test_the_student_learns_and_the_teacher_does_not(lib: Names):
    student, teacher = lib.tensor(STUDENT, learn=True), lib.tensor(TEACHER, learn=True)
    lib.DistillationLoss(2.0, 1.0)(student, teacher, lib.tensor(LABELS)).backward()
    expected = 2 * (naive.softmax(STUDENT / 2) - naive.softmax(TEACHER / 2)) / 6
    look = "T · (student's shares - teacher's shares) / n."
    close("gradient of the student's logits", gradient("student", student, look), expected, look, 1e-4)
    holds(teacher.grad is None or not numbers(teacher.grad).any(), "gradient of the teacher: expected none, "
          "got one", "Detach the teacher.")  # fmt: skip
