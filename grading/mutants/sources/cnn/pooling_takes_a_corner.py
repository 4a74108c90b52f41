"""Every second pixel of every second row."""

from tinytorch import nn


class MaxPool2d(nn.MaxPool2d):
    def forward(self, x):
        return x[:, :, ::2, ::2]
