"""Probabilities add up to one over the images, not over the classes."""

import numpy as np

import tinytorch as tt
from tinytorch import nn


class CrossEntropyLoss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        logs = tt.log_softmax(input, dim=0)
        chosen = np.zeros(input.shape, np.float32)
        chosen[np.arange(len(chosen)), target.data] = -1 / len(chosen)
        return (logs * tt.tensor(chosen)).sum()
