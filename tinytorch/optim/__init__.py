"""Optimisers and, in `lr_scheduler`, learning rate schedules: names, defaults and results are PyTorch's.

A group's parameters lie in one buffer, and a step is one kernel over it (see `Optimizer`).
"""

from tinytorch.optim import lr_scheduler
from tinytorch.optim._adam import Adam, AdamW
from tinytorch.optim._optimizer import Optimizer
from tinytorch.optim._rmsprop import RMSprop
from tinytorch.optim._sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
