"""The layer has a bias, and does not add it."""

from tinytorch import nn


class Linear(nn.Linear):
    def forward(self, x):
        return x @ self.weight.T
