"""The gradient that is handed back is the mirror image."""

import tinytorch as tt
from tinytorch import autograd, nn


class Mirrored(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, gradient):
        return tt.flip(gradient, (3,))


class Conv2d(nn.Conv2d):
    def forward(self, x):
        return super().forward(Mirrored.apply(x) if x.requires_grad else x)
