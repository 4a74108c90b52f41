"""The mean of each square, not its maximum."""

import tinytorch as tt
from tinytorch import nn


class MaxPool2d(nn.MaxPool2d):
    def forward(self, x):
        return tt.avg_pool2d(x, 2)
