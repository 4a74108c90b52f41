"""The networks that the milestones train."""

from tinytorch.models.mlp import MLP
from tinytorch.models.perceptron import Perceptron

__all__ = ["MLP", "Perceptron"]
