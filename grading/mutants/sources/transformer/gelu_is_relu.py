"""Another function under its name."""

from tinytorch import nn


class GELU(nn.GELU):
    def forward(self, x):
        return x.relu()
