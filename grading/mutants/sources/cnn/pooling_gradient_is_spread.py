"""The maximum goes forward, and all four get a quarter of the gradient."""

import tinytorch as tt
from tinytorch import autograd, nn


class Spread(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return tt.max_pool2d(x, 2)

    @staticmethod
    def backward(ctx, gradient):
        wide = gradient.data.repeat(2, axis=2).repeat(2, axis=3) / 4
        return tt.tensor(wide)


class MaxPool2d(nn.MaxPool2d):
    def forward(self, x):
        return Spread.apply(x)
