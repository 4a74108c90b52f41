"""The loss of a batch is the sum over its images, not their mean."""

from tinytorch import nn


class CrossEntropyLoss(nn.CrossEntropyLoss):
    def forward(self, input, target):
        return super().forward(input, target) * len(target.data)
