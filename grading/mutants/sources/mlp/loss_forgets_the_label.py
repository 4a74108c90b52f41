"""The gradient is the probabilities; the one of the right class is missing its -1."""

import tinytorch as tt
from tinytorch import autograd, nn


class WithoutLabel(autograd.Function):
    @staticmethod
    def forward(ctx, logits, target):
        ctx.probabilities = tt.softmax(logits, dim=1)
        return tt.cross_entropy(logits, target)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.probabilities * gradient / len(ctx.probabilities.data), None


class CrossEntropyLoss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        return WithoutLabel.apply(input, target)
