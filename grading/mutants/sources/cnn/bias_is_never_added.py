"""The convolution has a bias, and does not add it."""

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        return tt.conv2d(x, self.weight, padding=self.padding)
