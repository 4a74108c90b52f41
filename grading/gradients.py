"""The gradients of the milestones' networks, worked out by hand in NumPy, beside the library's."""

from __future__ import annotations

import numpy as np

import tinytorch as tt
from grading import exams
from grading.gates import require
from grading.reference import criterion_of, model_of, targets_of
from grading.thresholds import GATES, Milestone
from grading.transformer import Transformer

MOST = 1000  # examples of a batch


def gradients_are_right(milestone: Milestone, seed: int = 0) -> float:
    """The library's gradients of the network's loss are those by hand; returns the largest difference."""
    tt.manual_seed(seed)
    exam = exams.of(milestone)
    network, batch = milestone.network, min(milestone.batch, MOST)
    x, y = network.prepared(exam.x[:batch]), exam.y[:batch]
    model = model_of(milestone)
    if isinstance(network, Transformer):
        rng = np.random.default_rng(seed)
        for parameter in model.parameters():
            parameter.data[...] += rng.normal(0, GATES["gradient_weights"], parameter.shape)
    loss = criterion_of(milestone)(model(tt.tensor(x)), tt.tensor(targets_of(milestone, y)))
    loss.backward()
    parameters = dict(model.named_parameters())
    weights = network.read({name: np.array(tensor.data) for name, tensor in model.state_dict().items()})
    by_hand = network.gradients(weights, x, y, milestone.label_smoothing)
    hand = [gradient for layer in by_hand for gradient in layer.values()]
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
