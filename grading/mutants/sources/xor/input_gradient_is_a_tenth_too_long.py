"""A factor of 1.1 on the way to the layer before."""

from tinytorch import autograd, nn


class TooLong(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 1.1


class Linear(nn.Linear):
    def forward(self, x):
        return super().forward(TooLong.apply(x) if x.requires_grad else x)
