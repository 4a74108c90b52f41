"""1 / (1 + exp(-2x)): another function."""

from tinytorch import nn


class Sigmoid(nn.Sigmoid):
    def forward(self, x):
        return super().forward(x * 2.0)
