"""Nobody is told of the bias, so it stays where it began."""

from tinytorch import nn


class Linear(nn.Linear):
    def parameters(self, recurse=True):
        return iter([self.weight])
