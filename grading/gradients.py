"""The gradients of the milestones' networks, worked out by hand in NumPy, beside the library's."""

from __future__ import annotations

import numpy as np

import tinytorch as tt
from grading import exams
from grading.gates import require
from grading.reference import criterion_of, model_of, targets_of
from grading.thresholds import GATES, Milestone


def by_hand(layers: exams.Layers, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gradient of the mean cross-entropy to weight and bias of every layer.

    Forward: a[0] = x, z[l] = a[l] W[l]^T + b[l], a[l+1] = max(z[l], 0). With p the sigmoid, or the softmax,
    of the last z, the loss's gradient to it is (p - y) / n;
    backwards, dW = dz^T a, db = sum of dz, da = dz W.
    Source: Rumelhart, Hinton, Williams, 1986.
    """
    inputs = [x.astype(np.float64)]
    for weight, bias in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weight.T + bias, 0))
    weight, bias = layers[-1]
    z = inputs[-1] @ weight.T + bias
    if z.shape[1] == 1:
        dz = 1 / (1 + np.exp(-z)) - y[:, None]
    else:
        p = np.exp(z - z.max(1, keepdims=True))
        dz = p / p.sum(1, keepdims=True) - np.eye(z.shape[1])[y]
    dz /= len(x)
    gradients = []
    for a, (weight, _) in zip(reversed(inputs), reversed(layers), strict=True):
        gradients.append((dz.T @ a, dz.sum(0)))
        dz = (dz @ weight) * (a > 0)
    return gradients[::-1]


def gradients_are_right(milestone: Milestone, seed: int = 0) -> float:
    """The library's gradients of the network's loss are those by hand; returns the largest difference."""
    tt.manual_seed(seed)
    exam = exams.exam(milestone.dataset)
    x, y = exam.x[: milestone.batch], exam.y[: milestone.batch]
    model = model_of(milestone)
    loss = criterion_of(milestone)(model(tt.tensor(x)), tt.tensor(targets_of(milestone, y)))
    loss.backward()
    parameters = dict(model.named_parameters())
    layers = exams.layers_of({name: np.array(p.data) for name, p in parameters.items()}, milestone)
    hand = [gradient for pair in by_hand(layers, x, y) for gradient in pair]
    worst = 0.0
    for (name, parameter), expected in zip(parameters.items(), hand, strict=True):
        require(parameter.grad is not None, f"{milestone.name}: no gradient reached {name}")
        off = float(np.linalg.norm(parameter.grad.data - expected) / np.linalg.norm(expected))
        require(
            off <= GATES["gradient_off"],
            f"{milestone.name}: the gradient of {name} is off by {off:.1%} of its length from the one "
            f"computed by hand; expected at most {GATES['gradient_off']:.2%}. Is the rule of an op wrong?",
        )
        worst = max(worst, off)
    return worst
