"""Divided by the root of the mean square; the mean is not taken away."""

from tinytorch import nn


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        scale = ((x * x).mean(-1, keepdim=True) + 1e-5) ** -0.5
        return x * scale * self.weight + self.bias
