"""The loss has no graph."""

from tinytorch import nn


class CrossEntropyLoss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        return super().forward(input, target).detach()
