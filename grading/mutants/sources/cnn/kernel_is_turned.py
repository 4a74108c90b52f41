"""A convolution as mathematicians write it: the window is turned by 180 degrees."""

import tinytorch as tt
from tinytorch import nn


class Conv2d(nn.Conv2d):
    def forward(self, x):
        return tt.conv2d(x, tt.flip(self.weight, (2, 3)), self.bias, padding=self.padding)
