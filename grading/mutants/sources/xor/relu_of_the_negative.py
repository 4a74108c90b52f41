"""max(-x, 0)."""

from tinytorch import nn


class ReLU(nn.ReLU):
    def forward(self, x):
        return super().forward(x * -1.0)
