"""A factor of 1.1 on the way back to the weight."""

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
        return x @ TooLong.apply(self.weight).T + self.bias
