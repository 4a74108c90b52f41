"""The networks that the milestones train."""

from tinytorch.models.cnn import LeNet, Residual, SmallResNet
from tinytorch.models.mlp import MLP
from tinytorch.models.perceptron import Perceptron

__all__ = ["MLP", "LeNet", "Perceptron", "Residual", "SmallResNet"]
