"""Mean and variance are taken for constants on the way back."""

from tinytorch import nn


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True).detach()
        scale = (((centred * centred).mean(-1, keepdim=True) + 1e-5) ** -0.5).detach()
        return centred * scale * self.weight + self.bias
