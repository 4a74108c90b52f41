"""Each token is told what follows its neighbour."""

import numpy as np

import tinytorch as tt
from tinytorch import nn


class CrossEntropyLoss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        return super().forward(input, tt.tensor(np.roll(target.data, 1)))
