"""A layer hands no gradient to the one before it."""

from tinytorch import nn


class Linear(nn.Linear):
    def forward(self, x):
        return super().forward(x.detach())
