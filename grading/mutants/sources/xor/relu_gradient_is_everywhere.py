"""The gradient passes also where the input was negative."""

from tinytorch import autograd, nn


class Everywhere(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.relu()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class ReLU(nn.ReLU):
    def forward(self, x):
        return Everywhere.apply(x)
