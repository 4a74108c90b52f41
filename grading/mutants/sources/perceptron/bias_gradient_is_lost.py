"""The bias is cut off the graph."""

from tinytorch import nn


class Linear(nn.Linear):
    def forward(self, x):
        return x @ self.weight.T + self.bias.detach()
