"""All hidden units are the same, and nothing tells them apart."""

from tinytorch import nn


class Linear(nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.weight.data[...] = 0
        self.bias.data[...] = 0
