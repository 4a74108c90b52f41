"""Rows and columns of the window change places."""

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        return tt.conv2d(x, self.weight.transpose(2, 3), self.bias, padding=self.padding)
