"""The sigmoid hands the gradient back as it came."""

from tinytorch import autograd, nn


class WithoutSlope(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sigmoid()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Sigmoid(nn.Sigmoid):
    def forward(self, x):
        return WithoutSlope.apply(x)
