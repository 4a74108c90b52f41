"""The convolution's weight is cut off the graph."""

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        return tt.conv2d(x, self.weight.detach(), self.bias, padding=self.padding)
