"""The gradient passes where it should not, and only there."""

import tinytorch as tt
from tinytorch import autograd, nn


class Reversed(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.positive = x.data > 0
        return x.relu()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * tt.tensor((~ctx.positive).astype(gradient.data.dtype))


class ReLU(nn.ReLU):
    def forward(self, x):
        return Reversed.apply(x)
