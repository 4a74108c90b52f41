"""Nothing is cut off, and two layers are one."""

from tinytorch import nn


class ReLU(nn.ReLU):
    def forward(self, x):
        return x * 1.0
